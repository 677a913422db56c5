import { EventEmitter, once } from 'node:events'
import type { CID } from 'multiformats/cid'
import t from 'tap'
import { request } from 'undici'
import { EmrError, isEmrError } from '#emrchain/errors.js'
import { readGivenTransactions } from '#emrchain/network/given-items.js'
import { createTransactionFetcher, DEFAULT_FETCH_LIMITS } from '#emrchain/network/transaction-fetcher.js'
import { announcedBlock } from '#emrchain/protocol/announced-block.js'
import type { Block } from '#emrchain/protocol/block.js'
import { decodeCar, encodeCar } from '#emrchain/protocol/car.js'
import { cidToHex } from '#emrchain/protocol/cid.js'
import { MAX_ANNOUNCED, MAX_ANNOUNCED_IDS } from '#emrchain/protocol/peer-messages.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker } from '../fixtures/block-maker.js'
import { askAs } from '../fixtures/signed-request.js'
import { type AnswerRequest, type StandIn, sendJson, standInFor } from '../fixtures/stand-in-peer.js'
import { get, post, postBytes, startQuietNode as startNode, type TestNode } from '../fixtures/start-node.js'

/** What is announced, fetched and told on, counted at stand-ins that hand on what a real node has. */

const maker = createBlockMaker()
const FETCH = 'POST /transactions/fetch'
const ANNOUNCE = 'POST /announcements'
const takesAll: AnswerRequest = (_, response) => sendJson(response, { lacking: [] })

const submit = async ({ url }: TestNode, { bytes }: SignedTransaction): Promise<void> => {
  const { status } = await postBytes(`${url}/transactions`, 'application/vnd.ipld.dag-cbor', bytes)
  if (status !== 202) throw new Error(`The node answered ${status}.`)
}
const announce = (
  node: TestNode,
  from: StandIn,
  what: { transactions?: readonly string[]; blocks?: readonly object[] },
) =>
  askAs(
    from,
    `${node.url}/announcements`,
    'application/json',
    JSON.stringify({ transactions: [], blocks: [], ...what }),
  )
const count = (asked: readonly string[], call: string): number => asked.filter((one) => one === call).length
const failureOf = ({ node }: TestNode, url: string) => node.peers().find(({ address }) => address === url)?.failure

t.test('what three peers announce at once is fetched once, and told to none of them', async (t) => {
  const [source, node] = [await startNode(t), await startNode(t)]
  const peers = [1, 2, 3].map(() => standInFor(t, source, { [ANNOUNCE]: takesAll }))
  const [a, b, c] = await Promise.all(peers)
  if (!a || !b || !c) throw new Error('unreachable')
  const other = await standInFor(t, source, { [ANNOUNCE]: takesAll })
  await node.node.connect([a.url, b.url, c.url, other.url])
  const records = ['one', 'two', 'three'].map((name) => maker.record(name))
  for (const record of records) await submit(source, record)
  const transactions = records.map(({ id }) => id.toString())
  const answers = await Promise.all([a, b, c].map((peer) => announce(node, peer, { transactions })))
  for (const answer of answers) t.match(answer, { status: 200, body: { lacking: [] } })
  t.equal(
    [a, b, c].reduce((sum, { asked }) => sum + count(asked, FETCH), 0),
    1,
    'all three in one request',
  )
  for (const id of transactions) t.match(await get(`${node.url}/transactions/${id}`), { status: 200 })
  t.same(
    [a, b, c].map(({ asked }) => count(asked, ANNOUNCE)),
    [0, 0, 0],
  )
  t.ok(count(other.asked, ANNOUNCE) > 0, 'whoever does not have it is told')
})

t.test('where an announcer fails, gives nothing or something else, the next is asked', async (t) => {
  const [wanted, other] = [maker.record('wanted'), maker.record('other')]
  const asked: string[] = []
  const failures: string[] = []
  const held = new Set<string>()
  const given: Record<string, (ids: readonly CID[]) => SignedTransaction[]> = {
    silent: () => {
      throw new EmrError('peer_timeout')
    },
    wrong: (ids) => readGivenTransactions(encodeCar([], [{ cid: other.id, bytes: other.bytes }]), ids),
    empty: (ids) => readGivenTransactions(encodeCar([], []), ids),
    honest: () => [wanted],
    late: () => [wanted],
  }
  const fetcher = createTransactionFetcher({
    knows: (id) => held.has(id.toString()),
    fetch: async (peer, ids) => {
      asked.push(peer)
      return given[peer]?.(ids) ?? []
    },
    take: async ({ id }) => held.add(id.toString()),
    countEmpty: () => undefined,
    onFailure: (peer, error) => failures.push(`${peer} ${isEmrError(error) ? error.code : error}`),
  })
  await Promise.all(Object.keys(given).map((peer) => fetcher.want([wanted.id, wanted.id], peer)))
  t.same(asked, ['silent', 'wrong', 'empty', 'honest'])
  t.same(failures, ['silent peer_timeout', 'wrong peer_misbehaved', 'empty peer_misbehaved'])
  await fetcher.want([wanted.id], 'late')
  t.equal(asked.length, 4, 'what is here is not asked for')
  await fetcher.want([other.id], 'silent')
  t.notOk(held.has(other.id.toString()), 'where nobody gives it, waiting ends all the same')
})

t.test('what one answer gives goes to the disk together, in slices between which others get their turn', async (t) => {
  const records = Array.from({ length: 10 }, (_, at) => maker.record(`record ${at}`))
  const turns: number[] = []
  let begun = 0
  const written = new EventEmitter()
  const fetcher = createTransactionFetcher(
    {
      knows: () => false,
      fetch: async () => records,
      async take() {
        if (++begun === 1) setImmediate(() => turns.push(begun))
        if (begun === records.length) queueMicrotask(() => written.emit('all'))
        await once(written, 'all')
      },
      countEmpty: () => undefined,
      onFailure: (_, error) => t.fail(String(error)),
    },
    { ...DEFAULT_FETCH_LIMITS, atOnce: 4 },
  )
  await fetcher.want(
    records.map(({ id }) => id),
    'peer',
  )
  t.equal(begun, records.length, 'none waited for the disk of another')
  t.same(turns, [4])
})

t.test('a block whose transactions are here comes without another request; else only what is missing', async (t) => {
  const [source, node] = [await startNode(t), await startNode(t)]
  const peer = await standInFor(t, source, { [ANNOUNCE]: takesAll })
  await node.node.connect([peer.url])
  const [here, missing] = [maker.record('here'), maker.record('missing')]
  await submit(node, here)
  const first = maker.block(maker.genesis, [here])
  t.match(await announce(node, peer, { blocks: [announcedBlock(first)] }), { status: 200, body: { lacking: [] } })
  t.ok(node.node.tip().header.id.equals(first.header.id))
  t.equal(count(peer.asked, FETCH), 0)

  await submit(source, missing)
  const waiting = maker.record('waiting')
  await submit(node, waiting)
  const second = maker.block(first.header, [waiting, missing])
  t.match(await announce(node, peer, { blocks: [announcedBlock(second)] }), { status: 200, body: { lacking: [] } })
  t.ok(node.node.tip().header.id.equals(second.header.id))
  t.equal(count(peer.asked, FETCH), 1)

  const { transactions: _, ...bare } = announcedBlock(maker.block(second.header))
  const third = maker.block(second.header)
  await source.node.submitBlocks([first, second, third])
  t.match(await announce(node, peer, { blocks: [bare] }), { status: 200, body: { lacking: [] } })
  t.ok(node.node.tip().header.id.equals(third.header.id))
  t.ok(peer.asked.includes(`GET /blocks/${third.header.id}`), 'without ids it is fetched whole')
})

t.test('a large block comes by its ids too, and whole where more than one question is needed', async (t) => {
  const [source, node] = [await startNode(t), await startNode(t)]
  const peer = await standInFor(t, source, { [ANNOUNCE]: takesAll })
  await node.node.connect([peer.url])
  const many = (name: string) => Array.from({ length: MAX_ANNOUNCED + 1 }, (_, at) => maker.record(`${name} ${at}`))
  const [here, missing] = [many('here'), many('missing')]
  await Promise.all(here.map(({ bytes }) => node.node.submitTransaction(bytes)))
  const first = maker.block(maker.genesis, here)
  t.match(await announce(node, peer, { blocks: [announcedBlock(first)] }), { status: 200, body: { lacking: [] } })
  t.ok(node.node.tip().header.id.equals(first.header.id))
  const second = maker.block(first.header, missing)
  await source.node.submitBlocks([first, second])
  t.match(await announce(node, peer, { blocks: [announcedBlock(second)] }), { status: 200, body: { lacking: [] } })
  t.ok(node.node.tip().header.id.equals(second.header.id))
  t.same(
    peer.asked.filter((call) => call === FETCH || call.startsWith('GET /blocks/')),
    [`GET /blocks/${second.header.id}`],
  )
  const one = maker.record('MRI')
  const ofMany = (length: number): Block => ({ ...second, transactions: Array.from({ length }, () => one) })
  t.ok(JSON.stringify({ transactions: [], blocks: [announcedBlock(ofMany(MAX_ANNOUNCED_IDS))] }).length < 450_000)
  t.notOk('transactions' in announcedBlock(ofMany(MAX_ANNOUNCED_IDS + 1)))
})

t.test('nothing is fetched for a header without work', async (t) => {
  const [source, node] = [await startNode(t), await startNode(t)]
  const peer = await standInFor(t, source, { [ANNOUNCE]: takesAll })
  await node.node.connect([peer.url])
  const before = peer.asked.length
  const unmined = maker.block(maker.genesis, [maker.record('MRI')], { unmined: true })
  const answer = await announce(node, peer, { blocks: [announcedBlock(unmined)] })
  t.match(answer, { status: 200, body: { lacking: [cidToHex(unmined.header.id)] } })
  t.equal(failureOf(node, peer.url), 'header_insufficient_work')
  t.equal(peer.asked.length, before)
})

t.test('announcements and questions that are refused', async (t) => {
  const [source, node] = [await startNode(t), await startNode(t)]
  const peer = await standInFor(t, source, { [ANNOUNCE]: takesAll })
  const id = maker.record('MRI').id.toString()
  const unknown = { status: 403, body: { code: 'peer_unknown' } }
  t.match(await announce(node, peer, { transactions: [id] }), unknown)
  const unsigned = { status: 401, body: { code: 'peer_unsigned' } }
  t.match(await post(`${node.url}/announcements`, { transactions: [], blocks: [] }), unsigned)
  const block = announcedBlock(maker.block(maker.genesis, [maker.record('MRI')]))
  for (const [what, body, code] of [
    ['a word for an id', { transactions: ['word'] }, 'malformed_cid'],
    ['too many', { transactions: Array.from({ length: MAX_ANNOUNCED + 1 }, () => id) }, 'bad_request'],
    ['half a header', { blocks: [{ ...block, header: block.header.slice(2) }] }, 'bad_request'],
    ['other ids than the header has', { blocks: [{ ...block, transactions: '' }] }, 'block_wrong_list'],
    ['half an id', { blocks: [{ ...block, transactions: block.transactions?.slice(4) }] }, 'block_wrong_list'],
    ['no base64', { blocks: [{ ...block, transactions: 'A' }] }, 'block_wrong_list'],
    ['ids as texts', { blocks: [{ ...block, transactions: [id] }] }, 'bad_request'],
  ] as const) {
    // Some of them cost a peer its place.
    const liar = await standInFor(t, source)
    await node.node.connect([liar.url])
    t.match((await announce(node, liar, body)).body, { code }, what)
  }
  const fetch = (ids: string[]) => post(`${source.url}/transactions/fetch`, { ids })
  t.match(await fetch([id]), { status: 404, body: { code: 'transaction_unknown' } })
  t.match(await fetch([]), { status: 400, body: { code: 'bad_request' } })
  t.match(await fetch(['word']), { status: 400, body: { code: 'malformed_cid' } })
  const record = maker.record('there')
  await submit(source, record)
  const { body } = await request(`${source.url}/transactions/fetch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id, record.id.toString()] }),
  })
  t.same(
    decodeCar(new Uint8Array(await body.arrayBuffer())).sections.map(({ cid }) => cid.toString()),
    [record.id.toString()],
    'those that it has',
  )
})
