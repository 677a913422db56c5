import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import type { Chain, TipChanged } from '#emrchain/chain/chain.js'
import { verifyChain } from '#emrchain/chain/verify-chain.js'
import { isPreferred } from '#emrchain/consensus/fork-choice.js'
import type { Block } from '#emrchain/protocol/block.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import { createBlockMaker, openChain, rules } from '../fixtures/block-maker.js'

const maker = createBlockMaker()
const { genesis, network } = maker

/** Blocks in a row on `parent`, each with one record of its own. */
function branch(parent: IdentifiedHeader, name: string, length: number): Block[] {
  const blocks: Block[] = []
  for (let i = 0; i < length; i++) {
    blocks.push(maker.block(blocks.at(-1)?.header ?? parent, [maker.record(`${name}-${i}`)]))
  }
  return blocks
}

const heights = (chain: Chain): number[] => chain.missing().map(({ height }) => height)

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items
}

t.test('equal work: the lower id wins on every node, whatever comes first', async (t) => {
  const [a, b] = [maker.block(genesis, [maker.record('a')]), maker.block(genesis, [maker.record('b')])]
  const [lower, higher] = isPreferred({ id: a.header.id, work: 1n }, { id: b.header.id, work: 1n }) ? [a, b] : [b, a]
  for (const order of [
    [lower, higher],
    [higher, lower],
  ]) {
    await t.test(`the ${order[0] === lower ? 'lower' : 'higher'} first`, async (t) => {
      const { chain } = await openChain(t, maker)
      for (const block of order) await chain.addBlock(block)
      t.ok(chain.tip().header.id.equals(lower.header.id))
      t.equal(await chain.addBlock(higher), order[0] === lower ? 'header' : 'known', 'no flap')
      t.ok(chain.tip().header.id.equals(lower.header.id))
    })
  }
})

t.test('a heavier branch takes over, and back again', async (t) => {
  const { chain, store, ledger } = await openChain(t, maker)
  const changes: TipChanged[] = []
  chain.onTipChanged((change) => changes.push(change))
  const [ours, theirs] = [branch(genesis, 'ours', 3), branch(genesis, 'theirs', 4)]
  for (const block of ours) t.equal(await chain.addBlock(block), 'connected')

  await chain.addHeaders(theirs)
  t.same(heights(chain), [1, 2, 3, 4])
  t.ok(chain.tip().header.id.equals(ours[2]?.header.id), 'headers move no tip')
  for (const block of theirs.slice(0, 3)) t.equal(await chain.addBlock(block), 'stored')
  t.same(heights(chain), [4])
  const fourth = theirs[3]
  if (!fourth) throw new Error('there are four')
  t.equal(await chain.addBlock(fourth), 'connected')
  t.same(heights(chain), [])

  const change = changes.at(-1)
  t.same(
    change?.disconnected.map(({ header }) => header.height),
    [3, 2, 1],
  )
  t.same(
    change?.connected.map(({ header }) => header.height),
    [1, 2, 3, 4],
  )
  const lost = ours.flatMap(({ transactions }) => transactions.map(({ id }) => id.toString()))
  t.same(
    change?.returned.map(({ id }) => id.toString()),
    lost,
    'lost records in their order',
  )
  t.same(
    Array.from(ledger.state.pending(), ({ id }) => id.toString()),
    lost,
    'and on disk, pending',
  )
  for (const block of ours) t.equal(store.placeOf(block.transactions[0]?.id ?? genesis.id), undefined)

  const more = branch(ours[2]?.header ?? genesis, 'more', 2)
  for (const block of more) await chain.addBlock(block)
  t.ok(chain.tip().header.id.equals(more[1]?.header.id), 'back on the first branch')
  t.same(
    Array.from(ledger.state.pending(), ({ id }) => id.toString()).sort(),
    theirs.flatMap(({ transactions }) => transactions.map(({ id }) => id.toString())).sort(),
  )
})

t.test('more blocks of less work do not take over', async (t) => {
  // With one fixed difficulty work is length; summed work decides all the same.
  t.notOk(isPreferred({ id: genesis.id, work: 9n }, { id: genesis.id, work: 10n }))
  const { chain } = await openChain(t, maker)
  const [long, short] = [branch(genesis, 'long', 5), branch(genesis, 'short', 4)]
  for (const block of long) await chain.addBlock(block)
  await chain.addHeaders(short)
  t.same(heights(chain), [])
  for (const block of short) t.equal(await chain.addBlock(block), 'header', 'no body of a lighter branch is stored')
  t.ok(chain.tip().header.id.equals(long[4]?.header.id))
})

t.test('a record that both branches hold stays where it is', async (t) => {
  const { chain, store, ledger } = await openChain(t, maker)
  const shared = maker.record('shared')
  const ours = maker.block(genesis, [shared])
  const first = maker.block(genesis, [maker.record('x'), shared])
  const second = maker.block(first.header, [])
  await chain.addBlock(ours)
  await chain.addHeaders([first, second])
  await chain.addBlock(first)
  await chain.addBlock(second)
  t.match(store.placeOf(shared.id), { height: 1, position: 1 })
  t.same([...ledger.state.pending()], [])
})

t.test('what no block held is found as soon as one holds it', async (t) => {
  const { chain, store } = await openChain(t, maker)
  const [record, other] = [maker.record('asked for early'), maker.record('on a branch')]
  const nowhere = () => [store.placeOf(record.id), store.placeOf(other.id), store.holdersOf(record.id).length]
  t.same(nowhere(), [undefined, undefined, 0])
  t.same(nowhere(), [undefined, undefined, 0], 'nor when it is asked again')

  const first = maker.block(genesis, [record])
  const adding = chain.addBlock(first)
  // Asked all the while the block is being written.
  let isAdded = false
  void adding.finally(() => {
    isAdded = true
  })
  while (!isAdded) {
    store.placeOf(record.id)
    await setImmediate()
  }
  t.equal(await adding, 'connected')
  t.match(store.placeOf(record.id), { height: 1, position: 0 })
  t.same(store.holdersOf(record.id).map(String), [String(first.header.id)])
  await t.rejects(chain.addBlock(maker.block(first.header, [record])), { code: 'block_duplicate_transaction' })

  const branch = [maker.block(genesis, [other])]
  branch.push(maker.block(branch[0]?.header ?? genesis, []))
  for (const block of branch) await chain.addHeaders([block])
  for (const block of branch) await chain.addBlock(block)
  t.match(store.placeOf(other.id), { height: 1, position: 0 })
  t.equal(store.placeOf(record.id), undefined, 'its block is off the main chain')
  t.same(store.holdersOf(record.id).map(String), [String(first.header.id)], 'and still there')
})

t.test('an invalid block in the middle of a heavier branch', async (t) => {
  const { chain } = await openChain(t, maker)
  const [ours] = branch(genesis, 'ours', 1)
  const [good] = branch(genesis, 'good', 1)
  if (!ours || !good) throw new Error('there is one')
  const bad = maker.block(good.header, [maker.record('bad'), maker.record('bad')])
  const after = branch(bad.header, 'after', 3)
  await chain.addBlock(ours)
  await chain.addHeaders([good, bad, ...after])
  t.same(heights(chain), [1, 2, 3, 4, 5])
  await chain.addBlock(good)
  await t.rejects(chain.addBlock(bad), { code: 'block_duplicate_transaction' })
  t.same(heights(chain), [], 'the branch is of no use any more')
  for (const block of after) await t.rejects(chain.addBlock(block), { code: 'header_invalid_parent' })
  const valid = isPreferred({ id: good.header.id, work: 1n }, { id: ours.header.id, work: 1n }) ? good : ours
  t.ok(chain.tip().header.id.equals(valid.header.id))
})

t.test('a reorganisation of 100 blocks equals a fresh replay, also after opening again', async (t) => {
  const folder = t.testdir()
  const [ours, theirs] = [branch(genesis, 'ours', 100), branch(genesis, 'theirs', 101)]
  await t.test('one way and the other', async (t) => {
    const { chain } = await openChain(t, maker, { folder })
    for (const block of ours) await chain.addBlock(block)
    await chain.addHeaders(theirs)
    for (const block of theirs) await chain.addBlock(block)
    t.ok(chain.tip().header.id.equals(theirs.at(-1)?.header.id))
  })
  await t.test('opened again', async (t) => {
    const { chain, store, ledger } = await openChain(t, maker, { folder })
    t.ok(chain.tip().header.id.equals(theirs.at(-1)?.header.id))
    const pending = Array.from(ledger.state.pending(), ({ id }) => id.toString())
    t.same(
      pending,
      ours.flatMap(({ transactions }) => transactions.map(({ id }) => id.toString())),
    )
    const blocks: Block[] = []
    for (let height = 1; height <= 101; height++) blocks.push(await store.readBlock(store.idAt(height) ?? genesis.id))
    const verified = await verifyChain(each(blocks), { network, genesis, rules, now: () => genesis.time + 1e9 })
    t.equal(verified.blocks, 101)
    t.equal(verified.transactions, 101)
    t.equal(verified.tip.work, chain.tip().work)
  })
})

t.test('a full check finds what is wrong, and where', async (t) => {
  const deps = { network, genesis, rules, now: () => genesis.time + 1e9 }
  const [first, second, third] = branch(genesis, 'x', 3)
  if (!first || !second || !third) throw new Error('there are three')
  await t.rejects(verifyChain(each([first, third]), deps), { code: 'header_unknown_parent', height: 3 })
  const repeated = maker.block(second.header, first.transactions)
  const tried = verifyChain(each([first, second, repeated]), deps)
  await t.rejects(tried, { code: 'block_duplicate_transaction', height: 3 })
  const sibling = maker.block(genesis, first.transactions, { header: { time: genesis.time + 7 } })
  t.equal((await verifyChain(each([first, sibling, second]), deps)).blocks, 3, 'on another branch it is no repetition')
})

t.test('the locator thins out towards genesis', async (t) => {
  const { chain } = await openChain(t, maker)
  t.same(chain.locator().map(String), [genesis.id.toString()])
  const blocks = branch(genesis, 'x', 40)
  for (const block of blocks) await chain.addBlock(block)
  const heights = chain.locator().map((id) => blocks.findIndex(({ header }) => header.id.equals(id)) + 1)
  t.same(heights.slice(0, 11), [40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30])
  t.equal(heights.at(-1), 0)
  t.ok(heights.length < 20)
})
