import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { consentBlocks } from './make-consent-chain.js'
import { easy, first, labelled, plain } from './make-vectors.js'

/** Bytes with up to three of them changed, and sometimes cut or made longer. */
function damaged(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })
  return fc.tuple(fc.constantFrom(...seeds), changes, fc.nat(8)).map(([seed, changes, length]) => {
    const bytes = Uint8Array.from(seed)
    for (const [at, value] of changes) bytes[at % bytes.length] = value
    if (length === 0) return bytes.subarray(0, -1)
    return length === 1 ? Uint8Array.from([...bytes, 0]) : bytes
  })
}

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
/** Values that may stand where another one belongs, many of them nearly right. */
const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    null,
    true,
    0,
    1,
    23,
    24,
    -1,
    1.5,
    2 ** 53 - 1,
    2n ** 53n,
    'record',
    'grant',
    '',
    'x'.repeat(256),
    [],
  ),
  fc.constantFrom('é'.repeat(128), 'é'.repeat(129), 'x'.repeat(257), '\uFEFF', '\u0000', '\uFFFD', 'a\uFEFF'),
  fc.constantFrom({}, { file: plain.body.file }, labelled.body, labelled.body.label, { ...labelled.body, more: 1 }),
  fc.nat({ max: 70 }).map((length) => new Uint8Array(length)),
  fc
    .tuple(fc.constantFrom('01711220', '01701220', '01551220', '1220', '01711320', '0171121f', '02711220'), digest)
    .chain(([start, digest]) => {
      const bytes = Uint8Array.from([...Buffer.from(start, 'hex'), ...digest])
      return fc.constantFrom<unknown>(bytes, linkOf(bytes) ?? bytes)
    }),
  fc.string({ unit: 'grapheme', maxLength: 90 }),
)

function linkOf(bytes: Uint8Array): CID | undefined {
  try {
    return CID.decode(bytes)
  } catch {
    return undefined
  }
}

/** A transaction of which one field has another value, is gone or is one too many, as deep as its label. */
const changedRecord: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.constantFrom('v', 'chain', 'kind', 'at', 'from', 'body', 'sig', 'file', 'label', 'user_id', 'file_name', 'size'),
    fc.nat(9),
    anyValue,
  )
  .map(([key, how, value]) => {
    const { id: _id, bytes: _bytes, ...fields } = labelled
    const label: Record<string, unknown> = { ...labelled.body.label }
    const body: Record<string, unknown> = { file: labelled.body.file, label }
    const record: Record<string, unknown> = { ...fields, body }
    const map = [record, body, label].find((map) => Object.hasOwn(map, key)) ?? record
    if (how === 0) delete map[key]
    else map[how === 1 ? `${key}2` : key] = value
    return dagCbor.encode(record)
  })

/** One transaction of each kind under consent, and what is rare in them. */
const consent: readonly Uint8Array[] = [...consentOfKinds()]

function* consentOfKinds(): Generator<Uint8Array> {
  const seen = new Set<string>()
  for (const { kind, body, bytes } of consentBlocks.flatMap(({ transactions }) => transactions)) {
    // A list that is empty or not and a null that is one or not make another form.
    const form = Object.values(body).map((value) => (Array.isArray(value) ? value.length > 0 : value === null))
    const name = `${kind} ${form.join()}`
    if (!seen.has(name)) yield bytes
    seen.add(name)
  }
}

type Holder = Record<string, unknown> | unknown[]
/** The maps and lists within a value, itself first. */
const holdersIn = (value: unknown): Holder[] =>
  typeof value !== 'object' || value === null || value instanceof Uint8Array || CID.asCID(value)
    ? []
    : [value as Holder, ...Object.values(value).flatMap(holdersIn)]

/** A transaction under consent of which one field, however deep, has another value, is gone or is one too many. */
const changedConsent: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.constantFrom(...consent),
    fc.nat(),
    fc.nat(),
    fc.nat(11),
    fc.oneof(anyValue, fc.nat(), fc.constantFrom(2, 3, 4, 8, 16, 32, 64, 1024, 2047, 2048, 0x1dff, 2 ** 32)),
    fc.nat(),
  )
  .map(([bytes, where, which, how, value, from]) => {
    const map = dagCbor.decode<Record<string, unknown>>(bytes)
    const holders = holdersIn(map.body)
    const holder = holders[where % holders.length] ?? []
    if (Array.isArray(holder)) {
      if (how < 3) holder.push(...holder.slice(0, 1))
      else if (how < 6) holder.reverse()
      else holder.splice(which % (holder.length + 1), how < 9 ? 1 : 0, ...(how > 6 ? [value] : []))
      return dagCbor.encode(map)
    }
    const names = Object.keys(holder)
    const name = names[which % names.length] ?? 'none'
    const other = holder[names[from % names.length] ?? 'none']
    if (how === 0) delete holder[name]
    else if (how === 1) holder[`${name}2`] = value
    else holder[name] = how < 6 ? value : how < 9 ? other : null
    return dagCbor.encode(map)
  })

/** A header of which one field has another value. */
const changedHeader: fc.Arbitrary<Uint8Array> = fc.tuple(fc.nat(8), anyValue).map(([at, value]) => {
  const fields = dagCbor.decode<unknown[]>(first.header.bytes)
  return dagCbor.encode(fields.with(at, value))
})

/** A list of what may be no links. */
const changedList: fc.Arbitrary<Uint8Array> = fc
  .array(fc.oneof(anyValue, fc.constantFrom(labelled.id, plain.id)), { maxLength: 4 })
  .map((list) => dagCbor.encode(list))

/** Items as a hostile sender may make them, and now and then as an honest one does. */
export const transactionBytes = fc.oneof(changedRecord, damaged([labelled.bytes, plain.bytes]))
export const consentBytes = fc.oneof({ weight: 4, arbitrary: changedConsent }, damaged(consent))
export const headerBytes = fc.oneof(changedHeader, damaged([first.header.bytes, easy.genesis.bytes]))
export const listBytes = fc.oneof(changedList, damaged([dagCbor.encode([labelled.id, plain.id]), dagCbor.encode([])]))
/** Damaged whole files of blocks. */
export const carBytes = (car: Uint8Array): fc.Arbitrary<Uint8Array> => damaged([car])
export const anyBytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), transactionBytes, headerBytes, listBytes)
