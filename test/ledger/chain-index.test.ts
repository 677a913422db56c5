import { join } from 'node:path'
import t from 'tap'
import type { BlockEntry, IndexedBlock } from '#emrchain/ledger/block-entry.js'
import { toIndexedBlock } from '#emrchain/ledger/chain-blocks.js'
import { type ChainIndex, createChainIndex, indexDatabase } from '#emrchain/ledger/chain-index.js'
import { createDatabase, type Database, openDatabase } from '#emrchain/ledger/database.js'
import { indexPrefix } from '#emrchain/ledger/layout.js'
import { cidOfDigest } from '#emrchain/protocol/cid.js'
import { byName, child, type ExampleBlock, genesis, record } from './example-chain.js'

const START = 1000

const open = async (t: {
  testdir(): string
}): Promise<{ database: Database; index: ChainIndex; reopen(): Promise<ChainIndex> }> => {
  const options = indexDatabase(join(t.testdir(), 'index'), 'me')
  await createDatabase(options)
  const database = await openDatabase(options)
  const index = createChainIndex(database, START)
  const reopen = async (): Promise<ChainIndex> => {
    await index.close()
    return createChainIndex(await openDatabase(options), START)
  }
  return { database, index, reopen }
}

/** A block as it would lie in the file behind `offset`, each section 100 bytes long. */
const placed = (block: ExampleBlock, offset: number, parent?: BlockEntry): IndexedBlock => {
  const run = block.sections.map((section, at) => ({ ...section, offset: offset + 100 * at, length: 100 }))
  const indexed = toIndexedBlock(run, block.facts, parent)
  if (!indexed) throw new Error('facts and sections differ')
  return indexed
}
const endOf = ({ entry }: IndexedBlock): number => entry.offset + entry.length

const base = placed(genesis, START)
const exampleOne = child(genesis, [record('a'), record('b')], 2 ** 40)
const one = placed(exampleOne, endOf(base), base.entry)
const two = placed(child(exampleOne, [record('a', 'bob')], 5), endOf(one), one.entry)

t.test('blocks connect and disconnect one by one; end and tip are kept', async (t) => {
  const { index, reopen } = await open(t)
  t.equal(index.end, START)
  t.equal(index.tip(), undefined)
  t.equal(index.isBehind(START), false)
  t.equal(index.isBehind(START + 1), true)
  index.connect(base, endOf(base))
  index.connect(one, endOf(one))
  index.connect(two, endOf(two))
  t.same(index.tip(), two.entry)
  t.equal(index.tip()?.totalWork, 2n ** 40n + 5n)
  t.same(index.blockAt(1), one.entry, 'an entry is read as it was written')
  t.same(
    index.newest(byName('a'), { limit: 9 }).map(({ height }) => height),
    [2, 1],
  )
  index.disconnect(two)
  const again = await reopen()
  t.same(again.tip(), one.entry)
  t.equal(again.end, endOf(two))
  t.equal(again.blockAt(2), undefined)
  t.same(again.staleBlocks(), [two.entry])
  t.equal(again.confirmation(record('a', 'bob').cid), undefined)
  t.match(again.confirmation(record('b').cid), { height: 1, position: 1, offset: one.entry.offset + 100, length: 100 })
  t.same(
    again.newest(byName('a'), { limit: 9 }).map(({ height }) => height),
    [1],
  )
  again.forget([two], endOf(one))
  t.equal(again.block(two.entry.id), undefined)
  t.same(again.appearances(record('a', 'bob').cid), [])
  t.equal(again.end, endOf(one))
  await again.close()
})

t.test('a step that does not fit is refused whole', async (t) => {
  const { index } = await open(t)
  index.connect(base, endOf(base))
  t.throws(() => index.connect(two, endOf(two)), { code: 'internal' }, 'the parent is missing')
  t.throws(() => index.connect(base, endOf(base)), { code: 'internal' }, 'a second genesis')
  t.throws(() => index.disconnect(one), { code: 'internal' }, 'not the tip')
  t.throws(() => index.switchTo({ add: [one], connect: [one], disconnect: [one], end: 1 }), { code: 'internal' })
  t.throws(() => index.forget([base], START), { code: 'internal' }, 'it is on the main chain')
  t.same(index.tip(), base.entry)
  t.equal(index.end, endOf(base))
  t.equal(index.block(one.entry.id), undefined)
  await index.close()
})

t.test('an index that contradicts itself is index_damaged', async (t) => {
  const { database, index, reopen } = await open(t)
  index.connect(base, endOf(base))
  index.connect(one, endOf(one))
  const height = Buffer.from([indexPrefix.height, 0, 0, 0, 0])
  t.ok(database.get(height))
  database.writeNow((writes) => writes.remove(height))
  t.throws(() => index.blockAt(0), { code: 'index_damaged' })
  await t.rejects(reopen(), { code: 'index_damaged' }, 'it is not believed again')
})

t.test('ids that begin alike are told apart, and a block of many is read in every part', async (t) => {
  const { index, reopen } = await open(t)
  const ids = Array.from({ length: 60 }, (_, at) => cidOfDigest(new Uint8Array(32).fill(7).fill(at, 8)))
  const holding = (block: IndexedBlock, from: number, to: number): IndexedBlock => ({
    ...block,
    transactions: ids.slice(from, to).map((id, at) => ({
      ...{ id, offset: block.entry.offset + 100 * at, length: 100 },
      lookups: [{ namespace: 'name', key: Buffer.from('all') }],
    })),
  })
  const [first, second] = [holding(one, 0, 59), holding(two, 58, 60)]
  index.connect(base, endOf(base))
  index.connect(first, endOf(first))
  index.connect(second, endOf(second))
  const again = await reopen()
  const { offset } = first.entry
  for (const [position, id] of ids.slice(0, 58).entries()) {
    const expected = { id, height: 1, position, offset: offset + 100 * position, length: 100, block: first.entry.id }
    t.same(again.appearances(id), [expected])
    t.same(again.confirmation(id), { ...expected, time: first.entry.time })
  }
  t.same(
    again
      .appearances(cidOfDigest(new Uint8Array(32).fill(7).fill(58, 8)))
      .map(({ height, position }) => [height, position]),
    [
      [1, 58],
      [2, 0],
    ],
  )
  t.same(
    again.appearances(cidOfDigest(new Uint8Array(32).fill(7).fill(200, 8))),
    [],
    'one that begins as they do and is none of them',
  )
  t.same(
    [...again.matches(byName('all'))].map(({ id }) => id.toString()),
    [...ids.slice(58, 60).reverse(), ...ids.slice(0, 59).reverse()].map(String),
    'newest first',
  )
  again.disconnect(second)
  again.forget([second], endOf(first))
  t.same(again.appearances(ids[59] ?? base.entry.id), [])
  t.equal(again.appearances(ids[58] ?? base.entry.id).length, 1)
  await again.close()
})
