import type { CID } from 'multiformats/cid'
import { equalBytes } from './canonical.js'
import { CHAIN_CID_LENGTH, chainCidAt, isChainCidAt } from './cid.js'

/**
 * Where the parts of a transaction lie. Canonical DAG-CBOR orders the keys of a map by their length, then by
 * their bytes, so the parts of every transaction stand in one order: v, at, sig, body, from, kind, chain.
 */

const text = (value: string): number[] => [0x60 + value.length, ...new TextEncoder().encode(value)]
const MAP_OF = 0xa0
const BYTES_OF_ONE_LENGTH_BYTE = 0x58

const START = Uint8Array.from([MAP_OF + 7, ...text('v'), 0x01, ...text('at')])
const SIG = Uint8Array.from([...text('sig'), BYTES_OF_ONE_LENGTH_BYTE, 64])
const BODY = Uint8Array.from(text('body'))
const FILE = Uint8Array.from([...text('file'), BYTES_OF_ONE_LENGTH_BYTE])
const LABEL = Uint8Array.from([...text('label'), MAP_OF + 4, ...text('size')])
const USER_ID = Uint8Array.from(text('user_id'))
const EHR_NAME = Uint8Array.from(text('EHR_name'))
const FILE_NAME = Uint8Array.from(text('file_name'))
const FROM = Uint8Array.from([...text('from'), BYTES_OF_ONE_LENGTH_BYTE, 32])
/** A link is tag 42 over its bytes behind a zero. */
const KIND_AND_CHAIN = Uint8Array.from([
  ...text('kind'),
  ...text('record'),
  ...text('chain'),
  0xd8,
  42,
  BYTES_OF_ONE_LENGTH_BYTE,
  CHAIN_CID_LENGTH + 1,
  0,
])

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads from left to right. Whatever is not as expected sets `failed`; what is read after that means nothing. */
class Cursor {
  at = 0
  failed = false
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  expect(constant: Uint8Array): void {
    for (let i = 0; i < constant.length; i++) if (this.bytes[this.at + i] !== constant[i]) this.failed = true
    this.at += constant.length
  }

  /** An unsigned integer or a length, of this major type, in its shortest form and below 2^53. */
  count(major: number): number {
    const first = (this.bytes[this.at++] ?? 0xff) - major * 32
    if (first >= 0 && first < 24) return first
    const width = first >= 24 && first <= 27 ? 2 ** (first - 24) : 0
    let value = 0
    for (let i = 0; i < width; i++) value = value * 256 + (this.bytes[this.at++] ?? Number.NaN)
    const least = width === 1 ? 24 : 256 ** (width / 2)
    if (width === 0 || !Number.isSafeInteger(value) || value < least) this.failed = true
    return value
  }

  take(length: number): Uint8Array {
    const end = this.at + length
    if (!(end <= this.bytes.length)) this.failed = true
    const part = this.bytes.subarray(this.at, end)
    this.at = end
    return part
  }

  text(): string {
    const part = this.take(this.count(3))
    // A byte order mark is dropped by the general decoder, which then refuses the text.
    if (part[0] === 0xef && part[1] === 0xbb && part[2] === 0xbf) this.failed = true
    if (this.failed) return ''
    try {
      return utf8.decode(part)
    } catch {
      this.failed = true
      return ''
    }
  }
}

/** The chain of the last transaction: nearly always that of the next one too. */
let lastChain: CID | undefined

function readChain(cursor: Cursor): CID | undefined {
  const bytes = cursor.take(CHAIN_CID_LENGTH)
  if (cursor.failed || !isChainCidAt(bytes, 0)) return undefined
  if (!lastChain || !equalBytes(lastChain.bytes, bytes)) lastChain = chainCidAt(Uint8Array.from(bytes), 0)
  return lastChain
}

/**
 * The fields of a record, read in one pass, as `decodeCanonical` gives them; undefined if the bytes are
 * anything else than a canonically encoded record, which `decodeCanonical` is then to judge. Three times as
 * fast: a chain is mostly these.
 */
export function readPlainRecord(bytes: Uint8Array): Record<string, unknown> | undefined {
  const cursor = new Cursor(bytes)
  cursor.expect(START)
  const at = cursor.count(0)
  cursor.expect(SIG)
  const sig = cursor.take(64)
  cursor.expect(BODY)
  const bodySize = (bytes[cursor.at++] ?? 0) - MAP_OF
  cursor.expect(FILE)
  const fileLength = bytes[cursor.at++] ?? 0
  // A shorter one has another form of length before it.
  if (cursor.failed || fileLength < 24 || (bodySize !== 1 && bodySize !== 2)) return undefined
  const file = cursor.take(fileLength)
  const body = bodySize === 1 ? { file } : { file, label: readLabel(cursor) }
  cursor.expect(FROM)
  const from = cursor.take(32)
  cursor.expect(KIND_AND_CHAIN)
  const chain = readChain(cursor)
  if (cursor.failed || !chain || cursor.at !== bytes.length) return undefined
  return { v: 1, at, sig, body, from, kind: 'record', chain }
}

function readLabel(cursor: Cursor): Record<string, unknown> {
  cursor.expect(LABEL)
  const size = cursor.count(0)
  cursor.expect(USER_ID)
  const user_id = cursor.text()
  cursor.expect(EHR_NAME)
  const EHR_name = cursor.text()
  cursor.expect(FILE_NAME)
  return { size, user_id, EHR_name, file_name: cursor.text() }
}

/**
 * The canonical encoding of a transaction without its `sig`: a map of one entry less, with that entry cut out.
 *
 * @param bytes of a transaction that has been decoded
 * @param prefix put before it
 * @param room where it is written, at the beginning, if there is a place for it
 */
export function withoutSignature(bytes: Uint8Array, prefix: Uint8Array, room?: Uint8Array): Uint8Array {
  const cursor = new Cursor(bytes)
  cursor.expect(START)
  cursor.count(0)
  const start = cursor.at
  cursor.expect(SIG)
  const end = cursor.at + 64
  if (cursor.failed) throw new TypeError('These are not the bytes of a transaction.')
  const length = prefix.length + bytes.length - (end - start)
  const rest = room?.subarray(0, length) ?? new Uint8Array(length)
  rest.set(prefix)
  rest.set(bytes.subarray(0, start), prefix.length)
  rest.set(bytes.subarray(end), prefix.length + start)
  rest[prefix.length] = MAP_OF + 6
  return rest
}
