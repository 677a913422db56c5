import type { CID } from 'multiformats/cid'
import { CHAIN_CID_LENGTH, chainCidAt, isChainCidAt } from './cid.js'

/** Where the parts of a header and of its signature lie: all have a fixed width, so canonical DAG-CBOR puts each at one place. */

/** What precedes a CID of the chain: tag 42, a byte string of one byte more, a zero. */
const LINK = [0xd8, 42, 0x58, CHAIN_CID_LENGTH + 1, 0]
const ARRAY_OF_2 = 0x82
const ARRAY_OF_9 = 0x89
const BYTES_4 = 0x44
const BYTES_8 = 0x48
const BYTES_32 = [0x58, 32]
const BYTES_64 = [0x58, 64]

type Head = readonly [offset: number, bytes: readonly number[]]

const HEADER_LENGTH = 180
const HEADER_HEADS: readonly Head[] = [
  [0, [ARRAY_OF_9]],
  [2, [BYTES_4]],
  [7, LINK],
  [48, LINK],
  [89, BYTES_32],
  [123, [BYTES_8]],
  [132, [BYTES_4]],
  [137, BYTES_32],
  [171, [BYTES_8]],
]
const SIGNATURE_LENGTH = 108
const SIGNATURE_HEADS: readonly Head[] = [
  [0, [ARRAY_OF_2]],
  [1, LINK],
  [42, BYTES_64],
]

function hasHeads(bytes: Uint8Array, heads: readonly Head[]): boolean {
  for (const [offset, head] of heads) {
    for (let at = 0; at < head.length; at++) if (bytes[offset + at] !== head[at]) return false
  }
  return true
}

/**
 * The fields of a header, as `decodeCanonical` gives them; undefined of bytes that are anything else than nine fields in
 * canonical form, which `decodeCanonical` is then to judge.
 */
export function readPlainHeader(bytes: Uint8Array): unknown[] | undefined {
  const version = bytes[1] ?? 0xff
  // A number from 24 on has another head.
  const isPlain = bytes.length === HEADER_LENGTH && version < 24 && hasHeads(bytes, HEADER_HEADS)
  if (!isPlain || !isChainCidAt(bytes, 12) || !isChainCidAt(bytes, 53)) return undefined
  return [
    version,
    bytes.subarray(3, 7),
    chainCidAt(bytes, 12),
    chainCidAt(bytes, 53),
    bytes.subarray(91, 123),
    bytes.subarray(124, 132),
    bytes.subarray(133, 137),
    bytes.subarray(139, 171),
    bytes.subarray(172),
  ]
}

/** The link and the signature of a signature's section; undefined as of a header. */
export const readPlainSignature = (bytes: Uint8Array): [CID, Uint8Array] | undefined =>
  bytes.length === SIGNATURE_LENGTH && hasHeads(bytes, SIGNATURE_HEADS) && isChainCidAt(bytes, 6)
    ? [chainCidAt(bytes, 6), bytes.subarray(44)]
    : undefined
