import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { downloadResuming, type ResumingOptions, type Retry } from '#emrchain/client/download-resuming.js'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { readEvents } from '#emrchain/client/server-sent-events.js'
import { EmrError } from '#emrchain/errors.js'
import { bytesOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { hardNetwork, startNode } from '../fixtures/start-node.js'

/** A server that is no node; ends with the test. */
async function serve(t: { teardown(end: () => void): unknown }, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('every call reaches a node', async (t) => {
  const one = await startNode(t)
  const two = await startNode(t)
  const client = createNodeClient(`${one.url}/`)

  const status = await client.status()
  t.match(status, {
    network: 'easy',
    genesis: one.node.genesis.toString(),
    clearLabels: true,
    administrators: false,
    tip: { index: 1 },
  })
  t.same(await client.peers(), [])
  const { total_nodes, refused } = await client.connect([two.url, 'ftp://x'])
  t.same(total_nodes, [new URL(one.url).host, new URL(two.url).host].sort())
  t.match(refused, [{ node: 'ftp://x', code: 'peer_bad_address' }])
  t.match(await client.peers(), [{ address: two.url }])

  const blocks = []
  for (let mined = 0; mined < 5; mined++) blocks.push(await client.mine())
  t.same(
    blocks.map(({ index }) => index),
    [2, 3, 4, 5, 6],
  )
  const newest = await client.newestBlocks(2)
  t.same(newest, { chain: blocks.slice(3), length: 6 })
  const range = []
  for await (const block of client.blocks({ from: 0, to: 999 })) range.push(block)
  t.same(range.slice(1), blocks)
  t.equal(range[0]?.previous_hash, '0')

  await t.rejects(client.findFile({ name: 'MRI' }), { code: 'file_unknown' })
  await t.rejects(client.submitTransaction(new Uint8Array([0xa0])), { code: 'transaction_malformed' })
  await t.rejects(client.transaction(one.node.genesis.toString()), { code: 'transaction_unknown' })
  await t.rejects(bytesOf(client.downloadFile('QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o')), {
    code: 'file_unavailable',
  })
  await t.rejects(bytesOf(client.downloadFile('../status')), { code: 'malformed_cid' })
})

t.test('blocks come in pages', async (t) => {
  const asked: string[] = []
  const url = await serve(t, (request, reply) => {
    asked.push(request.url ?? '')
    const query = new URL(request.url ?? '', 'http://x').searchParams
    const [from, to] = [Number(query.get('from')), Math.min(600, Number(query.get('to')))]
    const block = (index: number) => ({
      hash: '',
      index,
      miner: '',
      nonce: 0,
      previous_hash: '',
      timestamp: '',
      transactions: [],
    })
    const chain = Array.from({ length: to - from + 1 }, (_, at) => block(from + at))
    reply.setHeader('content-type', 'application/json').end(JSON.stringify({ chain, length: 600 }))
  })
  const indexes = []
  for await (const { index } of createNodeClient(url).blocks({ from: 1, to: 10_000 })) indexes.push(index)
  t.equal(indexes.length, 600)
  t.same([indexes[0], indexes.at(-1)], [1, 600])
  t.same(asked, ['/get_chain?from=1&to=256', '/get_chain?from=257&to=512', '/get_chain?from=513&to=768'])
})

t.test('files go up and down as they are, whatever their names', async (t) => {
  const { url } = await startNode(t)
  const client = createNodeClient(url)
  const contents = await bytesOf(keystream(2_500_000, 'upload'))
  const names = ['plain.aes', 'a"b.aes', 'line\r\nend.aes', 'Röntgen 😀.aes']
  for (const name of names) {
    const stored = await client.uploadFile(sourceOf(contents), name)
    t.equal(stored.sent, contents.length)
    t.ok(contents.equals(await bytesOf(client.downloadFile(stored.cid))), JSON.stringify(name))
    if (!/["\r]/.test(name)) t.equal(stored.name, name)
  }
  const empty = await client.uploadFile(sourceOf(new Uint8Array(0)), 'empty')
  t.equal(empty.cid, 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH')
  t.equal((await bytesOf(client.downloadFile(empty.cid))).length, 0)
})

t.test('an upload takes from its source only what the node takes', async (t) => {
  const piece = new Uint8Array(1024 * 1024)
  let taken = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      taken++
      yield piece
    }
  }
  // Reads the beginning, no more, and answers.
  const url = await serve(t, (request, reply) => {
    request.once('data', () => {
      request.pause()
      reply.writeHead(507, { 'content-type': 'application/problem+json' })
      reply.end(JSON.stringify({ code: 'disk_full', detail: 'Really.' }))
    })
  })
  await t.rejects(createNodeClient(url).uploadFile(endless(), 'endless'), { code: 'disk_full', message: /Really\.$/ })
  t.ok(taken < 64, `${taken} pieces`)
})

t.test('events tell of blocks until one stops to listen', async (t) => {
  const { url, node } = await startNode(t)
  const client = createNodeClient(url)
  const stop = new AbortController()
  const seen: number[] = []
  const mineOne = (): void => void client.mine()
  for await (const { connected, disconnected, length } of client.events({
    signal: stop.signal,
    onListening: mineOne,
  })) {
    t.same(disconnected, [])
    t.equal(length, node.tip().header.height + 1)
    for (const { index } of connected) seen.push(index)
    if (length === 3) break
    mineOne()
  }
  t.same(seen, [2, 3])

  const ended = client.events({ signal: stop.signal, onListening: () => stop.abort() }).next()
  await t.rejects(ended, { code: 'cancelled' })
})

t.test('a search ends when nobody waits for it', async (t) => {
  const { url } = await startNode(t, { network: hardNetwork(t) })
  const client = createNodeClient(url)
  const stop = new AbortController()
  const mining = client.mine({ signal: stop.signal })
  await client.status()
  stop.abort()
  await t.rejects(mining, { code: 'cancelled' })
})

t.test('what is no node is told from a node that is not there', async (t) => {
  const json =
    (status: number, body: string): RequestListener =>
    (_request, reply) => {
      reply.writeHead(status, { 'content-type': 'application/json' }).end(body)
    }
  const gone = await serve(t, () => undefined)
  const closed = createServer()
  closed.listen(0, '127.0.0.1')
  await once(closed, 'listening')
  const { port } = closed.address() as AddressInfo
  closed.close()
  await once(closed, 'close')

  const cases: [name: string, url: string, code: string][] = [
    ['a closed port', `http://user:secret@127.0.0.1:${port}`, 'node_unreachable'],
    ['other JSON', await serve(t, json(200, '{"hello":"world"}')), 'node_unexpected'],
    ['no JSON', await serve(t, json(200, '<html>')), 'node_unexpected'],
    ['an error of another kind', await serve(t, json(404, '{"code":"nobody_knows"}')), 'node_unexpected'],
    ['an error page', await serve(t, json(500, 'oops')), 'node_unexpected'],
    ['a connection that is cut at once', await serve(t, (request) => request.socket.destroy()), 'node_broke_off'],
    [
      'an answer that is cut',
      await serve(t, (request, reply) => {
        reply.writeHead(200, { 'content-length': '1000' })
        reply.write('{', () => request.socket.destroy())
      }),
      'node_broke_off',
    ],
  ]
  for (const [name, url, code] of cases) {
    const error: unknown = await createNodeClient(url)
      .status()
      .catch((thrown: unknown) => thrown)
    t.ok(error instanceof EmrError, name)
    t.match(error, { code }, name)
    t.notMatch(error, { message: /secret/ })
  }
  await t.rejects(createNodeClient(gone).status({ signal: AbortSignal.abort() }), { code: 'cancelled' })
  for (const url of ['ftp://127.0.0.1', '127.0.0.1:5002', '']) {
    t.throws(() => createNodeClient(url), { code: 'peer_bad_address' }, url)
  }

  const cut = await serve(t, (request, reply) => {
    reply.writeHead(200, { 'content-type': 'application/octet-stream' })
    reply.write('half', () => request.socket.destroy())
  })
  const pieces = createNodeClient(cut).downloadFile('QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o')
  await t.rejects(bytesOf(pieces), { code: 'node_broke_off' }, 'half a file is no file')
})

t.test('what breaks off is taken up where it stopped', async (t) => {
  const whole = await bytesOf(keystream(500_000, 'resumed'))
  const CID = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
  const asked: (string | undefined)[] = []
  /** How each connection ends: after so many bytes it is cut, goes silent, or answers in another way. */
  const turns: ((answer: { start: number; reply: ServerResponse; cut(): void }) => void)[] = []
  const url = await serve(t, (request, reply) => {
    const { range } = request.headers
    asked.push(range)
    const start = Number(/\d+/.exec(range ?? '0'))
    const turn = turns.shift()
    if (turn) return turn({ start, reply, cut: () => request.socket.destroy() })
    const { length } = whole
    reply.writeHead(range ? 206 : 200, range ? { 'content-range': `bytes ${start}-${length - 1}/${length}` } : {})
    reply.end(whole.subarray(start))
  })
  const part = (start: number, reply: ServerResponse, end: number, then: () => void): void => {
    const header = { 'content-range': `bytes ${start}-499999/500000`, 'content-length': whole.length - start }
    reply.writeHead(start > 0 ? 206 : 200, header)
    reply.write(whole.subarray(start, end), then)
  }
  const client = createNodeClient(url)
  const retries: Retry[] = []
  const get = (options: ResumingOptions = {}) =>
    bytesOf(downloadResuming(client, CID, { pauses: [1, 1, 1], onRetry: (retry) => retries.push(retry), ...options }))

  turns.push(
    ({ start, reply, cut }) => part(start, reply, 100_000, cut),
    ({ cut }) => cut(),
    ({ start, reply }) => part(start, reply, 200_000, () => undefined),
    ({ reply }) => reply.writeHead(503).end(JSON.stringify(problemOf('closing'))),
  )
  t.ok(
    (await get({ idleMs: 300 })).equals(whole),
    'through a cut, a refused connection, silence, and a node that closes',
  )
  t.equal(asked[0], undefined)
  const places = asked.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]))
  t.ok(
    places.every((place, i) => place > 0 && place >= (places[i - 1] ?? 0)),
    `${places} go on where it stopped`,
  )
  t.equal(places.at(-1), 200_000)
  t.same(
    retries.map(({ attempt, error }) => [attempt, error.code]),
    [
      [1, 'node_broke_off'],
      [2, 'node_broke_off'],
      [1, 'node_broke_off'],
      [2, 'closing'],
    ],
    'the count begins anew where something came',
  )

  t.ok((await get({ range: { start: 123_456, end: 123_500 } })).equals(whole.subarray(123_456, 123_500)))
  turns.push(({ reply }) => reply.writeHead(200).end(whole))
  t.ok(
    (await get({ range: { start: 1000, end: 2000 } })).equals(whole.subarray(1000, 2000)),
    'of a node without ranges',
  )
  turns.push(({ reply }) => reply.writeHead(206, { 'content-range': 'bytes 0-9/500000' }).end(whole.subarray(0, 10)))
  await t.rejects(get({ range: { start: 5 } }), { code: 'node_unexpected' }, 'another range than the one asked for')

  turns.push(
    ...Array.from(
      { length: 4 },
      () =>
        ({ cut }: { cut(): void }) =>
          cut(),
    ),
  )
  await t.rejects(get(), { code: 'node_broke_off' }, 'not for ever')
  t.equal(turns.length, 0)
  turns.push(({ reply }) => reply.writeHead(404).end(JSON.stringify(problemOf('file_unavailable'))))
  await t.rejects(get(), { code: 'file_unavailable' }, 'an answer is an answer')
  turns.push(({ cut }) => cut())
  const controller = new AbortController()
  const stopped = get({ pauses: [60_000], signal: controller.signal, onRetry: () => controller.abort() })
  await t.rejects(stopped, { code: 'cancelled' }, 'also while it waits')
})

const problemOf = (code: string) => ({ type: 'about:blank', title: 'x', status: 500, code })

t.test('events are read however their bytes are cut', async (t) => {
  const stream =
    ': hello\r\n\r\nevent: tip\ndata: {"a":\ndata:1}\n\n\ndata: ü\nid: 7\nretry\n\nevent: lost\ndata: no end'
  const expected = [
    { event: 'tip', data: '{"a":\n1}' },
    { event: 'message', data: 'ü' },
  ]
  for (const chunk of [1, 2, 3, 7, 1000]) {
    const events = []
    for await (const event of readEvents(sourceOf(new TextEncoder().encode(stream), chunk))) events.push(event)
    t.same(events, expected, `${chunk} bytes at a time`)
  }
})
