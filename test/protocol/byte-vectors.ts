import type { ErrorCode } from '#emrchain/errors.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import type { BareRecord } from '#emrchain/protocol/transaction.js'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const text = (value: string): string => hex(Buffer.from(value))
const repeat = (byte: string, count: number): string => byte.repeat(count)

/** Values with their one encoding. */
const canonical: [name: string, bytes: string][] = [
  ['zero', '00'],
  ['23', '17'],
  ['24', '1818'],
  ['256', '190100'],
  ['65536', '1a00010000'],
  ['2^32', '1b0000000100000000'],
  ['2^53 - 1', '1b001fffffffffffff'],
  ['-1', '20'],
  ['false, true, null', '83f4f5f6'],
  ['no bytes', '40'],
  ['24 bytes', `5818${repeat('07', 24)}`],
  ['no text', '60'],
  ['text of four bytes', `64${text('\u{1F600}')}`],
  ['text with a zero byte', '6100'],
  ['a replacement character that was sent', `63${text('\uFFFD')}`],
  ['a byte order mark that is not first', `64${text('a\uFEFF')}`],
  ['an empty array', '80'],
  ['an empty map', 'a0'],
  ['a shorter key before a longer one', 'a261620162616102'],
  ['keys of one length by their bytes', 'a2616101616202'],
  ['a link', `d82a582500${`01711220${repeat('07', 32)}`}`],
]

/** Bytes that say something to a lenient reader, and that none of this protocol takes. */
const refused: [name: string, bytes: string][] = [
  ['nothing', ''],
  ['bytes that are left over', '0000'],
  ['23 in two bytes', '1817'],
  ['255 in three bytes', '1900ff'],
  ['a length in two bytes', '580107'],
  ['keys out of order', 'a2616201616102'],
  ['a longer key first', 'a262616102616201'],
  ['a key twice', 'a2616101616102'],
  ['a key that is a number', 'a10102'],
  ['an array of unknown length', '9f01ff'],
  ['a map of unknown length', 'bf616101ff'],
  ['bytes of unknown length', '5f4107ff'],
  ['text of unknown length', '7f6161ff'],
  ['an array that ends too early', '8201'],
  ['bytes that end too early', '5907'],
  ['a huge length', '9bffffffffffffffff'],
  ['a float of 16 bits', 'f93c00'],
  ['a float of 32 bits', 'fa3fc00000'],
  ['a whole number as a float', 'fb3ff0000000000000'],
  ['minus zero', 'fb8000000000000000'],
  ['not a number', 'fb7ff8000000000000'],
  ['infinity', 'fb7ff0000000000000'],
  ['undefined', 'f7'],
  ['another simple value', 'e0'],
  ['text of half a character', '62c328'],
  ['text in too many bytes', '62c080'],
  ['text of a surrogate', '63eda080'],
  ['text that begins with a byte order mark', `64efbbbf61`],
  ['another tag', 'c249010000000000000000'],
  ['the tag of links in three bytes', `d9002a582500${`01711220${repeat('07', 32)}`}`],
  ['a link without its zero byte', `d82a5824${`01711220${repeat('07', 32)}`}`],
  ['a link to text', 'd82a6100'],
  ['a link whose CID is too long', `d82a582600${`01711220${repeat('07', 33)}`}`],
  ['a link whose CID has a long version', `d82a582600${`8100711220${repeat('07', 32)}`}`],
  ['a link whose CID has a long hash code', `d82a582600${`0171920020${repeat('07', 32)}`}`],
]

export interface RefusedItem {
  readonly name: string
  readonly code: ErrorCode
  readonly bytes: string
}

/** Encodings of values, and items that are no transaction or header, each with the code of its fault. */
export function byteVectors(record: BareRecord, header: IdentifiedHeader) {
  const { id: _id, bytes: _bytes, ...fields } = record
  const { sig: _sig, ...unsigned } = fields
  const { file, label } = fields.body
  const item = (name: string, code: ErrorCode, bytes: Uint8Array): RefusedItem => ({ name, code, bytes: hex(bytes) })
  const changed = (name: string, change: object, code: ErrorCode = 'transaction_malformed'): RefusedItem =>
    item(name, code, encodeCanonical({ ...fields, ...change }))
  const ofFile = (name: string, bytes: string, code: ErrorCode = 'malformed_cid'): RefusedItem =>
    changed(name, { body: { file: Buffer.from(bytes, 'hex') } }, code)
  const ofLabel = (name: string, change: object, code?: ErrorCode): RefusedItem =>
    changed(name, { body: { file, label: { ...label, ...change } } }, code)
  const digest = repeat('07', 32)

  return {
    cbor: {
      canonical: canonical.map(([name, bytes]) => ({ name, bytes })),
      refused: refused.map(([name, bytes]) => ({ name, bytes })),
    },
    refusedTransactions: [
      item('an array', 'transaction_malformed', encodeCanonical([1])),
      item('a link', 'transaction_malformed', encodeCanonical(fields.chain)),
      item('no signature', 'transaction_malformed', encodeCanonical(unsigned)),
      changed('a field too many', { fee: 1 }),
      changed('another version', { v: 2 }),
      changed('another kind', { kind: 'grant' }),
      changed('a chain that is a file', { chain: fields.chain.bytes }),
      changed('a negative time', { at: -1 }),
      changed('a time of 2^53', { at: 2n ** 53n }),
      changed('a time as text', { at: '1' }),
      changed('a key of 31 bytes', { from: fields.from.subarray(1) }),
      changed('a signature of 65 bytes', { sig: Buffer.concat([fields.sig, Buffer.alloc(1)]) }),
      changed('a body without a file', { body: { label } }),
      changed('a body that is null', { body: null }),
      changed('a file as text', { body: { file: 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o' } }),
      changed('a label without a size', { body: { file, label: { user_id: 'u', EHR_name: 'n', file_name: 'f' } } }),
      changed('a label that is null', { body: { file, label: null } }),
      ofLabel('an empty text', { user_id: '' }),
      ofLabel('a text of 257 bytes', { EHR_name: 'n'.repeat(257) }),
      ofLabel('a text of 129 characters of two bytes', { file_name: 'é'.repeat(129) }),
      ofLabel('a text that begins with a byte order mark', { EHR_name: '\uFEFFMRI' }, 'malformed_cbor'),
      ofLabel('a negative size', { size: -1 }),
      ofLabel('a size of 2^53', { size: 2n ** 53n }),
      ofFile('a file of the codec of the chain', `01711220${digest}`),
      ofFile('a file with SHA-512', `01551340${digest}${digest}`),
      ofFile('a file with a digest of 31 bytes', `0155121f${repeat('07', 31)}`),
      ofFile('a file with a byte too many', `1220${digest}00`),
      ofFile('a file with a long version', `8100551220${digest}`),
      ofFile('a file with no CID', ''),
    ],
    refusedHeaders: [
      item('181 bytes', 'header_malformed', Buffer.concat([header.bytes, Buffer.alloc(1)])),
      item('179 bytes', 'header_malformed', header.bytes.subarray(0, 179)),
      item('a negative version', 'header_malformed', header.bytes.with(1, 0x20)),
      item('a time as text', 'header_malformed', header.bytes.with(123, 0x68).fill(0x61, 124, 132)),
      item('a time of 2^53', 'header_malformed', header.bytes.with(125, 0x20)),
      item('a parent of another codec', 'header_malformed', header.bytes.with(13, 0x70)),
      item('a parent of another hash', 'header_malformed', header.bytes.with(14, 0x16)),
      item('the first byte of the nonce', 'header_bad_nonce', header.bytes.with(172, 1)),
      item('the second byte of the nonce', 'header_bad_nonce', header.bytes.with(173, 1)),
      item('an array of unknown length', 'malformed_cbor', header.bytes.with(0, 0x9f)),
    ],
  }
}
