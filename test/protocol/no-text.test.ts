import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import t from 'tap'
import { isEmrError } from '#emrchain/errors.js'
import { parseNetworkFile } from '#emrchain/protocol/network-parameters.js'
import { checkTransaction, decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { chain } from '../contract/consent-world.js'
import { sent, worlds } from '../contract/make-contract-vectors.js'
import { createBlockMaker, easyNetworkFile } from '../fixtures/block-maker.js'
import { seedOfRun } from '../fixtures/random.js'

/**
 * No text gets into the blocks of a network with administrators: a header is 180 bytes of numbers and hashes, a list is
 * links, and a transaction is what is tried here. Only `kind` is text, one of ten words. That 32 random bytes are
 * random nobody can check.
 */

const administrators = { keys: ['ab'.repeat(32)], threshold: 1 }
const closed = parseNetworkFile({ ...easyNetworkFile, clearLabels: false, administrators })
const open = parseNetworkFile({ ...easyNetworkFile, clearLabels: true })
/** Every signature holds, so that nothing but its form keeps a transaction out. */
const rules = { verify: () => true, isValidKey: () => true }

type Path = readonly (string | number)[]
type Tree = Record<string | number, unknown>

/** Why a transaction of these fields does not enter a network; undefined where it does. */
function refusal(fields: unknown, network = closed): string | undefined {
  try {
    checkTransaction(decodeTransaction(dagCbor.encode(fields)), network, chain, rules)
    return undefined
  } catch (error) {
    if (!isEmrError(error)) throw error
    return error.code
  }
}

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !('asCID' in value)

/** Every place of a value within it. */
function placesOf(value: unknown, at: Path = []): Path[] {
  if (!isTree(value)) return [at]
  const names = Array.isArray(value) ? [...value.keys()] : Object.keys(value)
  return [...(at.length > 0 ? [at] : []), ...names.flatMap((name) => placesOf(value[name], [...at, name]))]
}

function valueAt(fields: unknown, path: Path): unknown {
  return path.reduce((value, name) => (isTree(value) ? value[name] : undefined), fields)
}

/** The fields of a transaction with another value in one place. */
function withValue({ bytes }: SignedTransaction, path: Path, value: unknown): unknown {
  const fields: Tree = dagCbor.decode(bytes)
  const holder = valueAt(fields, path.slice(0, -1))
  const name = path.at(-1)
  if (!isTree(holder) || name === undefined) throw new Error(`There is nothing at ${path.join('.')}.`)
  holder[name] = value
  return fields
}

/** Transactions with and without each thing that may be missing, one of each form. */
const examples = new Map<string, SignedTransaction>()
for (const one of [
  ...Object.values(worlds).flatMap(({ transactions }) => transactions),
  ...sent.map((s) => s.transaction),
]) {
  const fields: unknown = dagCbor.decode(one.bytes)
  const form = placesOf(fields).map((path) => `${path.join('.')} ${valueAt(fields, path) === null}`)
  examples.set(`${one.kind} ${form.join()}`, one)
}
const bare = createBlockMaker().record('bare', { label: null })
examples.set('bare record', bare)
const all = [...examples.values()]
const cases = all.flatMap((transaction) =>
  placesOf(dagCbor.decode(transaction.bytes)).map((path) => ({ transaction, path })),
)

t.test('transactions as they are made enter, and hold no text', async (t) => {
  t.equal(new Set(all.map(({ kind }) => kind)).size, 10, 'of each kind')
  for (const { bytes } of all) t.equal(refusal(dagCbor.decode(bytes)), undefined)
  const texts = cases.filter(
    ({ transaction, path }) => typeof valueAt(dagCbor.decode(transaction.bytes), path) === 'string',
  )
  t.same(new Set(texts.map(({ path }) => path.join('.'))), new Set(['kind']))
  t.comment(`${all.length} forms, ${cases.length} places`)
})

t.test('text in any place, of any name, is refused', async (t) => {
  const words = ['', 'a', 'Ann Müller', 'x'.repeat(32), 'x'.repeat(36), '0']
  for (const { transaction, path } of cases) {
    for (const word of words) {
      const code = refusal(withValue(transaction, path, word))
      if (code === undefined) t.fail(`${transaction.kind}: "${word}" at ${path.join('.')}`)
    }
  }
  for (const transaction of all) {
    const holders: Path[] = [[], ...placesOf(dagCbor.decode(transaction.bytes))]
    for (const path of holders) {
      const held = valueAt(dagCbor.decode(transaction.bytes), path)
      if (!isTree(held)) continue
      const more: Path = [...path, Array.isArray(held) ? held.length : 'note']
      if (refusal(withValue(transaction, more, 'a note')) === undefined)
        t.fail(`${transaction.kind}: ${more.join('.')}`)
    }
  }
  const anyText = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary', maxLength: 300 }))
  fc.assert(
    fc.property(fc.constantFrom(...cases), anyText, ({ transaction, path }, word) => {
      const isKept = path.join('.') === 'kind' && word === transaction.kind
      return isKept || refusal(withValue(transaction, path, word)) !== undefined
    }),
    { numRuns: 3_000, seed: seedOfRun() },
  )
  t.ok(cases.length > 300)
})

t.test('no byte string is longer or shorter than it has to be', async (t) => {
  let tried = 0
  for (const { transaction, path } of cases) {
    const value = valueAt(dagCbor.decode(transaction.bytes), path)
    if (!(value instanceof Uint8Array)) continue
    const [longer, shorter] = [Uint8Array.from([...value, 0x41]), value.slice(0, -1)]
    for (const other of [longer, shorter]) {
      if (refusal(withValue(transaction, path, other)) === undefined) t.fail(`${transaction.kind}: ${path.join('.')}`)
    }
    tried++
  }
  t.ok(tried > 100, `${tried} byte strings`)
})

t.test('the label in clear is what the open network takes and this one does not', async (t) => {
  const label = { user_id: 'xxxxx', EHR_name: 'MRI', file_name: 'MRI.pdf', size: 1 }
  const labelled = withValue(bare, ['body', 'label'], label)
  t.equal(refusal(labelled, open), undefined)
  t.equal(refusal(labelled), 'clear_label_forbidden')
})
