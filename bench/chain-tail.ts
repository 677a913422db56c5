import { open } from 'node:fs/promises'
import { varint } from 'multiformats'

const PIECE = 4 * 1024 * 1024
/** A CID of the chain: version, codec, hash function and length, then 32 bytes. */
const CID_PREFIX = 4
const CID_LENGTH = 36

/** What stands in a chain file behind what was read before. */
export interface ChainTail {
  /** The hashes of the blocks of IPLD that have come since the last call, as `hashName` writes them, in order. */
  read(): Promise<string[]>
  close(): Promise<void>
}

/** The name of a hash of 32 bytes: as short as a string can be. */
export const hashName = (hash: Uint8Array): string =>
  Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('latin1')

/**
 * Follows the `chain.car` of a node that runs: a CARv1 to which sections are appended. Asking the node for its blocks
 * would take from the processor time that is measured.
 */
export async function openChainTail(path: string): Promise<ChainTail> {
  const file = await open(path, 'r')
  let rest = Buffer.alloc(0)
  let offset = 0
  let isHeader = true

  return {
    async read() {
      const names: string[] = []
      for (;;) {
        const piece = Buffer.alloc(PIECE)
        const { bytesRead } = await file.read(piece, 0, PIECE, offset)
        if (bytesRead === 0) return names
        offset += bytesRead
        rest = Buffer.concat([rest, piece.subarray(0, bytesRead)])
        for (;;) {
          const end = endOfSection(rest)
          if (end === undefined || end > rest.length) break
          const start = end - lengthOf(rest)
          if (!isHeader) names.push(hashName(rest.subarray(start + CID_PREFIX, start + CID_LENGTH)))
          isHeader = false
          rest = rest.subarray(end)
        }
      }
    },
    close: () => file.close(),
  }
}

function lengthOf(bytes: Uint8Array): number {
  return varint.decode(bytes)[0]
}

/** Where the section at the beginning ends; undefined where not even its length is there. */
function endOfSection(bytes: Uint8Array): number | undefined {
  if (!bytes.subarray(0, 9).some((byte) => byte < 0x80)) return undefined
  const [length, size] = varint.decode(bytes)
  return size + length
}
