import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { verifyNative } from '#emrchain/crypto/ed25519-node.js'
import { createAddressPolicy, DEFAULT_ALLOWED } from '#emrchain/network/address-policy.js'
import { createBodyDownload } from '#emrchain/network/body-download.js'
import { createPeerClient, DEFAULT_CLIENT_LIMITS } from '#emrchain/network/peer-client.js'
import { syncWith, tipMessage } from '#emrchain/network/sync.js'
import { CAR_MEDIA_TYPE, encodeBlocks, encodeCar, encodeHeaders } from '#emrchain/protocol/car.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import { MAX_HEADERS } from '#emrchain/protocol/peer-messages.js'
import { createBlockMaker, easyNetworkFile, signerOf, type TestScope } from '../fixtures/block-maker.js'
import { askAs } from '../fixtures/signed-request.js'
import { type AnswerRequest, type StandIn, sendJson, sendSigned, standInFor } from '../fixtures/stand-in-peer.js'
import { agree, ask, get, post, startNode, type TestNode, until } from '../fixtures/start-node.js'

/** Peers that answer wrongly, too much, too late or never, between a node and an honest peer. */

const HOUR = 3_600_000
const small = { ...DEFAULT_CLIENT_LIMITS, messageBytes: 100_000, blocksBytes: 200_000 }
/** Short for peers that hang, yet long for a busy machine. */
const impatient = { ...small, headersTimeout: 1_500, bodyTimeout: 1_500, answerTimeout: 3_000 }
const startHonest = (t: TestScope, clientLimits = small) =>
  startNode(t, {}, { networkOptions: { syncInterval: HOUR }, clientLimits })
const startImpatient = (t: TestScope) => startHonest(t, impatient)
const mine = async ({ node }: TestNode, blocks: number): Promise<void> => {
  for (let n = 0; n < blocks; n++) await node.mine(new AbortController().signal)
}

const bytes =
  (body: Uint8Array | string): AnswerRequest =>
  (_, response) =>
    response.writeHead(200).end(body)
const status =
  (code: number): AnswerRequest =>
  (_, response) =>
    response.writeHead(code).end('no')
const hang: AnswerRequest = () => undefined
const hangInBody: AnswerRequest = (_, response) => response.writeHead(200).write('a')
const reset: AnswerRequest = (_, response) => response.destroy()
const endless: AnswerRequest = (_, response) => {
  response.writeHead(200)
  return pipeline(zeros(), response).catch(() => undefined)
}
async function* zeros(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(65_536)
}
/** A byte now and then, never so late that the pause alone would end it. */
const drip: AnswerRequest = (_, response) => {
  response.writeHead(200)
  const timer = setInterval(() => response.write('a'), 100)
  response.once('close', () => clearInterval(timer))
}

const foreign = createBlockMaker({ ...easyNetworkFile, name: 'other' })
const here = createBlockMaker()
const line = (maker: typeof here, length: number) => {
  const blocks = []
  for (let parent: IdentifiedHeader = maker.genesis, n = 0; n < length; n++) {
    const block = maker.block(parent)
    blocks.push(block)
    parent = block.header
  }
  return blocks
}
const unmined = here.block(here.genesis, [], { unmined: true })
const broken = Buffer.from(encodeHeaders(line(here, 1)))
broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1

const wrong: (readonly [what: string, path: string, answer: AnswerRequest, code: string])[] = [
  ['garbage for headers', 'GET /headers', bytes('garbage'), 'peer_misbehaved'],
  ['nothing for headers', 'GET /headers', bytes(''), 'peer_misbehaved'],
  ['an error', 'GET /headers', status(500), 'peer_misbehaved'],
  ['a broken header', 'GET /headers', bytes(broken), 'peer_misbehaved'],
  ['headers of another network', 'GET /headers', bytes(encodeHeaders(line(foreign, 3))), 'header_unknown_parent'],
  ['a header without work', 'GET /headers', bytes(encodeHeaders([unmined])), 'header_insufficient_work'],
  ['endless headers', 'GET /headers', endless, 'peer_misbehaved'],
  ['headers of blocks it does not have', 'GET /headers', bytes(encodeHeaders(line(here, 300))), 'peer_misbehaved'],
  ['no headers, and no end', 'GET /headers', hang, 'peer_timeout'],
  ['half an answer', 'GET /headers', hangInBody, 'peer_timeout'],
  ['a drip', 'GET /headers', drip, 'peer_timeout'],
  ['a cut connection', 'GET /headers', reset, 'peer_unreachable'],
  ['garbage for blocks', 'GET /blocks', bytes('garbage'), 'peer_misbehaved'],
  ['no blocks', 'GET /blocks', bytes(encodeBlocks([])), 'peer_misbehaved'],
  ['other blocks', 'GET /blocks', bytes(encodeBlocks(line(foreign, 2))), 'peer_misbehaved'],
  ['endless blocks', 'GET /blocks', endless, 'peer_misbehaved'],
  ['no blocks, and no end', 'GET /blocks', hang, 'peer_timeout'],
  ['garbage for what is pending', 'GET /transactions', bytes('garbage'), 'peer_misbehaved'],
  ['ids that are none', 'GET /transactions', (_, r) => sendJson(r, { pending: ['x'] }), 'peer_misbehaved'],
  ['endless ids', 'GET /transactions', endless, 'peer_misbehaved'],
]

t.test('a peer that answers wrongly does not keep a node from the others', async (t) => {
  const honest = await startHonest(t)
  // It answers as the honest one, but does not push: the node must ask.
  const good = await standInFor(t, honest)
  const [hasty, patient] = [await startImpatient(t), await startHonest(t)]
  const meet = async (node: TestNode, [what, path, answer, code]: (typeof wrong)[number]): Promise<void> => {
    await mine(honest, 1)
    const peer = await standInFor(t, honest, { [path]: answer })
    const { refused } = await node.node.connect([peer.url])
    t.same(refused, [], 'it greets well')
    t.ok(peer.asked.includes(path), what)
    const known = node.node.peers().find(({ address }) => address === peer.url)
    t.equal(known?.failure, code, what)
    const replaced = get(`${node.url}/replace_chain`)
    await node.node.connect([good.url])
    t.ok(agree(node, honest), what)
    t.equal((await replaced).status, 200, 'and who asks them all has an answer in the end')
  }
  const isSlow = ([, , , code]: (typeof wrong)[number]): boolean => code === 'peer_timeout'
  // One at a time: what one gives would soon help another to succeed.
  for (const one of wrong) await meet(isSlow(one) ? hasty : patient, one)
})

t.test('a peer whose headers begin again and again is left', async (t) => {
  const [block, ...others] = line(here, MAX_HEADERS)
  if (!block) throw new Error('There is one.')
  let asked = 0
  const headersAfter = async () => {
    if (++asked > 5) throw new Error('It asks for ever.')
    return [block, ...others]
  }
  const chain = {
    isBetter: () => true,
    locator: () => [here.genesis.id],
    addHeaders: async () => undefined,
    missing: () => [],
    workOf: () => undefined,
    tip: () => here.genesis,
    tipBlock: async () => block,
    addBlocks: async () => 'known' as const,
  }
  const dependencies = {
    ownAddress: () => 'http://127.0.0.1:1',
    signer: signerOf('node'),
    verify: verifyNative,
    now: Date.now,
    policy: createAddressPolicy(DEFAULT_ALLOWED),
    assertMayCall: () => undefined,
  }
  const client = { ...createPeerClient(dependencies), headersAfter }
  t.teardown(() => client.close())
  const tip = tipMessage({ id: block.header.id, height: 1, work: 2n })
  const own = { wantTransactions: async () => undefined, isWell: () => true }
  const bodies = createBodyDownload({ client, chain })
  await t.rejects(syncWith('http://127.0.0.1:2', tip, { client, chain, bodies, ...own }), {
    code: 'peer_misbehaved',
  })
  t.equal(asked, 2)
})

t.test('a peer that greets wrongly is refused by name', async (t) => {
  const honest = await startHonest(t)
  const node = await startImpatient(t)
  const hello = honest.node.hello()
  const other = foreign.genesis.id.toString()
  const greetings: [what: string, wrong: AnswerRequest | object, code: string][] = [
    ['garbage', bytes('garbage'), 'peer_misbehaved'],
    ['endless', endless, 'peer_misbehaved'],
    ['hanging', hang, 'peer_timeout'],
    ['dripping', drip, 'peer_timeout'],
    ['cut', reset, 'peer_unreachable'],
    ['an error', status(500), 'peer_misbehaved'],
    ['unsigned', (_, r) => sendJson(r, hello), 'peer_misbehaved'],
    ['a field too many', { extra: 1 }, 'peer_misbehaved'],
    ['of a later protocol', { version: 2 }, 'unsupported_version'],
    ['of another network', { network: other }, 'other_network'],
    ['with the key of another', { key: hello.key }, 'peer_misbehaved'],
    ['with our own key', { key: node.node.hello().key }, 'peer_misbehaved'],
    ['a tip that is none', { tip: { ...hello.tip, work: 'much' } }, 'peer_misbehaved'],
  ]
  await Promise.all(
    greetings.map(async ([what, wrong, code]) => {
      const { url } =
        typeof wrong === 'function'
          ? await standInFor(t, honest, { 'POST /peers': wrong as AnswerRequest })
          : await standInFor(t, honest, {}, { hello: wrong })
      const { refused } = await node.node.connect([url])
      t.same(
        refused.map((peer) => ({ node: peer.node, code: peer.code })),
        [{ node: url, code }],
        what,
      )
    }),
  )
  t.same(node.node.peers(), [])
})

t.test('a better branch whose blocks nobody gives does not hide a good one', async (t) => {
  const [far, near] = [await startHonest(t), await startHonest(t)]
  await mine(far, 5)
  await mine(near, 2)
  const node = await startImpatient(t)
  await mine(node, 1)
  const withheld = await standInFor(t, far, { 'GET /blocks': (_, r) => sendJson(r, { code: 'block_unknown' }, 404) })
  await node.node.connect([withheld.url])
  t.equal(node.node.tip().header.height, 1)
  await node.node.connect([near.url])
  t.ok(agree(node, near), 'the best that is to be had')
  await node.node.connect([far.url])
  t.ok(agree(node, far), 'and the better one as soon as it is')
})

t.test('a peer that hangs costs the paper’s calls no more than a moment', async (t) => {
  const honest = await startHonest(t)
  const node = await startNode(t, {}, { networkOptions: { syncInterval: HOUR } })
  const deaf = await standInFor(t, honest, { 'POST /announcements': hang })
  await node.node.connect([deaf.url])
  const signal = new AbortController().signal
  const { cid } = await node.node.createHash({ name: 'a', source: Readable.from([Buffer.from('a')]) }, signal)
  const before = performance.now()
  const record = { user_id: 'xxxxx', EHR_name: 'MRI', ipfs_hash: cid.toString() }
  t.equal((await post(`${node.url}/add_transaction`, record)).status, 201)
  t.equal((await get(`${node.url}/mine_block`)).status, 200)
  t.ok(performance.now() - before < 6_000, 'well before the peer counts as silent')
  t.equal(deaf.asked.filter((call) => call === 'POST /announcements').length, 2, 'it was told')
})

t.test('blocks without parents ask their sender once more, however many they are', async (t) => {
  const honest = await startHonest(t)
  const node = await startImpatient(t)
  const waiting: (() => void)[] = []
  let greetings = 0
  const peer: StandIn = await standInFor(t, honest, {
    'POST /peers': async (incoming, response) => {
      // The first one is the greeting of `connect`, the second its sync.
      if (++greetings > 2) await new Promise<void>((go) => waiting.push(go))
      sendSigned(peer.signer, incoming, response, { ...honest.node.hello(), url: peer.url, key: peer.key })
    },
  })
  await node.node.connect([peer.url])
  const orphans = line(here, 60).slice(10)
  await Promise.all(
    orphans.map(async (block) => {
      const answer = await askAs(peer, `${node.url}/blocks`, CAR_MEDIA_TYPE, encodeBlocks([block]))
      t.match(answer, { status: 409, body: { code: 'header_unknown_parent' } })
    }),
  )
  for (const go of waiting) go()
  await node.node.syncAll()
  t.ok(greetings <= 5, `${greetings} greetings for 50 blocks`)
})

t.test('a pushed block or transaction that breaks a rule goes no further', async (t) => {
  const [a, b] = [await startHonest(t), await startHonest(t)]
  await a.node.connect([b.url])
  const invalid = { ...here.block(here.genesis), signature: new Uint8Array(64) }
  const car = { 'content-type': 'application/vnd.ipld.car' }
  const answer = await ask(`${a.url}/blocks`, { method: 'POST', headers: car, body: encodeBlocks([invalid]) })
  t.match(answer, { status: 422, body: { code: 'header_bad_signature' } })
  for (const { node } of [a, b]) t.equal(node.tip().header.height, 0)
  const good = here.block(here.genesis, [here.record('MRI')])
  const accepted = await ask(`${a.url}/blocks`, { method: 'POST', headers: car, body: encodeBlocks([good]) })
  t.same([accepted.status, accepted.body], [202, { tip: good.header.id.toString() }])
  await until(b, () => agree(a, b))
  t.ok(b.node.tip().header.id.equals(good.header.id), 'a bad signature does not spoil the good block of the same id')
})

t.test('files from peers', async (t) => {
  const holder = await startHonest(t)
  const signal = new AbortController().signal
  const contents = Buffer.alloc(700_000, 7)
  const { cid } = await holder.node.createHash({ name: 'MRI', source: Readable.from([contents]) }, signal)
  const other = await holder.node.createHash({ name: 'CT', source: Readable.from([Buffer.alloc(700_000, 8)]) }, signal)
  const carOf = async (which = cid): Promise<Buffer> =>
    Buffer.concat(await Readable.from(await holder.node.fileAsCar(which)).toArray())
  const car = await carOf()
  const flipped = (at: number): Buffer => {
    const copy = Buffer.from(car)
    copy[at] = (copy[at] ?? 0) ^ 1
    return copy
  }
  const small = Buffer.from('something else')
  const bad: [what: string, answer: AnswerRequest][] = [
    ['not there', status(404)],
    ['an error', status(500)],
    ['garbage', bytes('garbage')],
    ['nothing', bytes('')],
    ['another file', bytes(await carOf(other.cid))],
    ['other blocks', bytes(encodeCar([cidOf(small)], [{ cid: cidOf(small), bytes: small }]))],
    ['a flipped bit in the root', bytes(flipped(120))],
    ['a flipped bit in the contents', bytes(flipped(car.length - 1_000))],
    ['half of it', bytes(car.subarray(0, car.length / 2))],
    ['all but the last block', bytes(car.subarray(0, car.length - 200_000))],
    ['more than it', bytes(Buffer.concat([car, car]))],
    ['nothing, for ever', hang],
    ['a beginning', hangInBody],
    ['a cut', reset],
  ]
  const node = await startImpatient(t)
  const path = `GET /ipfs/${cid}`
  const peers = await Promise.all(
    bad.map(async ([what, answer]) => {
      const peer = await standInFor(t, holder, { [path]: answer })
      await node.node.connect([peer.url])
      return { what, peer }
    }),
  )
  const files = join(node.options.data, 'files')
  const asked = { ipfs_hash: cid.toString() }
  t.match(await post(`${node.url}/get_file`, asked), { status: 404, body: { code: 'file_unavailable' } })
  for (const { what, peer } of peers) t.ok(peer.asked.includes(path), `${what}: it was asked`)
  t.same(readdirSync(files), [], 'nothing wrong is kept')
  t.notOk(readdirSync(join(node.options.data, '..')).includes('downloads'), 'or written')

  // Peers are asked in the order of their addresses, and one that honestly lacked the file comes before this one.
  const without = peers[0]?.peer as StandIn
  let good: StandIn
  do good = await standInFor(t, holder)
  while (without.url > good.url)
  await node.node.connect([good.url])
  t.match(await post(`${node.url}/get_file`, asked), { status: 200, body: { size: 700_000 } })
  t.equal(without.asked.filter((call) => call === path).length, 2, 'it was asked again')
  t.same(readdirSync(files), [`${cid}.car`])
  const asksBefore = good.asked.length
  t.equal((await post(`${node.url}/get_file`, asked)).status, 200)
  t.equal(good.asked.length, asksBefore, 'what it holds it does not ask for')
})
