import type { CID } from 'multiformats/cid'

/**
 * The id of a block or transaction as nodes tell it to each other: 64 hexadecimal digits. It is one piece: a text that
 * is joined digit by digit costs several times as much where it is looked up.
 */
export const idText = ({ multihash: { digest } }: CID): string =>
  Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('hex')
