import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { isPreferred } from '#emrchain/consensus/fork-choice.js'
import { nameKey } from '#emrchain/node/block-facts.js'
import type { Block } from '#emrchain/protocol/block.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import { clearLabelOf, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, type OpenChain, openChain, type TestScope } from '../fixtures/block-maker.js'

/** From one branch to another and back: `npm run torture -- reorg` has the long one. */

const DEPTHS = process.env.EMRCHAIN_LONG ? [1_000] : [1, 6, 100]
/** Blocks that the chain is given at once, as a sync does. */
const RUN = 50
/** The longest that one step of a reorganisation of 1,000 blocks may keep others from their turn, in ms. */
const MOST_DELAY = 1_000

const maker = createBlockMaker()
const { genesis } = maker
const shared = Array.from({ length: 20 }, (_, at) => maker.record(`shared-${at}`))

/** Blocks in a row, each with two records of its own; the first ones also hold one that both branches have. */
function branch(parent: IdentifiedHeader, name: string, length: number, common = shared): Block[] {
  const blocks: Block[] = []
  for (let at = 0; at < length; at++) {
    const records: SignedTransaction[] = [maker.record(`${name}-${at}-a`), maker.record(`${name}-${at}-b`)]
    const both = common[at]
    if (both) records.push(both)
    blocks.push(maker.block(blocks.at(-1)?.header ?? parent, records))
  }
  return blocks
}

async function take({ chain }: OpenChain, blocks: readonly Block[]): Promise<void> {
  await chain.addHeaders(blocks)
  for (let from = 0; from < blocks.length; from += RUN) await chain.addBlocks(blocks.slice(from, from + RUN))
}

const names = (transactions: Iterable<{ id: { toString(): string } }>): string[] =>
  Array.from(transactions, ({ id }) => id.toString())
/** The records of a branch that another one lacks. */
const lost = (from: readonly Block[], to: readonly Block[]): SignedTransaction[] => {
  const kept = new Set(to.flatMap(({ transactions }) => names(transactions)))
  return from.flatMap(({ transactions }) => transactions).filter(({ id }) => !kept.has(id.toString()))
}

/** Looks at everything again and again, a turn at a time, until it is told to stop. */
function watch({ ledger }: OpenChain, [ours, theirs]: readonly [Block, Block]) {
  let stopped = false
  let longest = 0
  let looks = 0
  const wrong: string[] = []
  const [a, b] = [ours.transactions[0], theirs.transactions[0]]

  const look = (): void => {
    const tip = ledger.tip()
    if (!ledger.blockAt(tip.height)?.id.equals(tip.id)) wrong.push('the tip is not the last block')
    if (ledger.blockAt(tip.height + 1)) wrong.push('a block stands above the tip')
    for (let height = Math.max(1, tip.height - 20); height <= tip.height; height++) {
      const parent = ledger.blockAt(height - 1)
      if (!parent || !ledger.blockAt(height)?.parent.equals(parent.id)) wrong.push(`a gap at ${height}`)
    }
    const first = ledger.blockAt(1)?.id
    for (const [block, transaction] of [[ours, a] as const, [theirs, b] as const]) {
      if (!transaction) continue
      const isThere = first?.equals(block.header.id) ?? false
      const found = ledger.confirmation(transaction.id)
      if ((found !== undefined) !== isThere) wrong.push('a record without its block, or a block without its record')
      if (found && !ledger.blockAt(found.height)?.id.equals(found.block)) wrong.push('a record in another block')
      const label = nameKey(clearLabelOf(transaction)?.EHR_name ?? '')
      if ((ledger.newest(label, { limit: 1 }).length === 1) !== isThere) wrong.push('a name without its record')
    }
  }
  const running = (async () => {
    for (let before = performance.now(); !stopped; before = performance.now()) {
      await nextTurn()
      longest = Math.max(longest, performance.now() - before)
      look()
      looks++
    }
  })()
  return {
    async stop() {
      stopped = true
      await running
      return { longest, looks, wrong }
    },
  }
}

for (const depth of DEPTHS) {
  t.test(`${depth} blocks`, { timeout: 600_000 }, async (t) => {
    const [ours, theirs] = [branch(genesis, 'ours', depth), branch(genesis, 'theirs', depth + 1)]
    const [first, other] = [ours[0], theirs[0]]
    if (!first || !other) throw new Error('There is one.')
    const more = branch(ours.at(-1)?.header ?? genesis, 'more', 2, [])
    const replay = async (t: TestScope, blocks: readonly Block[]): Promise<string> => {
      const fresh = await openChain(t, maker)
      await take(fresh, blocks)
      return fresh.ledger.stateHash()
    }
    let hashes: string[] = []
    await t.test('fresh nodes that saw one branch only', async (t) => {
      await t.test('theirs', async (t) => void hashes.push(await replay(t, theirs)))
      await t.test('ours', async (t) => void hashes.push(await replay(t, [...ours, ...more])))
      await t.test('theirs again', async (t) => t.equal(await replay(t, theirs), hashes[0]))
      t.not(hashes[0], hashes[1], 'two branches are two states')
    })
    const open = await openChain(t, maker)
    const { chain, ledger } = open
    await take(open, ours)
    const changes: { disconnected: number; connected: number }[] = []
    chain.onTipChanged(({ disconnected, connected }) =>
      changes.push({ disconnected: disconnected.length, connected: connected.length }),
    )

    const watched = watch(open, [first, other])
    const heap = process.memoryUsage().heapUsed
    const before = performance.now()
    await take(open, theirs)
    const seconds = (performance.now() - before) / 1_000
    const { longest, looks, wrong } = await watched.stop()
    const grown = (process.memoryUsage().heapUsed - heap) / 1024 ** 2
    t.comment(
      `${seconds.toFixed(1)} s, longest turn ${longest.toFixed(0)} ms, ${looks} looks, ${grown.toFixed(0)} MiB more`,
    )
    t.same(wrong, [], 'no reader sees half of it')
    t.ok(looks > 0)
    t.ok(longest < MOST_DELAY, `${longest.toFixed(0)} ms at most without a turn for others`)
    const switches = changes.filter(({ disconnected }) => disconnected > 0)
    t.equal(switches.length, 1, 'one switch')
    t.equal(switches[0]?.disconnected, depth)
    t.equal(await ledger.stateHash(), hashes[0], 'the state is that of a fresh replay')
    t.same(
      names(ledger.state.pending()),
      names(lost(ours, theirs)),
      'what only the losing branch held waits, in its order',
    )

    await take(open, more)
    t.equal(await ledger.stateHash(), hashes[1], 'and back again')
    t.same(names(ledger.state.pending()).sort(), names(lost(theirs, [...ours, ...more])).sort())
    hashes = []
  })
}

t.test('equal work: the lower id wins on every node, in whatever order blocks come', async (t) => {
  const [a, b] = [branch(genesis, 'a', 3), branch(genesis, 'b', 3)]
  const [endA, endB] = [a[2], b[2]]
  if (!endA || !endB) throw new Error('There are three.')
  const lower = isPreferred({ id: endA.header.id, work: 1n }, { id: endB.header.id, work: 1n }) ? endA : endB
  const states = new Set<string>()
  for (const order of [
    [a, b],
    [b, a],
  ]) {
    const open = await openChain({ testdir: () => t.testdir({}), teardown: (close) => t.teardown(close) }, maker, {
      folder: `${t.testdirName}-${order[0] === a}`,
    })
    for (const blocks of order) await take(open, blocks)
    t.ok(open.chain.tip().header.id.equals(lower.header.id))
    states.add(await open.ledger.stateHash())
  }
  t.equal(states.size, 1)
})

t.test('an invalid block in the middle of a run', async (t) => {
  const open = await openChain(t, maker)
  const good = branch(genesis, 'good', 3)
  const parent = good[2]?.header ?? genesis
  const bad = maker.block(parent, [maker.record('twice'), maker.record('twice')])
  const after = branch(bad.header, 'after', 3, [])
  await open.chain.addHeaders([...good, bad, ...after])
  await t.rejects(open.chain.addBlocks([...good, bad, ...after]), { code: 'block_duplicate_transaction' })
  t.ok(open.chain.tip().header.id.equals(parent.id), 'what is before it is kept')
  t.same(open.chain.missing(), [])
  for (const block of [bad, ...after]) {
    await t.rejects(open.chain.addBlock(block), { code: 'header_invalid_parent' })
  }
  const unsigned = maker.record('unsigned')
  const forged = { ...unsigned, sig: new Uint8Array(64) }
  const child = maker.block(parent, [maker.record('fine'), forged])
  await t.rejects(open.chain.addBlocks([child]), { code: 'transaction_bad_signature' })
})
