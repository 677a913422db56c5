import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'

/**
 * The platform's own hash where there is one; asked for at run time, so that a browser needs nothing in its
 * place. On records of 300 bytes it is three times as fast.
 */
const native = globalThis.process?.getBuiltinModule?.('node:crypto')?.hash

/** SHA-256 (FIPS 180-4), 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array => {
  if (!native) return nobleSha256(bytes)
  // As text, a character a byte: Node.js gives that in half the time of a buffer.
  const digest: string = native('sha256', bytes, 'binary')
  const copy = new Uint8Array(32)
  for (let at = 0; at < copy.length; at++) copy[at] = digest.charCodeAt(at)
  return copy
}
