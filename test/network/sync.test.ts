import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { CID } from 'multiformats/cid'
import t from 'tap'
import { createBranches } from '#emrchain/chain/branches.js'
import { DEFAULT_DOWNLOAD_LIMITS } from '#emrchain/network/download-parts.js'
import { DEFAULT_CLIENT_LIMITS } from '#emrchain/network/peer-client.js'
import type { Block } from '#emrchain/protocol/block.js'
import { encodeBlocks, encodeHeaders } from '#emrchain/protocol/car.js'
import { cidOf, parseChainId } from '#emrchain/protocol/cid.js'
import { type IdentifiedHeader, NONCE_OFFSET } from '#emrchain/protocol/header.js'
import { MAX_HEADERS } from '#emrchain/protocol/peer-messages.js'
import { createBlockMaker, type TestScope } from '../fixtures/block-maker.js'
import { type AnswerRequest, type StandIn, sendJson, standInFor } from '../fixtures/stand-in-peer.js'
import { agree, ask, startNode, type TestNode, until } from '../fixtures/start-node.js'

/** How a node comes to the heaviest chain that any of its peers has, whatever the others do. */

// Thousands of blocks are mined here.
t.setTimeout(600_000)
const HOUR = 3_600_000
const maker = createBlockMaker()
/** Short for peers that hang, yet long for a busy machine; small pieces, so that there are many. */
const options = {
  clientLimits: { ...DEFAULT_CLIENT_LIMITS, headersTimeout: 4_000, bodyTimeout: 4_000, answerTimeout: 8_000 },
  networkOptions: {
    syncInterval: HOUR,
    download: { ...DEFAULT_DOWNLOAD_LIMITS, pieceTimeout: 2_000, stallTimeout: 500, pieceBytes: 8_192 },
  },
}
const start = (t: TestScope, now?: () => number): Promise<TestNode> =>
  startNode(t, {}, { ...options, ...(now ? { now } : {}) })

/** Blocks in a row, each with a record. */
function branch(parent: IdentifiedHeader, name: string, length: number): Block[] {
  const blocks: Block[] = []
  for (let at = 0; at < length; at++) {
    blocks.push(maker.block(blocks.at(-1)?.header ?? parent, [maker.record(`${name}-${at}`)]))
  }
  return blocks
}
const [long, short] = [branch(maker.genesis, 'long', 160), branch(maker.genesis, 'short', 40)]

async function startWith(t: TestScope, blocks: readonly Block[]): Promise<TestNode> {
  const node = await start(t)
  await node.node.submitBlocks(blocks)
  return node
}
const failureOf = ({ node }: TestNode, { url }: StandIn): string | undefined =>
  node.peers().find(({ address }) => address === url)?.failure
const times = ({ asked }: StandIn, call: string): number => asked.filter((one) => one === call).length
const hang: AnswerRequest = () => undefined
const locatorOf = (incoming: { url?: string | undefined }): CID[] =>
  (new URL(incoming.url ?? '', 'http://peer').searchParams.get('locator') ?? '').split(',').map(parseChainId)
const heights = (incoming: { url?: string | undefined }): [from: number, to: number] => {
  const { searchParams } = new URL(incoming.url ?? '', 'http://peer')
  return [Number(searchParams.get('from')), Number(searchParams.get('to'))]
}

t.test('a node far behind takes the blocks from all who have them', async (t) => {
  const honest = await startWith(t, long)
  const peers = [await standInFor(t, honest), await standInFor(t, honest), await standInFor(t, honest)]
  const node = await start(t)
  const { refused } = await node.node.connect(peers.map(({ url }) => url))
  t.same(refused, [])
  t.ok(agree(node, honest))
  for (const peer of peers) t.equal(failureOf(node, peer), undefined)
  t.ok(peers.filter((peer) => times(peer, 'GET /blocks') > 0).length > 1, 'more than one gave some')
})

t.test('a node on another branch changes to the heavier one', async (t) => {
  const honest = await startWith(t, long)
  const node = await startWith(t, short)
  const peer = await standInFor(t, honest)
  await node.node.connect([peer.url])
  t.ok(agree(node, honest))
  t.equal((await node.node.status()).mempool.transactions, 40, 'its own records wait again')
})

const liars: [what: string, answers: (honest: TestNode) => Record<string, AnswerRequest>, code: string][] = [
  ['a peer that stalls', () => ({ 'GET /blocks': hang }), 'peer_timeout'],
  [
    'a peer that gives other blocks than its headers',
    () => ({ 'GET /blocks': (_, response) => response.end(encodeBlocks(short)) }),
    'peer_misbehaved',
  ],
  [
    'a peer that gives blocks that were altered',
    (honest) => ({
      async 'GET /blocks'(incoming, response) {
        const parts: Uint8Array[] = []
        for await (const part of honest.node.blocksAsCar(...heights(incoming))) parts.push(part)
        const car = Buffer.concat(parts)
        car[200] = (car[200] ?? 0) ^ 1
        response.end(car)
      },
    }),
    'peer_misbehaved',
  ],
]
for (const [what, answers, code] of liars) {
  t.test(what, async (t) => {
    const honest = await startWith(t, long)
    const liar = await standInFor(t, honest, answers(honest))
    const node = await startWith(t, short)
    await node.node.connect([liar.url])
    t.equal(failureOf(node, liar), code)
    t.equal(node.node.tip().header.height, 40, 'alone it moves nothing')
    const good = await standInFor(t, honest)
    await node.node.connect([liar.url, good.url])
    t.ok(agree(node, honest), 'beside an honest one it does no harm')
    t.equal(failureOf(node, good), undefined)
  })
}

t.test('a peer that claims more work than it has', async (t) => {
  const honest = await startWith(t, long)
  const tip = { id: cidOf(Uint8Array.of(1)).toString(), height: 9_999, work: 'ffffffffffff' }
  const liar = await standInFor(t, honest, {}, { hello: { tip } })
  const node = await start(t)
  await node.node.connect([liar.url])
  t.equal(failureOf(node, liar), 'peer_misbehaved')
  t.ok(agree(node, honest), 'what it has is taken all the same')
})

t.test('headers without end, and without blocks', async (t) => {
  const honest = await startWith(t, short)
  // More than a node asks for that sees no end and no blocks.
  const made: Block[] = []
  while (made.length < 2 * MAX_HEADERS) made.push(maker.block(made.at(-1)?.header ?? maker.genesis))
  const answers: Record<string, AnswerRequest> = {
    'GET /headers': (incoming, response) => {
      const asked = locatorOf(incoming)
      const from = made.findLastIndex(({ header }) => asked.some((id) => id.equals(header.id))) + 1
      response.end(encodeHeaders(made.slice(from, from + MAX_HEADERS)))
    },
    'GET /blocks': (_, response) => sendJson(response, { code: 'block_unknown' }, 404),
  }
  const tip = { id: cidOf(Uint8Array.of(1)).toString(), height: 99_999, work: 'ffffffffffff' }
  const liar = await standInFor(t, honest, answers, { hello: { tip } })
  const node = await start(t)
  await node.node.connect([liar.url])
  t.equal(failureOf(node, liar), 'peer_misbehaved')
  t.ok(times(liar, 'GET /headers') <= 8, `${times(liar, 'GET /headers')} answers were asked for, then no more`)
  await node.node.connect([(await standInFor(t, honest)).url])
  t.ok(agree(node, honest))
})

t.test('a peer that reorganises meanwhile is not to blame', async (t) => {
  const [before, after] = [
    await startWith(t, long.slice(0, 80)),
    await startWith(t, [...short, ...branch(short.at(-1)?.header ?? maker.genesis, 'more', 60)]),
  ]
  for (const call of ['GET /headers', 'GET /blocks']) {
    let hasChanged = false
    let seen = 0
    const answers: Record<string, AnswerRequest> = {
      'GET /headers': async (incoming, response) => {
        const of = hasChanged ? after : before
        if (call === 'GET /headers' && ++seen === 1) hasChanged = true
        response.end(encodeHeaders(of.node.headersAfter(locatorOf(incoming), MAX_HEADERS)))
      },
      'GET /blocks': async (incoming, response) => {
        if (call === 'GET /blocks' && ++seen === 2) hasChanged = true
        const parts: Uint8Array[] = []
        for await (const part of (hasChanged ? after : before).node.blocksAsCar(...heights(incoming))) parts.push(part)
        response.end(Buffer.concat(parts))
      },
    }
    const peer = await standInFor(t, after, answers, { hello: { tip: before.node.hello().tip } })
    const node = await start(t)
    await node.node.connect([peer.url])
    await node.node.syncAll()
    t.equal(failureOf(node, peer), undefined, `${call}: no blame`)
    t.ok(agree(node, after), `${call}: and its new chain is taken`)
  }
})

t.test('a block from the future is kept, and tried again when its time has come', async (t) => {
  // A clock two minutes and two seconds behind: in two seconds the block is no longer too early.
  const node = await start(t, () => Date.now() - 122_000)
  const block = maker.block(maker.genesis, [maker.record('early')], { header: { time: Date.now() } })
  const headers = { 'content-type': 'application/vnd.ipld.car' }
  const arrived = until(node, () => node.node.tip().header.id.equals(block.header.id))
  const answer = await ask(`${node.url}/blocks`, { method: 'POST', headers, body: encodeBlocks([block]) })
  t.match(answer, { body: { code: 'header_time_too_late' } })
  t.equal(node.node.tip().header.height, 0)
  await arrived
  t.same(node.node.peers(), [], 'nobody was there to be asked')
})

t.test('headers from the future are no reason to blame who sends them', async (t) => {
  const ahead = await start(t, () => Date.now() + HOUR)
  const first = maker.block(maker.genesis, [], { header: { time: Date.now() } })
  const second = maker.block(first.header, [], { header: { time: Date.now() + HOUR } })
  await ahead.node.submitBlocks([first, second])
  const node = await start(t)
  const peer = await standInFor(t, ahead)
  await node.node.connect([peer.url])
  t.equal(failureOf(node, peer), undefined)
  t.ok(node.node.tip().header.id.equals(first.header.id), 'what is in time is taken')
})

t.test('on equal work the lower id wins on all nodes at once', async (t) => {
  const nodes = [await start(t), await start(t), await start(t)]
  const [a, b] = [maker.block(maker.genesis, [maker.record('a')]), maker.block(maker.genesis, [maker.record('b')])]
  const [first, second, third] = nodes
  if (!first || !second || !third) throw new Error('There are three.')
  await first.node.submitBlocks([a])
  await second.node.submitBlocks([b])
  await third.node.connect([first.url, second.url])
  await first.node.connect([second.url])
  const [lower] = [a, b].sort((x, y) => Buffer.compare(x.header.id.bytes, y.header.id.bytes))
  for (const node of nodes) {
    await until(nodes, () => node.node.tip().header.id.equals(lower?.header.id))
    t.ok(node.node.tip().header.id.equals(lower?.header.id))
  }
})

t.test('100,000 headers of the least work: little memory, and the better branch stays', async (t) => {
  const branches = createBranches()
  const good = branch(maker.genesis, 'good', 50)
  let work = 10_000n
  for (const { header, signature } of good) {
    work += 2n
    branches.add({ header, signature, work })
  }
  collectGarbage()
  const before = process.memoryUsage()
  const [template] = good
  if (!template) throw new Error('There is one.')
  for (let nonce = 1; nonce <= 100_000; nonce++) {
    const bytes = Buffer.from(template.header.bytes)
    bytes.writeUInt32BE(nonce, NONCE_OFFSET + 2)
    const header = { ...template.header, nonce, bytes, id: cidOf(bytes) }
    branches.add({ header, signature: template.signature, work: 2n })
  }
  collectGarbage()
  const after = process.memoryUsage()
  const grown = (after.heapUsed + after.external - before.heapUsed - before.external) / 1024 ** 2
  t.ok(grown < 100, `${grown.toFixed(0)} MiB more`)
  t.ok(branches.size <= 20_000)
  t.ok(good.every(({ header }) => branches.get(header.id)))
  t.equal(branches.lineTo(good.at(-1)?.header.id ?? maker.genesis.id).length, 50)
})

/** Node has this only behind a flag. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}
