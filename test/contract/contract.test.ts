import { readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { apply, beginState } from '#emrchain/contract/apply.js'
import { effectsOf } from '#emrchain/contract/apply-block.js'
import { createByteMap } from '#emrchain/contract/byte-map.js'
import { ceilings } from '#emrchain/contract/ceilings.js'
import type { Row } from '#emrchain/contract/cells.js'
import { decide } from '#emrchain/contract/decide.js'
import { resultCodes } from '#emrchain/contract/result-codes.js'
import { rows } from '#emrchain/contract/rows.js'
import { type Change, createMemoryState, createOverlay, tables, writeChanges } from '#emrchain/contract/state.js'
import { isEmrError } from '#emrchain/errors.js'
import { roles } from '#emrchain/protocol/consent-vocabulary.js'
import { checkSignatures, decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { readDocument, sectionOf } from '../docs/markdown.js'
import { rules } from '../fixtures/block-maker.js'
import { seedOfRun } from '../fixtures/random.js'
import { compareWithOracle } from './compare-with-oracle.js'
import { START } from './consent-world.js'
import { codeAfter, makeContractVectors, sent, sequences, worlds } from './make-contract-vectors.js'
import { stateDigest } from './pinned-sequence.js'

/** EMRCHAIN_WRITE_VECTORS=1 writes the vectors anew; whoever changes them changes the protocol. */
const path = new URL('../../test/vectors/contract.json', import.meta.url)
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const made = makeContractVectors()
if (process.env.EMRCHAIN_WRITE_VECTORS) writeFileSync(path, `${JSON.stringify(made, null, 1)}\n`)
const frozen: typeof made = JSON.parse(readFileSync(path, 'utf8'))

const dump = (entries: readonly Change[]): string =>
  entries.map(({ table, key, value }) => `${table} ${hexOf(key)} ${value ? hexOf(value) : '-'}`).join('\n')
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const everything = Object.values(worlds).flatMap(({ transactions }) => transactions)

t.test('the vectors, from their bytes alone', async (t) => {
  t.same(made, frozen)
  t.ok(frozen.questions.length + frozen.transactions.length >= 200)
  for (const [kind, { administrators, transactions }] of Object.entries(frozen.worlds)) {
    const state = createMemoryState()
    const keys = administrators?.keys.map(unhex) ?? []
    beginState(state, administrators && { keys, threshold: administrators.threshold })
    for (const text of transactions) {
      t.equal(apply(state, decodeTransaction(unhex(text)), { height: 1, time: frozen.time }), 0)
    }
    for (const { name, world, time, code, ...asked } of frozen.questions.filter(({ world }) => world === kind)) {
      const { accessor, certificate, record, grant, action, purpose } = asked
      const question = {
        accessor: unhex(accessor),
        certificate: certificate === null ? null : unhex(certificate),
        record: unhex(record ?? ''),
        grant: grant === null ? null : unhex(grant),
        action,
        purpose,
      }
      t.equal(decide(state, question, time), code, `${world}: ${name}`)
    }
    for (const { name, before, transaction, code } of frozen.transactions.filter(({ world }) => world === kind)) {
      const overlay = createOverlay(state)
      for (const text of before) apply(overlay, decodeTransaction(unhex(text)), { height: 2, time: START + 10 })
      const changes = dump(overlay.changes())
      t.equal(apply(overlay, decodeTransaction(unhex(transaction)), { height: 3, time: START + 10 }), code, name)
      if (code !== 0) t.equal(dump(overlay.changes()), changes, `${name}: nothing is written`)
    }
  }
})

t.test('1,000 transactions over 40 blocks give the frozen state, and undone the one before', async (t) => {
  for (const kind of ['open', 'clinic'] as const) {
    const { state: begin, sequence } = frozen.digests[kind]
    const state = createMemoryState()
    writeChanges(state, worlds[kind].state.entries())
    const digests = [stateDigest(state.entries())]
    t.equal(digests[0], begin)
    const undos: Change[][] = []
    for (const { transactions, results, ...place } of sequences[kind]) {
      const { results: again, changes } = effectsOf(state, transactions, place)
      t.same(again, results, `${kind}: results of block ${place.height}`)
      const overlay = createOverlay(state)
      writeChanges(overlay, changes)
      undos.push(overlay.undo())
      writeChanges(state, changes)
      digests.push(stateDigest(state.entries()))
    }
    t.equal(digests.at(-1), sequence.state)
    t.equal(new Set(digests).size, 41, 'each block changed something')
    for (const [at, undo] of [...undos.entries()].reverse()) {
      writeChanges(state, undo)
      t.equal(stateDigest(state.entries()), digests[at], `${kind}: before block ${at + 2}`)
    }
  }
})

t.test('every code is in the vectors', async (t) => {
  const seen = new Set([...frozen.questions, ...frozen.transactions].map(({ code }) => code))
  const missing = Object.entries(resultCodes).filter(([, [code]]) => !seen.has(code))
  t.same(
    missing.map(([name]) => name),
    [],
  )
})

t.test('signatures of authors and others hold; one over another approver is found', async (t) => {
  for (const transaction of [...everything, ...sent.map(({ transaction }) => transaction)]) {
    const isForged = sent.some(
      (one) => one.transaction === transaction && one.name === 'an amendment that a nurse approves',
    )
    if (isForged) t.throws(() => checkSignatures(transaction, rules), { code: 'transaction_bad_signature' })
    else checkSignatures(transaction, rules)
    t.ok(transaction.bytes.length <= 8_192)
  }
})

t.test('bodies are read strictly', async (t) => {
  const kinds = new Map<string, SignedTransaction>(everything.map((one) => [one.kind, one]))
  for (const { transaction } of sent) kinds.set(transaction.kind, transaction)
  t.equal(kinds.size, 10)
  let [refused, taken] = [0, 0]
  const all = [...kinds.values()]
  fc.assert(
    fc.property(fc.constantFrom(...all), fc.nat(), fc.nat(255), ({ bytes }, at, value) => {
      const altered = Uint8Array.from(bytes)
      altered[at % bytes.length] = value
      try {
        t.ok(Buffer.from(decodeTransaction(altered).bytes).equals(altered))
        taken++
      } catch (error) {
        if (!isEmrError(error)) throw error
        refused++
      }
    }),
    { numRuns: 3_000, seed: seedOfRun() },
  )
  t.ok(refused > 100 && taken > 100, `${refused} refused, ${taken} taken`)
})

t.test('undo restores every byte, and the order in which a state was filled does not matter', async (t) => {
  const seed = seedOfRun()
  fc.assert(
    fc.property(fc.constantFrom('open', 'clinic'), fc.shuffledSubarray([...sent.keys()]), (kind, order) => {
      const state = createMemoryState()
      writeChanges(state, worlds[kind].state.entries())
      const before = dump(state.entries())
      const undos: Change[][] = []
      for (const index of order) {
        const transaction = sent[index]?.transaction
        if (!transaction) continue
        const overlay = createOverlay(state)
        const code = apply(overlay, transaction, { height: 3, time: START + 10 })
        if (code !== 0 && overlay.changes().length > 0) throw new Error(`Code ${code} wrote.`)
        undos.push(overlay.undo())
        writeChanges(state, overlay.changes())
      }
      if (undos.flat().length === 0 && order.length > 60) throw new Error('Nothing was written.')
      for (const undo of undos.reverse()) writeChanges(state, undo)
      return dump(state.entries()) === before
    }),
    { numRuns: 60, seed },
  )
  const [first, second] = [createMemoryState(), createMemoryState()]
  writeChanges(first, worlds.clinic.state.entries())
  writeChanges(second, worlds.clinic.state.entries().reverse())
  for (const { world, before, transaction, code } of sent.filter(({ world }) => world === 'clinic')) {
    t.equal(codeAfter({ ...worlds[world], state: first }, before, transaction), code)
    t.equal(codeAfter({ ...worlds[world], state: second }, before, transaction), code)
  }
})

t.test('a map of byte strings holds what was put last, also where many keys want the same place', async (t) => {
  // Bytes 4 to 7 and the last four are what a key is searched by: here they are few, or the same.
  const key = fc
    .tuple(fc.constantFrom(0, 3, 32, 36, 38, 72), fc.constantFrom(0, 1, 254, 255), fc.nat(40))
    .map(([length, place, other]) => {
      const bytes = new Uint8Array(length)
      if (length > 20) bytes.set([place], 7)
      if (length > 20) bytes.set([other], 12)
      return bytes
    })
  let deleted = 0
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.nat(2)), { minLength: 100, maxLength: 400 }), (steps) => {
      const [map, model] = [createByteMap<number>(), new Map<string, number>()]
      for (const [at, [key, what]] of steps.entries()) {
        if (what > 0) {
          const given = key.slice()
          map.set(given, at)
          // The map keeps no array of its caller's.
          given.fill(0xff)
          model.set(hexOf(key), at)
        } else {
          map.delete(key)
          if (model.delete(hexOf(key))) deleted++
        }
      }
      const found = new Map(Array.from(map.entries(), ([key, value]) => [hexOf(key), value]))
      for (const [key] of steps) if (map.get(key) !== model.get(hexOf(key))) return false
      return found.size === model.size && [...model].every(([key, value]) => found.get(key) === value)
    }),
    { numRuns: 300, seed: seedOfRun() },
  )
  t.ok(deleted > 1_000, `${deleted} deleted`)
})

t.test('Cedar decides the same', async (t) => {
  const seed = seedOfRun()
  const { allowed, denied, different, codes } = compareWithOracle(seed, 3_000)
  t.same(different.slice(0, 3), [], `EMRCHAIN_TEST_SEED=${seed}`)
  t.ok(allowed > 150 && denied > 150, `${allowed} allowed, ${denied} denied: ${JSON.stringify(codes)}`)
  for (const code of [20, 21, 30, 31, 32, 33, 34, 35, 36, 37, 39]) t.ok(codes[code], `code ${code} occurs`)
})

t.test('docs/protocol.md has the codes and the ceilings', async (t) => {
  const page = readDocument('docs/protocol.md')
  const codes = [...sectionOf(page, 'Results').matchAll(/^\| (\d+) \| `(\w+)` \| (.+) \|$/gm)]
  t.same(
    codes.map(([, code, name, sentence]) => [name, [Number(code), sentence]]),
    Object.entries(resultCodes),
  )
  const named = [...stateOf(page).matchAll(/^\| (\d+) ([a-z ]+) \| .* \| (.+) \|$/gm)]
  t.same(
    named.map(([, number, name]) => [name, Number(number)]),
    Object.entries(tables).map(([name, number]) => [name.replace(/[A-Z]/g, (one) => ` ${one.toLowerCase()}`), number]),
  )
  const widths = new Map(named.map(([, number, , row = '']) => [Number(number), widthsIn(row)]))
  for (const name of Object.keys(rows) as (keyof typeof rows)[]) {
    if (name === 'counters') continue
    t.same(widths.get(tables[name]), widthsOf(rows[name] as Row<Record<string, unknown>>), `the row of ${name}`)
  }
  const limits = [...sectionOf(page, 'Ceilings').matchAll(/^\| `(\w+)` (.*)\|$/gm)]
  t.same(
    limits.map(([, role, cells = '']) => [
      role,
      ...cells
        .split('|')
        .slice(1)
        .map((cell) => cell.trim()),
    ]),
    Object.keys(roles).map((role) => {
      const { purposes, actions, classes, confidentiality, sensitivity, ends, ownOnly } =
        ceilings[role as keyof typeof roles]
      const pair = ([a, b]: readonly [number, number]): string => `${a}, ${b}`
      return [
        role,
        `${purposes}`,
        `${actions}`,
        pair(classes),
        pair(confidentiality),
        pair(sensitivity),
        `${ends ? 'yes' : 'no'}`,
        `${ownOnly ? 'yes' : 'no'}`,
      ].slice(0)
    }),
  )
})

const stateOf = (page: string): string => page.slice(page.indexOf('### State\n'), page.indexOf('### Effects\n'))

/** What the page says of a row: its fields and how many bytes each has. */
const widthsIn = (row: string): unknown[] =>
  [...row.matchAll(/(?<=^|, |: )([a-z]\w*) (?:of its block )?(\d+|\*ids\*)/g)].map(([, name, width]) => [name, width])

/** The same of the program: a field is as wide as there are bytes that change it. */
function widthsOf(row: Row<Record<string, unknown>>): unknown[] {
  const ones = new Uint8Array(400).fill(1)
  return Object.entries(row.decode(ones)).map(([name, value]) => {
    const isChangedBy = (at: number): boolean => String(row.decode(ones.with(at, 255))[name]) !== String(value)
    return [name, Array.isArray(value) ? '*ids*' : String([...ones.keys()].filter(isChangedBy).length)]
  })
}
