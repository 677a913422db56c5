import t from 'tap'
import { encodeTransactionList, headerSections } from '#emrchain/protocol/block.js'
import { decodeCanonical, encodeCanonical } from '#emrchain/protocol/canonical.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { readPlainHeader, readPlainSignature } from '#emrchain/protocol/header-layout.js'
import { transactionClaim } from '#emrchain/protocol/transaction.js'
import { readPlainRecord, withoutSignature } from '#emrchain/protocol/transaction-layout.js'
import { createBlockMaker } from '../fixtures/block-maker.js'

/** The quick ways to read and write what a chain mostly holds say what the general ones say, or nothing. */

const maker = createBlockMaker()
const label = { user_id: 'Zoë', EHR_name: '磁共振', file_name: 'x'.repeat(200), size: 70_000 }
const records = [
  maker.record('MRI'),
  maker.record('MRI', { label: null }),
  maker.record('MRI', { label }),
  ...[0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER].map((size) =>
    maker.record('MRI', { at: size, label: { ...label, size } }),
  ),
]

t.test('records as authors write them are read in one pass', async (t) => {
  for (const record of records) {
    const bytes = Uint8Array.from(record.bytes)
    t.equal(comparable(readPlainRecord(bytes)), comparable(decodeCanonical(bytes)))
  }
})

t.test('every byte altered: the same value, or left to the general decoder', async (t) => {
  let [plain, general, different] = [0, 0, 0]
  for (const { bytes } of records.slice(0, 4)) {
    for (let at = 0; at < bytes.length; at++) {
      for (let value = 0; value < 256; value++) {
        if (value === bytes[at]) continue
        const altered = Uint8Array.from(bytes)
        altered[at] = value
        const read = readPlainRecord(altered)
        if (!read) {
          general++
          continue
        }
        plain++
        if (comparable(read) !== comparable(decoded(altered))) different++
      }
    }
    for (let length = 0; length < bytes.length; length++) t.notOk(readPlainRecord(bytes.subarray(0, length)))
    t.notOk(readPlainRecord(Buffer.concat([bytes, Buffer.alloc(1)])))
  }
  t.equal(different, 0)
  t.ok(plain > 100_000 && general > 10_000, `${plain} read, ${general} left`)
})

t.test(
  'headers and their signatures, with every byte altered: the same value, or left to the general decoder',
  async (t) => {
    const block = maker.block(maker.genesis, [])
    const [signature, header] = headerSections(block).map(({ bytes }) => Uint8Array.from(bytes))
    let [plain, general, different] = [0, 0, 0]
    for (const [read, bytes] of [
      [readPlainHeader, header ?? new Uint8Array(0)],
      [readPlainSignature, signature ?? new Uint8Array(0)],
    ] as const) {
      t.equal(comparable(read(bytes)), comparable(decodeCanonical(bytes)))
      for (let at = 0; at < bytes.length; at++) {
        for (let value = 0; value < 256; value++) {
          const altered = Uint8Array.from(bytes)
          altered[at] = value
          const fields = read(altered)
          if (!fields) general++
          else {
            plain++
            if (comparable(fields) !== comparable(decoded(altered))) different++
          }
        }
      }
      for (let length = 0; length < bytes.length; length++) t.notOk(read(bytes.subarray(0, length)))
      t.notOk(read(Buffer.concat([bytes, Buffer.alloc(1)])))
    }
    t.equal(different, 0)
    t.ok(plain > 50_000 && general > 5_000, `${plain} read, ${general} left`)
  },
)

t.test('what is signed is the encoding without the signature', async (t) => {
  for (const record of records) {
    const { v, chain, kind, at, from, body } = record
    const unsigned = encodeCanonical({ v, chain, kind, at, from, body })
    t.same(Buffer.from(withoutSignature(record.bytes, new Uint8Array(0))), Buffer.from(unsigned))
    t.same(Buffer.from(transactionClaim(record).message), Buffer.concat([Buffer.from('emrchain/tx/v1'), unsigned]))
  }
})

t.test('lists of every length are as the general encoder writes them', async (t) => {
  const ids = Array.from({ length: 70_000 }, (_, at) => cidOf(Uint8Array.of(at >> 16, at >> 8, at)))
  for (const length of [0, 1, 23, 24, 255, 256, 65_535, 65_536, 70_000]) {
    const some = ids.slice(0, length)
    t.ok(Buffer.from(encodeTransactionList(some)).equals(encodeCanonical(some)), `${length} ids`)
  }
})

/** What the general decoder says; an error is a value that equals nothing. */
function decoded(bytes: Uint8Array): unknown {
  try {
    return decodeCanonical(bytes)
  } catch (error) {
    return error
  }
}

/** Arrays of bytes and CIDs as text, whatever class they are of. */
function comparable(value: unknown): string {
  if (value instanceof Error) return value.message
  return JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? Buffer.from(part).toString('hex') : part))
}
