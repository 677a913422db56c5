import { EventEmitter } from 'node:events'
import t from 'tap'
import { createChainJson } from '#emrchain/http/chain-json.js'
import { paperBlock } from '#emrchain/http/paper-json.js'
import type { EmrNode, NodeEvents } from '#emrchain/node/emr-node.js'
import type { Block } from '#emrchain/protocol/block.js'
import { createBlockMaker } from '../fixtures/block-maker.js'

const maker = createBlockMaker()
const genesis: Block = { header: maker.genesis, signature: new Uint8Array(0), transactions: [] }

/** Blocks of one record on top of these. */
function extend(chain: readonly Block[], count: number, name: string): Block[] {
  const blocks = [...chain]
  for (let at = 0; at < count; at++) {
    blocks.push(maker.block(blocks.at(-1)?.header ?? maker.genesis, [maker.record(`${name}-${at}-ä`)]))
  }
  return blocks
}

const AT_ONCE = 30

/** A node as far as it is read, with a chain that can be changed under the reader. */
function nodeWith(chain: readonly Block[]) {
  const events = new EventEmitter<NodeEvents>()
  let current = chain
  const read: number[] = []
  const tip = () => ({ ...(current.at(-1) ?? genesis), work: 1n, transactionCount: 1 })
  const node: Pick<EmrNode, 'blocks' | 'tip' | 'events'> = {
    events,
    tip,
    async *blocks(from, to) {
      for (let height = from; height <= to; height += AT_ONCE) {
        const some = current.slice(height, Math.min(to + 1, height + AT_ONCE))
        read.push(...some.map((_, at) => height + at))
        yield some
        if (some.length < AT_ONCE) return
      }
    },
  }
  return {
    node,
    /** Heights of the blocks that were read since the last call. */
    reads: () => read.splice(0),
    /** The main chain is another one from now on; whoever listens hears of it. */
    change(to: readonly Block[]) {
      const disconnected = current.filter((block, height) => block !== to[height]).reverse()
      current = to
      events.emit('tip', { tip: tip(), connected: [], disconnected })
    },
  }
}

async function blocksOf(json: ReturnType<typeof createChainJson>, from: number, to: number): Promise<unknown[]> {
  const pieces: Buffer[] = []
  for await (const piece of json.blocks(from, to)) pieces.push(piece)
  return JSON.parse(`[${Buffer.concat(pieces).toString().slice(1)}]`)
}
const same = (blocks: readonly Block[]): unknown[] => JSON.parse(JSON.stringify(blocks.map(paperBlock)))
const heights = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at)

const trunk = extend([genesis], 149, 'trunk')

t.test('spans are read once, and every part is the same text', async (t) => {
  const { node, reads } = nodeWith(trunk)
  const json = createChainJson(node)
  t.same(await blocksOf(json, 0, 149), same(trunk))
  t.same(reads(), heights(0, 149))
  t.same(await blocksOf(json, 0, 149), same(trunk))
  t.same(reads(), [])
  for (const [from, to] of [
    [0, 63],
    [1, 64],
    [63, 128],
    [64, 127],
    [100, 100],
    [5, 4],
  ] as const) {
    t.same(await blocksOf(json, from, to), same(trunk.slice(from, to + 1)), `${from} to ${to}`)
  }
  reads()
  t.same(await blocksOf(json, 64, 999), same(trunk.slice(64)), 'it ends where the chain does')
})

t.test('of a span that is not whole only what is new is read', async (t) => {
  const { node, reads, change } = nodeWith(trunk)
  const json = createChainJson(node)
  t.same(await blocksOf(json, 0, 140), same(trunk.slice(0, 141)))
  reads()
  t.same(await blocksOf(json, 0, 149), same(trunk))
  t.same(reads(), heights(141, 149))
  const longer = extend(trunk, 60, 'longer')
  change(longer)
  t.same(await blocksOf(json, 0, 209), same(longer))
  t.same(reads(), heights(150, 209))
  t.same(await blocksOf(json, 128, 140), same(trunk.slice(128, 141)), 'fewer than are kept')
  t.same(reads(), heights(128, 140))
})

t.test('texts are made ahead, nearest the tip first', async (t) => {
  const { node, reads, change } = nodeWith(trunk)
  const json = createChainJson(node)
  const prepare = async (): Promise<[isDone: boolean, read: number[], kept: number]> => [
    await json.prepareNext(),
    reads(),
    json.keptBlocks(),
  ]
  t.same(await prepare(), [true, heights(128, 149), 22])
  t.same(await prepare(), [true, heights(64, 127), 86])
  t.same(await prepare(), [true, heights(0, 63), 150])
  t.same(await prepare(), [false, [], 150])
  t.same(await blocksOf(json, 0, 149), same(trunk))
  t.same(reads(), [], 'whoever asks then has no block read')
  const longer = extend(trunk, 60, 'longer')
  change(longer)
  t.same(await prepare(), [true, heights(192, 209), 168])
  t.same(await prepare(), [true, heights(150, 191), 210])
  const other = extend(trunk.slice(0, 100), 120, 'other')
  change(other)
  t.same(await prepare(), [true, heights(192, 219), 92], 'those of the other branch are gone')
  while (await json.prepareNext());
  reads()
  t.same(await blocksOf(json, 0, 219), same(other))
  t.same(reads(), [])
})

t.test('a reorganisation drops what it changed, and no more', async (t) => {
  const { node, reads, change } = nodeWith(trunk)
  const json = createChainJson(node)
  await blocksOf(json, 0, 149)
  reads()
  const other = extend(trunk.slice(0, 100), 60, 'other')
  change(other)
  t.same(await blocksOf(json, 0, 159), same(other))
  t.same(reads(), heights(64, 159), 'the first span stays')
  t.equal(json.keptBlocks(), 160)
  change(extend(other, 1, 'more'))
  await blocksOf(json, 0, 127)
  t.same(reads(), [], 'a longer chain drops nothing')
})

t.test('what was read across a reorganisation is not kept', async (t) => {
  const { node, reads, change } = nodeWith(trunk)
  const other = extend(trunk.slice(0, 10), 200, 'other')
  let isChanged = false
  const json = createChainJson({
    ...node,
    async *blocks(from, to) {
      for await (const some of node.blocks(from, to)) {
        yield some
        if (!isChanged) change(other)
        isChanged = true
      }
    },
  })
  t.same(await blocksOf(json, 0, 63), same(other.slice(0, 64)), 'it is read anew')
  t.equal(json.keptBlocks(), 0)
  reads()
  t.same(await blocksOf(json, 0, 63), same(other.slice(0, 64)))
  t.same(reads(), heights(0, 63))
  t.equal(json.keptBlocks(), 64)
})

t.test('what is kept is bounded, and what is nearest the tip stays', async (t) => {
  const label = 'x'.repeat(250)
  const record = maker.record('long', { label: { user_id: label, EHR_name: label, file_name: label, size: 1 } })
  const block = maker.block(maker.genesis, [record])
  const read: number[] = []
  const spans = 40
  const nodeOf = (records: number): Pick<EmrNode, 'blocks' | 'tip' | 'events'> => ({
    events: new EventEmitter<NodeEvents>(),
    tip: () => ({ ...block, header: { ...block.header, height: spans * 64 - 1 }, work: 1n, transactionCount: 1 }),
    async *blocks(from, to) {
      read.push(...heights(from, to))
      yield heights(from, to).map(() => ({ ...block, transactions: Array.from({ length: records }, () => record) }))
    },
  })
  const long = createChainJson(nodeOf(12))
  t.equal((await blocksOf(long, 0, 63)).length, 64)
  t.equal(read.splice(0).length, 128, 'a span that is too long is read again, and sent as it is read')
  await blocksOf(long, 0, 63)
  t.equal(read.splice(0).length, 64, 'and not kept')
  t.equal(long.keptBlocks(), 0)

  const again = async (json: ReturnType<typeof createChainJson>): Promise<number[]> => {
    read.splice(0)
    await blocksOf(json, 0, spans * 64 - 1)
    return [...new Set(read.map((height) => Math.floor(height / 64)))]
  }
  const json = createChainJson(nodeOf(6))
  await blocksOf(json, 0, spans * 64 - 1)
  const dropped = await again(json)
  t.ok(dropped.length > 0 && dropped.length < spans, 'not all fit')
  t.same(dropped, heights(0, dropped.length - 1), 'those that were dropped are the first ones')

  const ahead = createChainJson(nodeOf(6))
  let steps = 0
  while (await ahead.prepareNext()) steps++
  t.ok(steps === spans - dropped.length || steps === spans - dropped.length - 1, 'as many are made as fit for certain')
  t.equal(ahead.keptBlocks(), steps * 64)
  t.same((await again(ahead)).at(-1), spans - steps - 1, 'those are nearest the tip')
})

t.test('blocks that are too long to be kept are not looked for through the whole chain', async (t) => {
  const header = { ...maker.genesis, height: 64 * 1_000 - 1 }
  const record = maker.record('long')
  const name = 'x'.repeat(600_000)
  const label = { user_id: 'ann', EHR_name: 'MRI', file_name: name, size: 1 }
  const long: Block = { ...genesis, transactions: [{ ...record, body: { ...record.body, label } }] }
  const asked: number[] = []
  const json = createChainJson({
    events: new EventEmitter<NodeEvents>(),
    tip: () => ({ ...genesis, header, work: 1n, transactionCount: 1 }),
    async *blocks(from) {
      asked.push(from / 64)
      yield [long]
    },
  })
  while (await json.prepareNext());
  const lowest = asked.at(-1) ?? 0
  t.same(asked, heights(lowest, 999).reverse(), 'each once, from the tip')
  t.ok(lowest > 300, 'and no more than could have found room')
  t.notOk(await json.prepareNext())
  t.equal(json.keptBlocks(), 0)
})
