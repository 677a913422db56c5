/** Sections of the chain file: what a CARv1 holds after its header, narrowed to what a chain writes. */
import type { CID } from 'multiformats/cid'
import { isSha256 } from '../crypto/hash.js'
import type { Section } from '../protocol/block.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'

/** Where a section or a run of sections lies in the chain file, in bytes. */
export interface Place {
  readonly offset: number
  readonly length: number
}

/** A section that was read from the chain file and matches its CID. */
export interface StoredSection extends Section, Place {}

/** Longest section that the chain file takes; the length of one is then at most four bytes. */
export const MAX_SECTION_LENGTH = 16 * 1024 * 1024

/** Every CID of the chain begins so: version 1, dag-cbor, sha2-256, 32 bytes. */
const CID_START = Uint8Array.of(0x01, 0x71, 0x12, 0x20)
const CID_LENGTH = CID_START.length + 32

/**
 * What stands at one place of a chain file:
 * - `section`: a section that matches its CID; `length` counts its own length field too;
 * - `short`: the bytes end before the section does, which has `length` bytes (at least);
 * - `wrong`: no section of a chain, or one that does not match its CID.
 */
export type Parsed =
  | { readonly kind: 'section'; readonly section: Section; readonly length: number }
  | { readonly kind: 'short'; readonly length: number }
  | { readonly kind: 'wrong' }

const wrong: Parsed = { kind: 'wrong' }

/** Unsigned LEB128, at most four bytes, in its shortest form (multiformats "unsigned-varint"). */
const readLength = (bytes: Uint8Array, at: number): { value: number; width: number } | 'short' | 'wrong' => {
  let value = 0
  for (let width = 0; width < 4; width++) {
    const byte = bytes[at + width]
    if (byte === undefined) return 'short'
    value += (byte & 0x7f) * 2 ** (7 * width)
    if (byte < 0x80) return byte === 0 && width > 0 ? 'wrong' : { value, width: width + 1 }
  }
  return 'wrong'
}

/** Reads the section at `at` and checks it against its CID. The section shares memory with `bytes`. */
export const parseSection = (bytes: Uint8Array, at: number): Parsed => {
  const head = readLength(bytes, at)
  if (head === 'wrong') return wrong
  if (head === 'short') return { kind: 'short', length: bytes.length - at + 1 }
  if (head.value < CID_LENGTH || head.value > MAX_SECTION_LENGTH) return wrong
  const start = at + head.width
  const known = Math.min(CID_START.length, bytes.length - start)
  for (let i = 0; i < known; i++) if (bytes[start + i] !== CID_START[i]) return wrong
  const length = head.width + head.value
  if (at + length > bytes.length) return { kind: 'short', length }
  const body = bytes.subarray(start + CID_LENGTH, at + length)
  const cid = chainCidAt(bytes, start)
  if (!isSha256(cid.multihash.digest, body)) return wrong
  return { kind: 'section', section: { cid, bytes: body }, length }
}

/** Where in `bytes` a section may begin, by its length and the beginning of its CID; in rising order. */
export function* sectionStarts(bytes: Uint8Array): Generator<number, void, void> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = buffer.indexOf(CID_START); at !== -1; at = buffer.indexOf(CID_START, at + 1)) {
    for (let width = Math.min(4, at); width >= 1; width--) {
      const head = readLength(bytes, at - width)
      if (typeof head !== 'string' && head.width === width && head.value >= CID_LENGTH) yield at - width
    }
  }
}

/**
 * Whether a whole section that matches its CID begins anywhere in `bytes` after the first byte. A torn
 * write leaves none behind the tear; a flipped bit in a length does.
 */
export const holdsSection = (bytes: Uint8Array): boolean => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = buffer.indexOf(CID_START, 2); at !== -1; at = buffer.indexOf(CID_START, at + 1)) {
    for (let width = 1; width <= 4 && at - width >= 1; width++) {
      const head = readLength(bytes, at - width)
      if (typeof head === 'string' || head.width !== width) continue
      if (parseSection(bytes, at - width).kind === 'section') return true
    }
  }
  return false
}

/** CIDs of a block's transactions, list, signature and header are compared by their bytes. */
export const equalCids = (a: CID, b: CID): boolean => equalBytes(a.bytes, b.bytes)
