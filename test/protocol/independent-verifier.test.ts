import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import { verifyChain } from '#emrchain/chain/verify-chain.js'
import { type ErrorCode, isEmrError } from '#emrchain/errors.js'
import {
  type Block,
  blockSections,
  decodeTransactionList,
  genesisSections,
  hashResults,
  type Section,
} from '#emrchain/protocol/block.js'
import type { KindAndBody } from '#emrchain/protocol/bodies/decode-body.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { decodeBlocks, encodeBlocks, encodeCar } from '#emrchain/protocol/car.js'
import { cidOf, cidToHex } from '#emrchain/protocol/cid.js'
import { capabilities, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { decodeHeader, type IdentifiedHeader } from '#emrchain/protocol/header.js'
import { possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import { decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { certify, createWorld, identityBody, START, sign } from '../contract/consent-world.js'
import { rules, signerOf } from '../fixtures/block-maker.js'
import { clinic, clinicBlock } from './make-consent-chain.js'
import {
  chainFile,
  easy,
  first,
  labelled,
  loser,
  makeChains,
  moving,
  movingBlocks,
  paper,
  paperBlocks,
  plain,
  second,
  third,
} from './make-vectors.js'
import { consentBytes, headerBytes, listBytes, transactionBytes } from './mutated-items.js'

/**
 * A second program, written in Python from docs/protocol.md, against this one: on chains, on damaged chains, on the
 * frozen vectors and on thousands of items that are nearly right. Where they differ, one of the three is wrong.
 */
const root = fileURLToPath(new URL('../../', import.meta.url))
const script = (name: string): string => join(root, 'test', 'protocol', name)
const { genesis } = easy

function python(script: string, args: readonly string[], input = ''): { status: number | null; lines: string[] } {
  const { status, stdout, stderr } = spawnSync('python3', [script, ...args], { encoding: 'utf8', input })
  return { status, lines: `${stdout}${stderr}`.trim().split('\n') }
}

const reason = spawnSync('python3', ['--version']).status === 0 ? false : 'python3 is not on the PATH'
if (reason && (process.env.EMRCHAIN_REQUIRE ?? '').split(/[ ,]+/).includes('python')) t.fail(reason)
const options = reason ? { skip: reason } : {}

/** What the Python one says of chain files: `valid` and the tip, or `invalid` and a code. */
function judgeInPython(t: { testdir(): string }, cars: readonly Uint8Array[]): string[] {
  const folder = t.testdir()
  const paths = cars.map((_, at) => join(folder, `${at}.car`))
  for (const [at, path] of paths.entries()) writeFileSync(path, cars[at] ?? '')
  const { status, lines } = python(script('verify_chain.py'), paths)
  const verdicts = lines.map((line) =>
    line.replace(/^valid: .* tip (\w+),.*$/, 'valid $1').replace(/^invalid: (\w+).*$/, 'invalid $1'),
  )
  if (lines.length !== cars.length || (status === 0) !== verdicts.every((verdict) => verdict.startsWith('valid '))) {
    throw new Error(`The verifier ended with ${status}: ${lines.at(-1)}`)
  }
  return verdicts
}

/** The same of blocks by this program. */
async function judge(maker: typeof easy, blocks: readonly Block[]): Promise<string> {
  async function* decoded() {
    yield* decodeBlocks(encodeBlocks(blocks))
  }
  const { network, genesis } = maker
  try {
    const { tip } = await verifyChain(decoded(), { network, genesis, rules, now: Date.now })
    return `valid ${cidToHex(tip.id)}`
  } catch (error) {
    if (isEmrError(error)) return `invalid ${error.code}`
    throw error
  }
}

t.test('the vectors hold, and no bit of a chain can turn unnoticed', options, async (t) => {
  const { status, lines } = python(script('check_vectors.py'), [join(root, 'test', 'vectors')])
  t.equal(status, 0, lines.at(-1) ?? '')
  t.match(lines.at(-1), /^\d{4,} checks hold$/)
})

t.test('both find the same tip', options, async (t) => {
  const twin = easy.block(genesis, [plain], { signer: signerOf('another miner') })
  const [lower = first] = [first, twin].sort((a, b) => Buffer.compare(a.header.id.bytes, b.header.id.bytes))
  const longer = easy.block(loser.header, [plain])
  const cases: readonly [name: string, maker: typeof easy, blocks: readonly Block[], tip: IdentifiedHeader][] = [
    ['genesis alone', easy, [], genesis],
    ['a branch that lost', easy, [first, loser, second, third], third.header],
    ['the built-in network', paper, paperBlocks, paperBlocks[2]?.header ?? genesis],
    ['a target that moves', moving, movingBlocks, movingBlocks.at(-1)?.header ?? genesis],
    ['of equal work the lower hash', easy, [first, twin], lower.header],
    ['in either order', easy, [twin, first], lower.header],
    ['a record on two branches, twice on neither', easy, [first, loser, longer], longer.header],
  ]
  const verdicts = judgeInPython(
    t,
    cases.map(([, maker, blocks]) => chainFile(maker, blocks)),
  )
  for (const [at, [name, maker, blocks, tip]] of cases.entries()) {
    t.equal(verdicts[at], `valid ${cidToHex(tip.id)}`, name)
    t.equal(await judge(maker, blocks), `valid ${cidToHex(tip.id)}`, `${name} here`)
  }
})

t.test('both refuse the same blocks for the same reason', options, async (t) => {
  const changed = (header: object, options = {}) => [easy.block(genesis, [plain], { header, ...options })]
  const elsewhere = paper.record('MRI', { at: 1 })
  const bitOf = (signature: Uint8Array) => signature.with(3, (signature[3] ?? 0) ^ 1)
  const unsigned = resigned(plain, { sig: bitOf(plain.sig) })
  const smallKey = resigned(plain, { from: Uint8Array.from([1, ...new Uint8Array(31)]) })
  const next = { ...first.header, nonce: first.header.nonce + 1 }
  const cases: readonly [name: string, blocks: readonly Block[], code: ErrorCode][] = [
    ['a newer version', changed({ version: 2 }), 'unsupported_version'],
    ['an older version', changed({ version: 0 }), 'header_malformed'],
    ['a block left out', [first, third], 'header_unknown_parent'],
    ['a child before its parent', [second, first], 'header_unknown_parent'],
    ['the height of the parent', changed({ height: 0 }), 'header_wrong_height'],
    ['an easier target', changed({ target: 0x2100ffff }), 'header_wrong_target'],
    ['a harder target', changed({ target: 0x203fffff }), 'header_wrong_target'],
    ['the time of the parent', changed({ time: genesis.time }), 'header_time_too_early'],
    ['a time years ahead', changed({ time: Date.now() + 1e11 }), 'header_time_too_late'],
    ['other work', changed({}, { unmined: true }), 'header_insufficient_work'],
    [
      'another nonce',
      [{ ...first, ...easy.block(genesis, [labelled, plain], { header: next }), signature: first.signature }],
      'header_bad_signature',
    ],
    ['a miner of small order', changed({ miner: Uint8Array.from([1, ...new Uint8Array(31)]) }), 'header_bad_miner'],
    ['another key', changed({ miner: signerOf('thief').publicKey }), 'header_bad_signature'],
    ['the signature of another block', [{ ...first, signature: second.signature }], 'header_bad_signature'],
    ['a record twice in a block', [easy.block(genesis, [plain, plain])], 'block_duplicate_transaction'],
    ['a record twice on a branch', [first, easy.block(first.header, [labelled])], 'block_duplicate_transaction'],
    [
      'a record from the future',
      [easy.block(genesis, [easy.record('late', { at: genesis.time + 121_001 })])],
      'block_transaction_from_future',
    ],
    ['a record of another network', [easy.block(genesis, [elsewhere])], 'other_network'],
    ['a record whose signature is not its own', [easy.block(genesis, [unsigned])], 'transaction_bad_signature'],
    ['a record by a key of small order', [easy.block(genesis, [smallKey])], 'transaction_bad_key'],
    ['results of others', changed({ results: hashResults(Uint8Array.of(1)) }), 'block_wrong_results'],
  ]
  const verdicts = judgeInPython(
    t,
    cases.map(([, blocks]) => chainFile(easy, blocks)),
  )
  for (const [at, [name, blocks, code]] of cases.entries()) {
    t.equal(verdicts[at], `invalid ${code}`, name)
    t.equal(await judge(easy, blocks), `invalid ${code}`, `${name} here`)
  }
})

t.test('both judge identity and consent alike', options, async (t) => {
  const world = createWorld('clinic', clinic.genesis.id)
  const id = (name: string): Uint8Array => world.id(name)
  const zeros = (transactions: readonly unknown[]) => new Uint8Array(transactions.length)
  const send = (who: string, kindAndBody: KindAndBody) => sign(who, kindAndBody, START, world.chain)
  const people = clinicBlock(clinic.genesis, 'admin1', world.transactions, zeros(world.transactions))
  const hospital = world.certificate('hospital')
  const mine = { capabilities: capabilities.mine, until: START + 4_000 }
  const mines = certify('hospital', id('node1'), roles.node, hospital, mine, world.chain)
  const admitted = clinicBlock(people.header, 'admin2', [mines], zeros([mines]))
  const fired = send('hospital', {
    kind: 'certificate_revocation',
    body: { certificate: mines.id.bytes, reason: 2, approvals: [] },
  })
  const dismissed = clinicBlock(admitted.header, 'node1', [fired], zeros([fired]))
  const nodeAt = (parent: Block): Block => clinicBlock(parent.header, 'node1', [], new Uint8Array(0))

  const written = world.recordBody()
  const [receipt, ...others] = written.receipts
  if (!receipt) throw new Error('There is no receipt.')
  const forged = (change: object): SignedTransaction =>
    send('patient', { kind: 'record', body: { ...written, receipts: [{ ...receipt, ...change }, ...others] } })
  const smallKey = Uint8Array.from([1, ...new Uint8Array(31)])
  const newKey = signerOf('another key')
  const possession = (chain: typeof world.chain) => ({
    ...identityBody('doctor', roles.doctor, { previous: id('doctor') }),
    key: newKey.publicKey,
    keyProof: newKey.sign(possessionMessage(chain, signerOf('doctor').publicKey, newKey.publicKey)),
  })
  const approved = certify('admin1', id('hospital'), roles.organisation, null, { until: START + 9 }, world.chain)
  if (approved.kind !== 'certificate') throw new Error('It is no certificate.')
  const borrowed = send('admin1', { kind: 'certificate', body: { ...approved.body, capabilities: 2 } })
  const over = (transaction: SignedTransaction, code = 0): Block[] => [
    people,
    clinicBlock(people.header, 'admin1', [transaction], Uint8Array.of(code)),
  ]
  const amend = { ...world.recordBody({ supersedes: id('doctor') }), epoch: 2 }
  const cases: readonly [name: string, blocks: readonly Block[], code: ErrorCode | ''][] = [
    ['a record', over(send('patient', { kind: 'record', body: written })), ''],
    ['a record, refused', over(send('patient', { kind: 'record', body: written }), 16), 'block_wrong_results'],
    ['the first of two faults', over(send('patient', { kind: 'record', body: amend }), 6), ''],
    ['the second of two faults', over(send('patient', { kind: 'record', body: amend }), 18), 'block_wrong_results'],
    ['a proof of a key', over(send('doctor', { kind: 'identity', body: possession(world.chain) })), ''],
    [
      'a proof of a key for another chain',
      over(send('doctor', { kind: 'identity', body: possession(genesis.id) })),
      'transaction_bad_signature',
    ],
    ['an approval', over(approved), ''],
    ['an approval of something else', over(borrowed), 'transaction_bad_signature'],
    ['a forged receipt', over(forged({ sig: new Uint8Array(64) })), 'transaction_bad_signature'],
    ['a receipt by a key of small order', over(forged({ key: smallKey })), 'transaction_bad_key'],
    ['a label', over(clinic.record('MRI', { at: START }), 19), 'clear_label_forbidden'],
    ['a bare record', over(clinic.record('MRI', { at: START, label: null }), 19), ''],
    ['a node with a certificate mines', [people, admitted, nodeAt(admitted)], ''],
    ['a node without one mines', [people, nodeAt(people)], 'block_miner_not_admitted'],
    ['one whose certificate is revoked', [people, admitted, dismissed, nodeAt(dismissed)], 'block_miner_not_admitted'],
    ['one whose certificate has ended', late(), 'block_miner_not_admitted'],
  ]
  function late(): Block[] {
    const next = clinicBlock(admitted.header, 'admin1', [], new Uint8Array(0))
    return [people, admitted, next, nodeAt(next)]
  }
  const verdicts = judgeInPython(
    t,
    cases.map(([, blocks]) => chainFile(clinic, blocks)),
  )
  for (const [at, [name, blocks, code]] of cases.entries()) {
    const tip = blocks.at(-1)?.header.id ?? clinic.genesis.id
    const verdict = code ? `invalid ${code}` : `valid ${cidToHex(tip)}`
    t.equal(verdicts[at], verdict, name)
    t.equal(await judge(clinic, blocks), verdict, `${name} here`)
  }
})

t.test('both refuse the same targets where the target moves', options, async (t) => {
  const [start] = movingBlocks
  if (!start) throw new Error('There is no block.')
  const after = (pause: number, change = {}) =>
    moving.block(start.header, [], { header: { time: start.header.time + pause, ...change } })
  const early = after(1)
  const late = after(30_000)
  const { target } = early.header
  const twice = (block: Block, target: number): Block =>
    moving.block(block.header, [], { header: { time: block.header.time + 1, target } })
  const cases: readonly [name: string, blocks: readonly Block[]][] = [
    ['an easier one', [start, after(1, { target: target + 1 })]],
    ['a harder one', [start, after(1, { target: target - 1 })]],
    ['that of the parameters after an early block', [start, early, twice(early, moving.network.target)]],
    ['that of the parameters after a late block', [start, late, twice(late, moving.network.target)]],
    ['the limit on schedule', [start, after(1_000, { target: 0x207fffff })]],
  ]
  const verdicts = judgeInPython(
    t,
    cases.map(([, blocks]) => chainFile(moving, blocks)),
  )
  for (const [at, [name, blocks]] of cases.entries()) {
    t.equal(verdicts[at], 'invalid header_wrong_target', name)
    t.equal(await judge(moving, blocks), 'invalid header_wrong_target', `${name} here`)
  }
})

t.test('what is not what its header names is refused', options, async (t) => {
  const start = [{ cid: easy.network.cid, bytes: easy.network.bytes }, ...genesisSections(genesis)]
  const sectionOf = (value: unknown): Section => {
    const bytes = encodeCanonical(value)
    return { cid: cidOf(bytes), bytes }
  }
  const [a, b, list, signature, header] = blockSections(first)
  if (!a || !b || !list || !signature || !header) throw new Error('The block lacks a part.')
  const { id } = first.header
  const signed = (...pair: unknown[]): Section[] => [a, b, list, sectionOf(pair), header]
  const blocks: readonly [name: string, sections: readonly Section[], code: ErrorCode][] = [
    ['transactions swapped', [b, a, list, signature, header], 'block_wrong_transactions'],
    ['a transaction left out', [a, list, signature, header], 'block_wrong_transactions'],
    ['a transaction too many', [a, b, b, list, signature, header], 'block_wrong_transactions'],
    ['another list', [a, b, sectionOf([plain.id]), signature, header], 'block_wrong_list'],
    ['a list of numbers', [a, b, sectionOf([1]), signature, header], 'block_malformed'],
    ['no signature', [list, header], 'block_malformed'],
    ['no header at the end', [a, b, list, signature], 'block_malformed'],
    ['a signature with a third part', signed(id, first.signature, 0), 'block_malformed'],
    ['a signature alone', signed(first.signature), 'block_malformed'],
    ['a signature of 63 bytes', signed(id, first.signature.subarray(1)), 'block_malformed'],
    ['a signature that names another header', signed(genesis.id, first.signature), 'block_malformed'],
    ['the CID of another', [a, b, list, signature, { ...header, cid: list.cid }], 'wrong_cid'],
  ]
  const car = makeChains()['chain.car'] ?? new Uint8Array(0)
  const otherStart = [...start.slice(0, 1), ...genesisSections(paper.genesis)]
  const files: readonly [name: string, car: Uint8Array, code: ErrorCode][] = [
    ['one bit turned', car.with(car.length - 500, (car.at(-500) ?? 0) ^ 1), 'wrong_cid'],
    ['the genesis of another network', encodeCar([easy.network.cid], otherStart), 'other_network'],
    ['another root', encodeCar([genesis.id], start), 'malformed_car'],
    ['a tail cut off', car.subarray(0, -7), 'malformed_car'],
    ['nothing', new Uint8Array(0), 'malformed_car'],
  ]
  const verdicts = judgeInPython(t, [
    ...blocks.map(([, sections]) => encodeCar([easy.network.cid], [...start, ...sections])),
    ...files.map(([, car]) => car),
  ])
  for (const [at, [name, , code]] of [...blocks, ...files].entries()) t.equal(verdicts[at], `invalid ${code}`, name)
  for (const [name, sections, code] of blocks) {
    t.throws(() => decodeBlocks(encodeCar([], sections)), { code }, `${name} here`)
  }
})

t.test('both read the same items', options, async (t) => {
  const readers = {
    transaction: decodeTransaction,
    consent: decodeTransaction,
    header: decodeHeader,
    list: decodeTransactionList,
  }
  const items = { transaction: transactionBytes, consent: consentBytes, header: headerBytes, list: listBytes }
  const cases = (['transaction', 'consent', 'header', 'list'] as const).flatMap((kind) =>
    fc
      .sample(items[kind], kind === 'consent' ? 3_000 : 1_000)
      .map((bytes) => ({ kind, bytes, line: `${kind} ${Buffer.from(bytes).toString('hex')}` })),
  )
  const { status, lines } = python(script('read_items.py'), [], cases.map(({ line }) => `${line}\n`).join(''))
  t.equal(status, 0, lines.at(-1) ?? '')
  t.equal(lines.length, cases.length)
  let accepted = 0
  const differences = cases.flatMap(({ kind, bytes, line }, at) => {
    let here = true
    try {
      readers[kind](bytes)
    } catch (error) {
      if (!isEmrError(error)) throw error
      here = false
    }
    if (here) accepted += 1
    return here === (lines[at] === 'ok') ? [] : [`${line}: ${lines[at]}`]
  })
  t.same(differences, [])
  t.ok(accepted > 200 && accepted < cases.length - 200, `${accepted} of ${cases.length} were accepted`)
})

/** A record with other fields under the old signature. */
function resigned(record: typeof plain, change: object): SignedTransaction {
  const { id: _id, bytes: _bytes, ...fields } = record
  return decodeTransaction(encodeCanonical({ ...fields, ...change }))
}
