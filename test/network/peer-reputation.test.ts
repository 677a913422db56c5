import { once } from 'node:events'
import { createServer } from 'node:http'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import t from 'tap'
import { EmrError as Failure } from '#emrchain/errors.js'
import { pauseAfter } from '#emrchain/network/backoff.js'
import { BAN_TIME, costOf, HALF_LIFE } from '#emrchain/network/misbehaviour.js'
import { createPeerBook, type PeerBook, type PeerBookDependencies } from '#emrchain/network/peer-book.js'
import { CAR_MEDIA_TYPE, encodeBlocks, encodeHeaders } from '#emrchain/protocol/car.js'
import type { HelloMessage } from '#emrchain/protocol/peer-messages.js'
import { createBlockMaker } from '../fixtures/block-maker.js'
import { askAs, greetAs, type SignedBy } from '../fixtures/signed-request.js'
import { type AnswerRequest, type StandIn, sendJson, sendSigned, standInFor } from '../fixtures/stand-in-peer.js'
import { agree, get, post, startQuietNode as startNode, type TestNode, until } from '../fixtures/start-node.js'

/** What becomes of peers: points, bans, pauses, blocks, and who is kept. */

const CBOR = 'application/vnd.ipld.dag-cbor'
const mine = async ({ node }: TestNode, blocks = 1): Promise<void> => {
  for (let n = 0; n < blocks; n++) await node.mine(new AbortController().signal)
}
const { block, genesis, record } = createBlockMaker()
const invalid = encodeBlocks([{ ...block(genesis), signature: new Uint8Array(64) }])
const stateOf = ({ node }: TestNode, url: string) => node.peers().find(({ address }) => address === url)?.state

/** A log, and a promise of the first line with this message. */
function watchedLog() {
  const lines: Record<string, unknown>[] = []
  const waiting = new Map<string, (line: Record<string, unknown>) => void>()
  const logger = pino(
    { level: 'warn' },
    new Writable({
      write(chunk, _encoding, done) {
        const line = JSON.parse(String(chunk)) as Record<string, unknown>
        lines.push(line)
        waiting.get(String(line.msg))?.(line)
        done()
      },
    }),
  )
  const heard = (message: string) =>
    new Promise<Record<string, unknown>>((done) => {
      const line = lines.find(({ msg }) => msg === message)
      if (line) done(line)
      else waiting.set(message, done)
    })
  return { logger, lines, heard }
}

const hello = (key: string, url = 'http://127.0.0.1:1'): HelloMessage => ({
  url,
  network: 'x',
  version: 1,
  key: key.repeat(64).slice(0, 64),
  tip: { id: 'x', height: 0, work: '1' },
})

/** A book with a clock of its own, on notes that outlive it. */
function bookOn(
  notes: Map<string, unknown> = new Map(),
  more: Partial<PeerBookDependencies> = {},
  limits?: { met: number; metOfOneHost: number },
) {
  const clock = { now: 1_000_000_000 }
  const store = {
    saved: () => notes.entries(),
    save: async (address: string, note: object) => void notes.set(address, JSON.parse(JSON.stringify(note))),
    forget: async (address: string) => void notes.delete(address),
  }
  const open = (): PeerBook => createPeerBook({ store, now: () => clock.now, random: () => 0, ...more }, limits)
  return { clock, notes, open, book: open() }
}

t.test('what an error costs', async (t) => {
  const costs: [error: unknown, cost: number][] = [
    [new Failure('header_bad_signature'), 100],
    [new Failure('transaction_bad_signature'), 100],
    [new Failure('block_wrong_results'), 100],
    [new Failure('malformed_car'), 100],
    [new Failure('peer_misbehaved', 'Its answer is too long.'), 100],
    [new Failure('peer_misbehaved', 'It has none.', { withheld: true }), 25],
    [new Failure('peer_misbehaved', 'It refused.', { refusal: 'disk_full' }), 5],
    [new Failure('peer_misbehaved', 'It answered 500.', { status: 500 }), 5],
    [new Failure('other_network'), 5],
    [new Failure('peer_timeout'), 5],
    [new Failure('peer_unreachable'), 0],
    [new Failure('header_unknown_parent'), 0],
    [new Failure('transaction_known'), 0],
    [new Failure('header_time_too_late'), 0],
    [new Failure('mempool_full'), 0],
    [new Failure('disk_full'), 0],
    [new Failure('peer_wrong_digest'), 0],
    [new Failure('internal'), 0],
    [new Error('a fault of this program'), 0],
  ]
  for (const [error, cost] of costs) t.equal(costOf(error), cost, (error as Failure).code ?? 'another')
})

t.test('pauses double up to five minutes, with jitter', async (t) => {
  const pauses = Array.from({ length: 12 }, (_, n) => pauseAfter(n + 1, () => 0))
  t.same(pauses.slice(0, 4), [1_000, 2_000, 4_000, 8_000])
  t.same(pauses.slice(-2), [300_000, 300_000])
  t.equal(
    pauseAfter(2_000, () => 0),
    300_000,
  )
  t.same(
    [1, 9, 50].map((failures) => pauseAfter(failures, () => 1)),
    [500, 128_000, 150_000],
  )
})

t.test('points fade; too many are a ban, which survives a restart and ends', async (t) => {
  const bans: unknown[] = []
  const { book, clock, open, notes } = bookOn(new Map(), { onBan: (ban) => bans.push(ban) })
  const url = 'http://127.0.0.1:1'
  const { key } = hello('a')
  await book.keep(url, hello('a'), { chosen: false })
  const timeOut = () => {
    clock.now += 400_000
    book.noteFailure(url, new Failure('peer_timeout'))
  }
  book.judge({ key }, new Failure('peer_misbehaved', 'It has none.', { withheld: true }))
  t.equal(book.get(url)?.score, 25)
  clock.now += HALF_LIFE
  t.equal(book.get(url)?.score, 13, 'half of it is forgiven in ten minutes')
  for (let n = 0; n < 30; n++) timeOut()
  t.match(book.get(url), { state: 'backing_off' }, 'who is slow for hours is not banned for it')
  for (let n = 0; n < 6; n++) book.noteFailure(url, new Failure('peer_timeout'))
  t.ok((book.get(url)?.score ?? 100) < 20, 'calls that failed together count once')

  book.judge({ key }, new Failure('header_unknown_parent'))
  t.not(book.get(url)?.state, 'banned')
  book.judge({ key }, new Failure('header_bad_signature'))
  const until = clock.now + BAN_TIME
  const banned = { state: 'banned', until, reason: 'header_bad_signature', score: 100 }
  t.match(book.get(url), banned)
  t.match(bans, [{ key, address: url, code: 'header_bad_signature', until }])
  for (const again of [book, open()]) {
    t.match(again.get(url), banned)
    t.throws(() => again.assertMayCall(url), { code: 'peer_banned', message: /header_bad_signature/ })
    t.throws(() => again.assertWelcome(key), { code: 'peer_banned' })
    t.throws(() => again.assertWelcome(hello('b').key, url), { code: 'peer_banned' }, 'nor who speaks for its address')
    t.notOk(again.isDue(url))
  }
  await book.keep('http://127.0.0.1:2', hello('a'), { chosen: true })
  t.throws(() => book.assertMayCall('http://127.0.0.1:2'), { code: 'peer_banned' }, 'a new address changes nothing')
  clock.now = until
  for (const again of [book, open()]) {
    again.assertWelcome(key)
    again.assertMayCall('http://127.0.0.1:2')
    t.equal(again.get('http://127.0.0.1:2')?.score, 0)
  }
  t.same([...notes.keys()], ['http://127.0.0.1:2'])
})

t.test('a key without an address is banned too, and many of them take bounded room', async (t) => {
  const { book } = bookOn()
  const key = 'cd'.repeat(32)
  book.judge({ key }, new Failure('transaction_bad_signature'))
  t.throws(() => book.assertWelcome(key), { code: 'peer_banned' })
  const keyOf = (n: number): string => n.toString(16).padStart(64, '0')
  for (let n = 0; n < 1_000; n++) book.judge({ key: keyOf(n) }, new Failure('transaction_bad_signature'))
  book.assertWelcome(key)
  t.throws(() => book.assertWelcome(keyOf(999)), { code: 'peer_banned' })
  t.same(book.list(), [])
})

t.test('old and unreadable notes are peers of which nothing is known', async (t) => {
  const { book } = bookOn(
    new Map<string, unknown>([
      ['http://127.0.0.1:1', null],
      ['http://127.0.0.1:2', { key: 7 }],
      ['http://127.0.0.1:3', { chosen: false, blocked: false, ban: { until: 9e15, code: 'no_such_code' } }],
      ['http://127.0.0.1:4', { chosen: false, blocked: true }],
    ]),
  )
  t.same(
    book.list().map(({ state }) => state),
    ['new', 'new', 'new', 'blocked'],
  )
})

t.test('newcomers are kept in bounded number, and push out nobody who is well or was named', async (t) => {
  const { book } = bookOn(new Map(), {}, { met: 4, metOfOneHost: 3 })
  const keep = (n: number, host = '127.0.0.1', chosen = false) =>
    book.keep(`http://${host}:${n}`, { ...hello('0'), key: n.toString(16).padStart(64, '0') }, { chosen })
  const kept = () =>
    book
      .list()
      .map(({ address }) => Number(new URL(address).port))
      .sort((a, b) => a - b)
  book.expect('http://127.0.0.1:1')
  await keep(2, '127.0.0.1', true)
  for (const n of [11, 12, 13]) t.ok(await keep(n))
  t.equal(await keep(14), undefined, 'a fourth of this host')
  t.ok(await keep(21, '127.0.0.2'))
  t.equal(await keep(22, '127.0.0.3'), undefined, 'a fifth in all')
  t.same(kept(), [1, 2, 11, 12, 13, 21])
  book.noteFailure('http://127.0.0.1:1', new Failure('peer_unreachable'))
  book.noteFailure('http://127.0.0.1:2', new Failure('peer_unreachable'))
  t.equal(await keep(14), undefined, 'those that were named stay although they fail')
  book.noteFailure('http://127.0.0.1:12', new Failure('peer_unreachable'))
  t.ok(await keep(14), 'one that fails makes room')
  t.same(kept(), [1, 2, 11, 13, 14, 21])
  t.ok(await keep(3, '127.0.0.1', true), 'the operator always has room')
  t.ok(await keep(11), 'and who is known is no newcomer')
})

const pushes: [what: string, path: string, type: string, body: Uint8Array, code: string][] = [
  ['a forged block', '/blocks', CAR_MEDIA_TYPE, invalid, 'header_bad_signature'],
  ['no CAR', '/blocks', CAR_MEDIA_TYPE, Buffer.from('garbage'), 'malformed_car'],
  ['a forged transaction', '/transactions', CBOR, forged(), 'transaction_bad_signature'],
  ['no transaction', '/transactions', CBOR, Buffer.from('garbage'), 'malformed_cbor'],
]
function forged(): Uint8Array {
  const bytes = Uint8Array.from(record('forged').bytes)
  // The signature is the value of the third key, `sig`.
  const at = Buffer.from(bytes).indexOf(Buffer.from('63736967', 'hex')) + 6
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes
}

t.test('who pushes what no honest node sends is out at once, and stays out', async (t) => {
  const real = await startNode(t)
  const node = await startNode(t)
  for (const [what, path, type, body, code] of pushes) {
    const peer = await standInFor(t, real)
    await node.node.connect([peer.url])
    t.equal(stateOf(node, peer.url), 'connected', what)
    const asked = peer.asked.length
    t.match(await askAs(peer, node.url + path, type, body), { body: { code } }, what)
    t.match(
      node.node.peers().find(({ address }) => address === peer.url),
      { state: 'banned', reason: code, score: 100 },
    )
    const refusal = { status: 403, body: { code: 'peer_banned' } }
    t.match(
      await askAs(peer, `${node.url}/headers?format=car&locator=${genesis.id}`, type, '', { method: 'GET' }),
      refusal,
    )
    t.match(await greetAs(peer, node.url, { ...real.node.hello(), url: peer.url, key: peer.key }), refusal)
    await node.node.syncAll()
    await mine(node)
    t.match((await node.node.connect([peer.url])).refused, [{ node: peer.url, code: 'peer_banned' }])
    t.equal(peer.asked.length, asked, 'it is not called any more')
    t.notOk(node.node.nodeAddresses().includes(new URL(peer.url).host))
  }
  const shown = (await get(`${node.url}/peers`)).body as { peers: object[] }
  t.same(shown.peers.length, pushes.length)
  t.match(
    shown.peers,
    pushes.map(() => ({ state: 'banned', until: Number, reason: String })),
  )
  await node.close()
  const again = await startNode(t, node.options)
  t.equal(again.node.peers().length, pushes.length)
  for (const { state } of again.node.peers()) t.equal(state, 'banned', 'also after a restart')
})

t.test('who answers what no honest node answers is out; who sends what is only too early is not', async (t) => {
  const real = await startNode(t)
  await mine(real, 2)
  const { logger, lines, heard } = watchedLog()
  const node = await startNode(t, {}, { logger })
  const broken = Buffer.from(encodeHeaders([block(genesis)]))
  broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1
  const lie: AnswerRequest = (_, response) => response.writeHead(200).end(broken)
  const liar = await standInFor(t, real, { 'GET /headers': lie })
  await node.node.connect([liar.url])
  t.match(node.node.peers(), [{ address: liar.url, state: 'banned', reason: 'peer_misbehaved' }])
  const banned = await heard('a peer is banned')
  t.match(banned, { level: 40, peer: liar.url, key: liar.key, code: 'peer_misbehaved', until: /^20\d\d-/ })
  t.notMatch(JSON.stringify(lines), /body|signature/, 'no bodies in the log')

  const early = await standInFor(t, real)
  await node.node.connect([early.url])
  const later = createBlockMaker()
  const orphan = later.block(later.block(later.block(genesis).header).header)
  t.match(await askAs(early, `${node.url}/blocks`, CAR_MEDIA_TYPE, encodeBlocks([orphan])), {
    body: { code: 'header_unknown_parent' },
  })
  const known = record('known')
  for (const status of [202, 409])
    t.match(await askAs(early, `${node.url}/transactions`, CBOR, known.bytes), { status })
  t.match(
    node.node.peers().find(({ address }) => address === early.url),
    { state: 'connected', score: 0 },
  )

  const answer = await post(`${node.url}/peers/unblock`, { nodes: [liar.url] })
  t.equal(answer.status, 200)
  t.not(stateOf(node, liar.url), 'banned', 'the operator takes a ban back')
})

t.test('a stranger who forges is out by its key', async (t) => {
  const node = await startNode(t)
  const { signer } = await standInFor(t, node)
  const stranger: SignedBy = { signer, url: 'http://127.0.0.1:1' }
  t.match(await askAs(stranger, `${node.url}/blocks`, CAR_MEDIA_TYPE, invalid), {
    body: { code: 'header_bad_signature' },
  })
  t.match(await askAs(stranger, `${node.url}/blocks`, CAR_MEDIA_TYPE, invalid), {
    status: 403,
    body: { code: 'peer_banned' },
  })
})

t.test('a configured peer that is down is called again until it is there', async (t) => {
  const early = await startNode(t)
  await mine(early, 3)
  // Its port is free again: the node starts there later.
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  await once(probe, 'close')
  const url = `http://127.0.0.1:${port}`
  const node = await startNode(t, { peer: [url, early.url] })
  t.match(
    node.node.peers().find(({ address }) => address === url),
    {
      state: 'backing_off',
      failure: 'peer_unreachable',
      until: Number,
      chosen: true,
      score: 0,
    },
  )
  t.same(node.node.nodeAddresses(), [node.url, early.url].map((known) => new URL(known).host).sort())
  const late = await startNode(t, { port })
  await until([node, late], () => agree(node, late) && agree(node, early))
  t.equal(late.node.tip().header.height, 3, 'it was found, and got what it missed')
  await node.node.syncAll()
  t.equal(stateOf(node, url), 'connected')
})

t.test('a blocked peer and this node have no traffic, until it is unblocked', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  await mine(a)
  await until(b, () => agree(a, b))
  const block = async (node: TestNode, path: string, other: TestNode) => {
    const answer = await post(`${node.url}/peers/${path}`, { nodes: [other.url] })
    t.equal(answer.status, 200)
    return (answer.body as { peers: { address: string; state: string }[] }).peers
  }
  t.match(await block(a, 'block', b), [{ address: b.url, state: 'blocked' }])
  await mine(a, 2)
  await mine(b)
  await b.node.syncAll()
  await a.node.syncAll()
  t.same([a.node.tip().header.height, b.node.tip().header.height], [3, 2], 'nothing goes either way')
  t.match((await a.node.connect([b.url])).refused, [{ node: b.url, code: 'peer_blocked' }])
  t.match((await b.node.connect([a.url])).refused, [{ node: a.url, code: 'peer_blocked' }])
  t.match(b.node.peers(), [{ address: a.url, state: 'backing_off', failure: 'peer_blocked', score: Number }])

  await a.close()
  const again = await startNode(t, { ...a.options, port: Number(new URL(a.url).port) })
  t.equal(stateOf(again, b.url), 'blocked', 'also after a restart')
  await b.node.syncAll()
  t.notOk(agree(again, b))
  t.match(await block(again, 'unblock', b), [{ address: b.url }])
  await until([again, b], () => agree(again, b))
  t.equal(b.node.tip().header.height, 3)
  await mine(b)
  await until(again, () => agree(again, b))
})

t.test('what is blocked need not be known, and is named as an address', async (t) => {
  const [node, other] = [await startNode(t), await startNode(t)]
  t.match(await post(`${node.url}/peers/block`, { nodes: ['ftp://x'] }), {
    status: 400,
    body: { code: 'peer_bad_address' },
  })
  t.same(node.node.peers(), [])
  await post(`${node.url}/peers/block`, { nodes: [other.url] })
  t.match((await other.node.connect([node.url])).refused, [{ code: 'peer_blocked' }])
  t.match(await post(`${node.url}/peers/unblock`, { nodes: [other.url] }), { body: { peers: [] } })
  t.same((await other.node.connect([node.url])).refused, [])
  t.equal(stateOf(node, other.url), 'connected')
})

t.test('a peer that takes its block back while it is called is called again at once', async (t) => {
  const clock = Date.now()
  // With a clock that stands, no pause ever ends by itself.
  const [node, other] = [await startNode(t, {}, { now: () => clock }), await startNode(t)]
  let calls = 0
  const peer: StandIn = await standInFor(t, other, {
    'POST /peers': async (incoming, response) => {
      const mine = { ...other.node.hello(), url: peer.url, key: peer.key }
      if (++calls !== 2) return sendSigned(peer.signer, incoming, response, mine)
      // The refusal is on its way when the operator takes the block back, upon which it greets.
      t.equal((await greetAs(peer, node.url, mine)).status, 200)
      sendJson(response, { code: 'peer_blocked' }, 403)
    },
  })
  await node.node.connect([peer.url])
  await mine(other)
  await node.node.syncAll()
  await until(node, () => agree(node, other))
  t.ok(calls >= 3, 'and has what it mined taken over')
})
