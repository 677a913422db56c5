import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { CID } from 'multiformats/cid'
import t from 'tap'
import { request } from 'undici'
import { sha256 } from '#emrchain/crypto/hash.js'
import type { Block } from '#emrchain/protocol/block.js'
import { decodeBlocks, decodeCar, decodeHeaders } from '#emrchain/protocol/car.js'
import { cidOf, cidToHex } from '#emrchain/protocol/cid.js'
import { genesisHeader } from '#emrchain/protocol/header.js'
import { decodeTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, signerOf } from '../fixtures/block-maker.js'
import { nextEvent, openEvents } from '../fixtures/event-stream.js'
import {
  ask,
  get,
  hardNetwork,
  networkFile,
  post,
  postBytes,
  startNode,
  type TestNode,
} from '../fixtures/start-node.js'

/** The server around the calls: who may ask, what is documented, and that long work holds nobody up. */

const HELLO = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
const CBOR = 'application/vnd.ipld.dag-cbor'
/** Calls that are posted since they do something, and need no more than their address to be told what. */
const BODILESS = ['/mine_block', '/files/check', '/files/collect', '/files/{cid}/pin']

async function addRecord(node: TestNode, EHR_name: string): Promise<string> {
  writeFileSync(join(node.options.fileRoot, 'hello.txt'), 'hello world\n')
  await post(`${node.url}/create_hash`, { file_path: 'hello.txt' })
  const { body } = await post(`${node.url}/add_transaction`, { user_id: 'xxxxx', ipfs_hash: HELLO, EHR_name })
  return (body as { transaction: string }).transaction
}
const bytesOf = async (url: string): Promise<{ type: string; bytes: Buffer }> => {
  const answer = await request(url)
  return { type: String(answer.headers['content-type']), bytes: Buffer.from(await answer.body.arrayBuffer()) }
}

t.test('only requests that mean this server, from itself or from no page, are answered', async (t) => {
  const node = await startNode(t)
  const { host, port } = new URL(node.url)
  const cases: [what: string, path: string, headers: Record<string, string>, status: number, code?: string][] = [
    ['plain', '/get_chain', {}, 200],
    ['localhost', '/get_chain', { host: `localhost:${port}` }, 200],
    ['LOCALHOST', '/get_chain', { host: `LOCALHOST:${port}` }, 200],
    ['[::1]', '/get_chain', { host: `[::1]:${port}` }, 200],
    ['its own page', '/get_chain', { origin: node.url, 'sec-fetch-site': 'same-origin' }, 200],
    ['its own page as localhost', '/get_chain', { origin: `http://localhost:${port}` }, 200],
    ['typed into a browser', '/get_chain', { 'sec-fetch-site': 'none' }, 200],
    ['a foreign name', '/get_chain', { host: 'evil.example' }, 421, 'foreign_host'],
    ['a foreign name with the port', '/get_chain', { host: `evil.example:${port}` }, 421, 'foreign_host'],
    ['another port', '/get_chain', { host: '127.0.0.1:1' }, 421, 'foreign_host'],
    ['no port', '/get_chain', { host: '127.0.0.1' }, 421, 'foreign_host'],
    ['another address', '/get_chain', { host: `127.0.0.2:${port}` }, 421, 'foreign_host'],
    ['an empty name', '/get_chain', { host: '' }, 421, 'foreign_host'],
    ['a rebound name, origin to match', '/get_chain', rebound(port), 421, 'foreign_host'],
    ['an unknown address', '/nope', { host: 'evil.example' }, 421, 'foreign_host'],
    ['the reference', '/docs', { host: 'evil.example' }, 421, 'foreign_host'],
    ['another site', '/get_chain', { origin: 'http://evil.example' }, 403, 'foreign_origin'],
    ['another port of this machine', '/get_chain', { origin: 'http://127.0.0.1:1' }, 403, 'foreign_origin'],
    ['a page without origin', '/get_chain', { origin: 'null' }, 403, 'foreign_origin'],
    ['a cross-site image', '/mine_block', { 'sec-fetch-site': 'cross-site' }, 403, 'foreign_origin'],
    ['another port, as browsers say', '/mine_block', { 'sec-fetch-site': 'same-site' }, 403, 'foreign_origin'],
    ['an unknown address from another site', '/nope', { origin: 'http://evil.example' }, 403, 'foreign_origin'],
  ]
  for (const [what, path, headers, status, code] of cases) {
    const answer = await get(node.url + path, headers)
    t.equal(answer.status, status, what)
    if (code) t.match(answer.body, { code, status })
  }
  const form = { origin: 'http://evil.example', 'content-type': 'text/plain' }
  const posted = await ask(`${node.url}/mine_block`, { method: 'POST', headers: form, body: 'x' })
  t.equal(posted.status, 403, 'a form of another site')
  t.equal(node.node.tip().header.height, 0, 'nothing of this mined')
  t.equal((await post(`${node.url}/connect_node`, { nodes: [] }, { origin: node.url, host })).status, 201)

  function rebound(port: string): Record<string, string> {
    return { host: `evil.example:${port}`, origin: `http://evil.example:${port}` }
  }
})

t.test('a block by its index, its hash and its id; its bytes as a CAR', async (t) => {
  const node = await startNode(t)
  const transaction = await addRecord(node, 'MRI')
  const mined = (await get(`${node.url}/mine_block`)).body as { message: string; hash: string; index: number }
  const { message: _, ...block } = mined
  const stored = await node.node.blockAt(1)
  if (!stored) throw new Error('unreachable')
  for (const id of ['2', block.hash, block.hash.toUpperCase(), stored.header.id.toString()]) {
    const answer = await get(`${node.url}/blocks/${id}`)
    t.same([answer.status, answer.body], [200, block], id)
  }
  t.match((await get(`${node.url}/blocks/1`)).body, { index: 1, previous_hash: '0', transactions: [] })

  const single = await bytesOf(`${node.url}/blocks/2?format=car`)
  t.equal(single.type, 'application/vnd.ipld.car; version=1')
  const [read] = decodeBlocks(single.bytes)
  t.same(Buffer.from(read?.header.bytes ?? []), Buffer.from(stored.header.bytes))
  t.equal(Buffer.from(sha256(stored.header.bytes)).toString('hex'), block.hash, 'the hash is that of the header')
  t.same(
    read?.transactions.map(({ id }) => id.toString()),
    [transaction],
  )

  for (let n = 0; n < 3; n++) await get(`${node.url}/mine_block`)
  const range = await bytesOf(`${node.url}/blocks?format=car&from=2&to=9`)
  t.same(
    decodeBlocks(range.bytes).map(({ header }) => header.height),
    [2, 3, 4],
  )
  for (const { cid, bytes } of decodeCar(range.bytes).sections) t.ok(cidOf(bytes).equals(cid))
  const headersAfter = async (locator: string) => {
    const { bytes } = await bytesOf(`${node.url}/headers?format=car&locator=${locator}`)
    return decodeHeaders(bytes).map(({ header }) => header.height)
  }
  t.same(await headersAfter(block.hash), [2, 3, 4])
  t.same(await headersAfter(`${'0'.repeat(64)},${block.hash},${node.node.genesis}`), [2, 3, 4], 'the first it knows')
  t.same(await headersAfter('0'.repeat(64)), [1, 2, 3, 4], 'where it knows none, all')
  t.same(await headersAfter(node.node.tip().header.id.toString()), [])
})

t.test('a transaction, pending and confirmed, and its bytes', async (t) => {
  const node = await startNode(t)
  const { record } = createBlockMaker()
  const at = Date.now()
  const { id, bytes, from } = record('MRI', { at })
  const sent = await postBytes(`${node.url}/transactions`, CBOR, bytes)
  t.same([sent.status, sent.body], [202, { id: id.toString(), state: 'pending' }])
  const transaction = {
    EHR_name: 'MRI',
    file_name: 'MRI.aes',
    id: id.toString(),
    ipfs_hash: HELLO,
    signer: Buffer.from(from).toString('hex'),
    size: '20',
    user_id: 'xxxxx',
  }
  const label = { user_id: 'xxxxx', EHR_name: 'MRI', file_name: 'MRI.aes', size: 20 }
  const said = {
    transaction,
    at,
    kind: 'record',
    body: { file: HELLO, label },
    result: { code: 0, name: 'accepted', sentence: 'It has effect.' },
  }
  const own = await addRecord(node, 'CT')
  t.same((await get(`${node.url}/transactions`)).body, { pending: [id.toString(), own] }, 'oldest first')
  t.same((await get(`${node.url}/transactions/${id}`)).body, { state: 'pending', ...said })
  const { hash, index, timestamp } = (await get(`${node.url}/mine_block`)).body as Record<string, unknown>
  await get(`${node.url}/mine_block`)
  const confirmed = { state: 'confirmed', ...said, block: { index, hash, timestamp }, confirmations: 2 }
  t.same((await get(`${node.url}/transactions/${id}`)).body, confirmed)
  t.same((await get(`${node.url}/transactions/${cidToHex(id)}`)).body, confirmed, 'by its hash')
  t.same((await get(`${node.url}/transactions`)).body, { pending: [] })
  for (const state of ['confirmed', 'pending']) {
    const which = state === 'confirmed' ? id.toString() : await addRecord(node, 'late')
    const raw = await bytesOf(`${node.url}/transactions/${which}?format=raw`)
    t.equal(raw.type, 'application/vnd.ipld.raw')
    t.equal(decodeTransaction(raw.bytes).id.toString(), which, state)
  }
})

t.test('files as blocks and as bytes', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  const contents = Buffer.alloc(700_000, 7)
  writeFileSync(join(a.options.fileRoot, 'file'), contents)
  const { body } = await post(`${a.url}/create_hash`, { file_path: 'file' })
  const { Hash } = (body as { 'IPFS Hash': { Hash: string } })['IPFS Hash']
  const car = await bytesOf(`${a.url}/ipfs/${Hash}?format=car`)
  t.equal(car.type, 'application/vnd.ipld.car; version=1; order=dfs; dups=n')
  const { sections } = decodeCar(car.bytes)
  t.equal(sections[0]?.cid.toString(), Hash, 'the root comes first')
  for (const { cid, bytes } of sections) t.same(cid.multihash.digest, sha256(bytes))
  const raw = await bytesOf(`${a.url}/ipfs/${Hash}?format=raw`)
  t.equal(raw.type, 'application/vnd.ipld.raw')
  t.same(CID.parse(Hash).multihash.digest, sha256(raw.bytes))
  t.equal((await get(`${b.url}/ipfs/${Hash}?format=car`)).status, 404, 'blocks are not fetched for others')
  for (const node of [a, b]) {
    const file = await bytesOf(`${node.url}/files/${Hash}`)
    t.equal(file.type, 'application/octet-stream')
    t.ok(file.bytes.equals(contents))
  }
  t.equal((await get(`${b.url}/ipfs/${Hash}?format=car`)).status, 200, 'what was read was fetched and is held')
})

/** Two blocks on genesis, of which the first alone would lose against this one. */
function forkAgainst(hash: string): Block[] {
  const maker = createBlockMaker()
  for (let n = 0; ; n++) {
    const first = maker.block(maker.genesis, [], { signer: signerOf(`miner ${n}`) })
    if (cidToHex(first.header.id) > hash) return [first, maker.block(first.header)]
  }
}

t.test('events', async (t) => {
  const node = await startNode(t)
  const events = await openEvents(t, node.url)
  const { message: _, ...block } = (await get(`${node.url}/mine_block`)).body as { message: string; hash: string }
  t.same(await nextEvent(events), { event: 'tip', data: { connected: [block], disconnected: [], length: 2 } })

  const fork = forkAgainst(block.hash)
  await node.node.submitBlocks(fork)
  const { event, data } = await nextEvent(events)
  t.equal(event, 'tip')
  t.match(data, { disconnected: [block.hash], length: 3 })
  t.same(
    (data as { connected: { hash: string }[] }).connected.map(({ hash }) => hash),
    fork.map(({ header }) => cidToHex(header.id)),
  )
  await node.close()
  t.ok((await events.next()).done, 'a node that closes ends the stream')
})

t.test('a search holds up nobody, and ends with who asked for it', async (t) => {
  const node = await startNode(t, { network: hardNetwork(t) })
  const { mine } = node.node
  const searches: Promise<unknown>[] = []
  const begun = (): Promise<void> =>
    new Promise((heard) => {
      node.node.mine = (signal) => {
        const search = mine(signal)
        searches.push(search)
        heard()
        return search
      }
    })
  const gone = new AbortController()
  const first = begun()
  const asked = ask(`${node.url}/mine_block`, { method: 'POST', signal: gone.signal })
  await first
  const [search] = searches
  if (!search) throw new Error('unreachable')
  let ended = false
  void search.catch(() => undefined).then(() => (ended = true))
  t.equal((await get(`${node.url}/healthz`)).status, 200)
  const transaction = await addRecord(node, 'MRI')
  t.match(await get(`${node.url}/transactions/${transaction}`), { status: 200, body: { state: 'pending' } })
  t.equal((await get(`${node.url}/get_chain`)).status, 200)
  t.notOk(ended, 'all that while the search went on')
  gone.abort()
  await t.rejects(asked)
  await t.rejects(search, { code: 'cancelled' }, 'it ends with its client')
  t.same((await get(`${node.url}/transactions`)).body, { pending: [transaction] }, 'and loses nothing')

  const second = begun()
  const waiting = get(`${node.url}/mine_block`)
  await second
  const third = begun()
  const queued = get(`${node.url}/mine_block`)
  await third
  await node.close()
  for (const answer of [await waiting, await queued]) {
    t.match(answer, { status: 503, headers: { 'retry-after': '5' }, body: { code: 'closing' } })
  }
})

t.test('a client that does not take its answer does not keep the node from closing', async (t) => {
  const node = await startNode(t)
  const signal = new AbortController().signal
  async function* zeros(): AsyncGenerator<Uint8Array> {
    for (let n = 0; n < 64; n++) yield Buffer.alloc(1024 * 1024, n)
  }
  const { cid } = await node.node.createHash({ name: 'large', source: Readable.from(zeros()) }, signal)
  const { hostname, port, host } = new URL(node.url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  socket.write(`GET /files/${cid} HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
  await once(socket, 'readable')
  await node.close()
  socket.destroy()
})

t.test('what was acknowledged while the node closes is there when it opens again', async (t) => {
  const node = await startNode(t)
  const { record } = createBlockMaker()
  const acknowledged: string[] = []
  const send = async (client: number): Promise<void> => {
    for (let n = 0; ; n++) {
      const { id, bytes } = record(`${client}-${n}`, { at: Date.now() })
      const { status } = await postBytes(`${node.url}/transactions`, CBOR, bytes)
      if (status === 202) acknowledged.push(id.toString())
      if (acknowledged.length === 40) void node.close()
    }
  }
  await Promise.allSettled(Array.from({ length: 8 }, (_, client) => send(client)))
  await node.close()
  const again = await startNode(t, node.options)
  const pending = new Set(Array.from(again.node.pendingTransactions(), ({ id }) => id.toString()))
  t.ok(acknowledged.length >= 40)
  t.same(
    acknowledged.filter((id) => !pending.has(id)),
    [],
  )
})

t.test('what cannot be opened names itself and holds nothing', async (t) => {
  const node = await startNode(t)
  const { port } = new URL(node.url)
  const options = { data: join(node.options.data, '..', 'second') }
  const unfit: readonly (readonly [change: Parameters<typeof startNode>[1], message: RegExp])[] = [
    [{ port: Number(port) }, /port: \d+ is taken/],
    // TEST-NET-3 of RFC 5737.
    [{ host: '203.0.113.5', behindProxy: true }, /host: 203\.0\.113\.5 is no address of this machine/],
    [{ ipfs: 'nonsense' }, /ipfs: neither "embedded" nor a URL/],
    [{ ipfs: 'embedded', ipfsCluster: 'http://127.0.0.1:1' }, /ipfsCluster: the file store is the embedded one/],
    [{ ipfs: 'http://127.0.0.1:1', ipfsCluster: 'nonsense' }, /ipfsCluster: this is no URL/],
    [{ allowPeer: ['%%%'] }, /allowPeer: "%%%" is no address/],
    [{ network: join(options.data, 'none.json') }, /none\.json cannot be read/],
    [{ tlsCert: '/none', tlsKey: '/none' }, /tlsCert: .*none cannot be read/],
    [{ tlsCa: '/none' }, /tlsCa: .*none cannot be read/],
  ]
  for (const [change, message] of unfit) {
    await t.rejects(startNode(t, { ...options, ...change }), { code: 'config_invalid', message })
    t.notOk(existsSync(options.data), `${message}: nothing is left behind`)
  }
  await t.rejects(startNode(t, { data: node.options.data }), { code: 'data_folder_in_use' })
  const network = networkFile(t, { name: 'other' })
  const second = await startNode(t, options)
  t.equal((await get(`${second.url}/healthz`)).status, 200, 'the folder is free after each')
  await second.close()
  await t.rejects(startNode(t, { ...options, network }), { code: 'data_folder_other_network' })
})

t.test('/openapi.json', async (t) => {
  const node = await startNode(t)
  const { status, body } = await get(`${node.url}/openapi.json`)
  t.equal(status, 200)
  const api = body as {
    openapi: string
    info: { title: string; version: string }
    paths: Record<string, Record<string, Operation>>
  }
  interface Operation {
    summary?: string
    parameters?: { name: string; in: string; required?: boolean; schema?: object }[]
    requestBody?: { content: Record<string, { schema?: object }> }
    responses: Record<string, { description?: string; content?: Record<string, { schema?: object }> }>
  }
  t.match(api.openapi, /^3\.1\./)
  t.match(api.info, { title: 'emrchain', version: /^\d+\.\d+\.\d+$/ })
  const calls = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  t.same(calls.sort(), [
    'GET /blocks',
    'GET /blocks/{id}',
    'GET /decide',
    'GET /events',
    'GET /files',
    'GET /files/{cid}',
    'GET /get_chain',
    'GET /headers',
    'GET /healthz',
    'GET /history',
    'GET /history/pending',
    'GET /identities',
    'GET /identities/{id}',
    'GET /ipfs/{cid}',
    'GET /is_valid',
    'GET /metrics',
    'GET /mine_block',
    'GET /peers',
    'GET /replace_chain',
    'GET /shares/{record}/releases',
    'GET /status',
    'GET /transactions',
    'GET /transactions/{id}',
    'HEAD /ipfs/{cid}',
    'POST /add_hash',
    'POST /add_transaction',
    'POST /announcements',
    'POST /blocks',
    'POST /connect_node',
    'POST /create_hash',
    'POST /files/check',
    'POST /files/collect',
    'POST /files/held',
    'POST /files/{cid}/pin',
    'POST /files/{cid}/unpin',
    'POST /get_file',
    'POST /get_file_hash',
    'POST /mine_block',
    'POST /peers',
    'POST /peers/block',
    'POST /peers/ipfs',
    'POST /peers/unblock',
    'POST /shares',
    'POST /shares/handovers',
    'POST /shares/releases',
    'POST /shares/views',
    'POST /shares/{record}/release',
    'POST /transactions',
    'POST /transactions/fetch',
  ])
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, call] of Object.entries(methods)) {
      const name = `${method} ${path}`
      t.ok(call.summary, `${name} says what it does`)
      const success = Object.keys(call.responses).filter((code) => code.startsWith('2'))
      t.ok(success.length > 0, `${name} says what it answers`)
      for (const [code, response] of Object.entries(call.responses)) {
        t.match(code, /^(?:[2-5]\d\d|[45]XX)$/, `${name}: status as OpenAPI writes it`)
        t.ok(response.description, `${name} ${code} is described`)
        const media = Object.values(response.content ?? {})
        t.ok(media.length > 0 && media.every(({ schema }) => schema), `${name} ${code} has a schema`)
      }
      for (const code of ['4XX', '5XX']) t.ok(call.responses[code]?.content?.['application/problem+json'], name)
      const placeholders = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      const inPath = (call.parameters ?? []).filter((parameter) => parameter.in === 'path')
      t.same(
        inPath.map((parameter) => parameter.name),
        placeholders,
        `${name} declares its parameters`,
      )
      if (method === 'post' && !BODILESS.includes(path)) t.ok(call.requestBody, `${name} says what it takes`)
      for (const { schema } of Object.values(call.requestBody?.content ?? {})) t.ok(schema, name)
    }
  }
  t.ok(api.paths['/transactions']?.post?.requestBody?.content[CBOR])
  t.ok(api.paths['/blocks']?.post?.requestBody?.content['application/vnd.ipld.car'])
  t.ok(api.paths['/create_hash']?.post?.requestBody?.content['multipart/form-data'])
})

t.test('/docs is a page that needs no other server', async (t) => {
  const node = await startNode(t)
  const page = await get(`${node.url}/docs`)
  t.equal(page.status, 200)
  t.match(page.headers['content-type'], /^text\/html/)
  const seen = new Set<string>()
  const addresses = (html: string) =>
    [...html.matchAll(/(?:src|href)="([^"]+)"/g)]
      .flatMap((match) => match[1] ?? [])
      .filter((url) => !/^data:/.test(url))
  const found = addresses(String(page.body))
  t.ok(found.length >= 3, 'it has scripts and styles')
  for (const address of found) {
    const url = new URL(address, `${node.url}/docs/`)
    t.equal(url.origin, node.url, `${address} is of this server`)
    const part = await get(url.href)
    t.equal(part.status, 200, address)
    seen.add(address)
    // What a script would load by itself when the page opens.
    if (!/bundle|preset/.test(address) && typeof part.body === 'string') {
      t.notMatch(part.body, /(?:src|url|validatorUrl)["']?\s*[:=(]\s*["']?https?:/i, address)
    }
  }
  const initializer = [...seen].find((address) => /initializer/.test(address))
  t.ok(initializer, 'the page is set up by a script of this server')
  const { body } = await get(new URL(initializer ?? '', `${node.url}/docs/`).href)
  t.match(String(body), /validatorUrl: null/, 'no badge is asked of a validator elsewhere')
  const spec = await get(`${node.url}/docs/json`)
  t.same(spec.body, (await get(`${node.url}/openapi.json`)).body, 'it shows the same description')
})

t.test('genesis of a network follows from its file', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t, { network: networkFile(t, { name: 'other' }) })]
  const ids = [a, b].map(({ node }) => node.genesis.toString())
  t.not(ids[0], ids[1])
  for (const { node } of [a, b]) {
    t.ok(genesisHeader(node.network, sha256(new Uint8Array(0))).id.equals(node.genesis))
  }
})
