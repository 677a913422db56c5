import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { verifyChain } from '#emrchain/chain/verify-chain.js'
import { applyAll } from '#emrchain/contract/apply-block.js'
import { type Change, createMemoryState } from '#emrchain/contract/state.js'
import type { Ledger } from '#emrchain/ledger/ledger.js'
import { type Block, hashResults } from '#emrchain/protocol/block.js'
import type { KindAndBody } from '#emrchain/protocol/bodies/decode-body.js'
import { capabilities, NO_END, roles } from '#emrchain/protocol/consent-vocabulary.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import { type SignedTransaction, signTransaction } from '#emrchain/protocol/transaction.js'
import { createWorld, identityBody, START, sign } from '../contract/consent-world.js'
import { stateDigest } from '../contract/pinned-sequence.js'
import { createBlockMaker, easyNetworkFile, openChain, rules, signerOf } from '../fixtures/block-maker.js'
import { clinic, consentBlocks, consentState } from '../protocol/make-consent-chain.js'

const maker = createBlockMaker()
const now = () => START + 1e9
const world = createWorld('open')
world.grant('doctor reads')
world.record('a record')
const people = world.transactions.slice(0, -2)
const consent = world.transactions.slice(-2)
/** Without the patient's identity nobody is known to have written them. */
const unknown = Uint8Array.of(1, 1)

/** A block that the contract answers with `codes`; the ms tell branches apart. */
const block = (
  parent: IdentifiedHeader,
  transactions: readonly SignedTransaction[],
  codes: Uint8Array,
  ms = 0,
): Block =>
  maker.block(parent, transactions, {
    header: { time: START + (parent.height + 1) * 1_000 + ms, results: hashResults(codes) },
  })
const zeros = (transactions: readonly SignedTransaction[]) => new Uint8Array(transactions.length)

/** What a ledger says of the state in each place that the changes of the world touch. */
const readAll = (ledger: Ledger): Change[] =>
  world.state.entries().map(({ table, key }) => {
    const value = ledger.contract.get(table, key)
    return { table, key, value: value ? Uint8Array.from(value) : null }
  })

const first = block(maker.genesis, people, zeros(people))
const second = block(first.header, consent, zeros(consent))
const other = block(maker.genesis, consent, unknown, 1)
const otherSecond = block(other.header, people, zeros(people), 1)
const otherThird = block(otherSecond.header, [], zeros([]), 1)
const third = block(second.header, [], zeros([]))
const fourth = block(third.header, [], zeros([]))

t.test('the state follows the main chain, there and back', async (t) => {
  const home = t.testdir()
  const folder = join(home, 'a')
  const { chain, ledger } = await openChain(t, maker, { folder, now })
  await t.rejects(chain.addBlock(block(maker.genesis, people, zeros(people).fill(1))), { code: 'block_wrong_results' })
  await chain.addBlocks([first, second])
  t.same(readAll(ledger), world.state.entries())
  t.same(ledger.resultsAt(1), zeros(people), 'all accepted')
  const atSecond = await ledger.stateHash()

  // The other branch is judged by its own state, in pieces, while the tip stays: in it consent comes before the people.
  t.equal(await chain.addBlock(other), 'header')
  t.equal(await chain.addBlock(otherSecond), 'header')
  await t.rejects(chain.addBlocks([other, otherSecond, block(otherSecond.header, [], Uint8Array.of(1), 2)]), {
    code: 'block_wrong_results',
  })
  t.same(readAll(ledger), world.state.entries())
  t.equal(await ledger.stateHash(), atSecond)

  t.equal(await chain.addBlocks([other, otherSecond, otherThird]), 'connected')
  t.same(ledger.resultsAt(1), unknown)
  const fresh = await openChain(t, maker, { folder: join(home, 'b'), now })
  await fresh.chain.addBlocks([other, otherSecond, otherThird])
  t.equal(await ledger.stateHash(), await fresh.ledger.stateHash(), 'as a fresh replay')
  t.not(await ledger.stateHash(), atSecond)

  t.equal(await chain.addBlocks([third, fourth]), 'connected')
  t.same(readAll(ledger), world.state.entries())
  t.same(ledger.resultsAt(1), zeros(people))
  const last = await ledger.stateHash()

  await ledger.close()
  rmSync(join(folder, 'index'), { recursive: true })
  const again = await openChain(t, maker, { folder, now })
  t.same(readAll(again.ledger), world.state.entries(), 'made again from the chain file')
  t.equal(await again.ledger.stateHash(), last)
  for (const open of [again, fresh]) await open.ledger.close()
})

t.test('the frozen chain gives the frozen state on disk', async (t) => {
  const { chain, ledger } = await openChain(t, clinic, { now })
  await chain.addBlocks([...consentBlocks])
  const entries = consentState.entries().map(({ table, key }) => {
    const value = ledger.contract.get(table, key)
    return { table, key, value: value ? Uint8Array.from(value) : null }
  })
  const path = new URL('../../test/vectors/protocol.json', import.meta.url)
  const { states } = JSON.parse(readFileSync(path, 'utf8')) as { states: Record<string, string> }
  t.equal(stateDigest(entries), states['chain-consent.car'])
})

t.test('blocks of a stored branch are applied again where nothing is in memory', async (t) => {
  const folder = t.testdir()
  const before = await openChain(t, maker, { folder, now })
  await before.chain.addBlocks([first, second])
  // Headers of a branch that is to win let its first blocks be stored.
  await before.chain.addHeaders([other, otherSecond, otherThird])
  t.equal(await before.chain.addBlocks([other, otherSecond]), 'stored')
  // What was stored is kept from the next change of the tip on.
  t.equal(await before.chain.addBlock(third), 'connected')
  await before.ledger.close()
  const { chain, ledger } = await openChain(t, maker, { folder, now })
  t.equal(await chain.addBlocks([otherThird, block(otherThird.header, [], zeros([]), 1)]), 'connected')
  t.same(ledger.resultsAt(1), unknown)
  const fresh = createMemoryState()
  applyAll(fresh, people, { height: 2, time: otherSecond.header.time })
  t.same(
    readAll(ledger).filter(({ value }) => value !== null),
    fresh.entries(),
    'the people, and no consent',
  )
  await ledger.close()
})

t.test('a chain is verified on every branch', async (t) => {
  async function* each(blocks: readonly Block[]): AsyncGenerator<Block> {
    yield* blocks
  }
  const deps = { network: maker.network, genesis: maker.genesis, rules, now }
  const all = [first, other, second, otherSecond, third, otherThird, fourth]
  t.match(await verifyChain(each(all), deps), { blocks: 7, tip: { height: 4 } })
  const wrong = block(
    second.header,
    [sign('nobody', { kind: 'erasure', body: { record: world.id('a record'), ground: 0 } })],
    Uint8Array.of(0),
  )
  await t.rejects(verifyChain(each([...all, wrong]), deps), { code: 'block_wrong_results', height: 3 })
})

t.test('results of a block that is to be mined', async (t) => {
  const { chain } = await openChain(t, maker, { now })
  t.same(chain.resultsOf(people, START), zeros(people))
  t.same(chain.resultsOf(consent, START), unknown)
  t.same(chain.resultsOf([...people, ...consent], START), zeros([...people, ...consent]), 'one after the other')
  t.same(chain.resultsOf([maker.record('bare')], START), Uint8Array.of(0))
})

t.test('in a network with administrators only those mine who may', async (t) => {
  const administrator = signerOf('administrator')
  const network = createBlockMaker({
    ...easyNetworkFile,
    name: 'clinic',
    clearLabels: false,
    administrators: { keys: [Buffer.from(administrator.publicKey).toString('hex')], threshold: 1 },
  })
  const send = (name: string, kindAndBody: KindAndBody) =>
    signTransaction({ chain: network.genesis.id, at: START, ...kindAndBody }, signerOf(name))
  const identity = (name: string, role: (typeof roles)[keyof typeof roles]) =>
    send(name, { kind: 'identity', body: identityBody(name, role) })
  const certify = (
    by: string,
    subject: SignedTransaction,
    under: SignedTransaction | null,
    role: number,
    until = NO_END,
  ) =>
    send(by, {
      kind: 'certificate',
      body: {
        subject: subject.id.bytes,
        role: role as 12,
        capabilities: role === roles.node ? capabilities.mine : 0,
        from: START,
        until,
        under: under?.id.bytes ?? null,
        approvals: [],
      },
    })
  const head = identity('administrator', roles.administrator)
  const hospital = identity('hospital', roles.organisation)
  const node = identity('a node', roles.node)
  const hospitalIs = certify('administrator', hospital, null, roles.organisation)
  const nodeIs = certify('hospital', node, hospitalIs, roles.node, START + 4_000)
  const mined = (
    parent: IdentifiedHeader,
    by: string,
    transactions: SignedTransaction[] = [],
    codes = zeros(transactions),
  ) =>
    network.block(parent, transactions, {
      signer: signerOf(by),
      header: { time: START + (parent.height + 1) * 1_000, results: hashResults(codes) },
    })
  const { chain, ledger } = await openChain(t, network, { now })
  const refused = { code: 'block_miner_not_admitted' }

  await t.rejects(chain.addBlock(mined(network.genesis, 'a node')), refused)
  const one = mined(network.genesis, 'administrator', [head, hospital, node])
  await chain.addBlock(one)
  await t.rejects(chain.addBlock(mined(one.header, 'a node')), refused, 'known, and without a certificate')
  const two = mined(one.header, 'administrator', [hospitalIs, nodeIs])
  await chain.addBlock(two)
  const bare = network.record('bare', { at: START, label: null })
  const three = mined(two.header, 'a node', [bare], Uint8Array.of(19))
  t.equal(await chain.addBlock(three), 'connected', 'certified; a record without consent has no effect here')
  t.same(ledger.resultsAt(3), Uint8Array.of(19))
  await t.rejects(chain.addBlock(mined(three.header, 'a node')), refused, 'its certificate has ended')
  t.equal(await chain.addBlock(mined(three.header, 'administrator')), 'connected')

  const labelled = mined(
    chain.tip().header,
    'administrator',
    [network.record('named', { at: START })],
    Uint8Array.of(19),
  )
  await t.rejects(chain.addBlock(labelled), { code: 'clear_label_forbidden' })
})
