import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import type { TestScope } from '../fixtures/block-maker.js'
import { multipart } from '../fixtures/multipart.js'
import { startNodeProcess } from '../fixtures/node-process.js'
import { ask, easyNetwork, folderOf, get, startNode } from '../fixtures/start-node.js'

/** Who sends slowly, too much, or when the node is about to end. */

async function open(t: TestScope, url: string, text: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(async () => void socket.destroy())
  await once(socket, 'connect')
  await new Promise<void>((sent, failed) => socket.write(text, (error) => (error ? failed(error) : sent())))
  return socket
}
const head = (url: string, path: string, type: string, host = new URL(url).host): string =>
  `POST ${path} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: ${type}\r\ncontent-length: 60000\r\n\r\n`
/** The beginning of an upload whose end never comes. */
const halfUpload = (url: string): string =>
  `${head(url, '/create_hash', 'multipart/form-data; boundary=b')}--b\r\ncontent-disposition: form-data; name="file"; filename="half.aes"\r\n\r\nhalf`

t.test('who sends slowly is cut off, and holds up nobody', async (t) => {
  const node = await startNode(t, {}, { bodyLimits: { body: 300, uploadSpan: 300 } })
  const slow: string[] = [
    ...Array<string>(20).fill(`${head(node.url, '/add_transaction', 'application/json')}{"user_id":`),
    ...Array<string>(20).fill(halfUpload(node.url)),
    ...Array<string>(20).fill('GET /healthz HTTP/1.1\r\nhost: 127'),
  ]
  const sockets = await Promise.all(slow.map((text) => open(t, node.url, text)))
  const closed = sockets.map((socket) => once(socket.resume(), 'close'))
  t.equal((await get(`${node.url}/healthz`)).status, 200, 'others are answered meanwhile')
  await Promise.all(closed)
  t.equal((await get(`${node.url}/healthz`)).status, 200)
  t.same(readdirSync(join(node.options.data, 'files')), [], 'nothing is left of the uploads')
})

t.test('a connection that was refused ends, though its client does not close it', async (t) => {
  const { url } = await startNode(t)
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  const ended = once(socket, 'end')
  // A peer that is gone resets what is written to it.
  const reset = once(socket, 'error')
  socket.resume().write('EHLO\r\n\r\n')
  await ended
  const writing = setInterval(() => socket.write('a'), 10)
  const [error] = await reset
  clearInterval(writing)
  t.match(error, { code: /^(ECONNRESET|EPIPE)$/ })
})

t.test('what is no request is answered with a problem all the same', async (t) => {
  const { url } = await startNode(t)
  const line = `GET /healthz HTTP/1.1\r\nhost: ${new URL(url).host}\r\n`
  const cases: [what: string, text: string, status: string, code: string][] = [
    [
      'too many headers',
      `${line}a: ${'x'.repeat(17_000)}\r\n\r\n`,
      '431 Request Header Fields Too Large',
      'headers_too_large',
    ],
    ['too long an address', `GET /${'x'.repeat(17_000)}`, '431 Request Header Fields Too Large', 'headers_too_large'],
    ['no HTTP', 'EHLO\r\n\r\n', '400 Bad Request', 'bad_request'],
    ['half a request after a whole one', `${line}\r\nGET /x y\r\n\r\n`, '400 Bad Request', 'bad_request'],
    ['headers that do not end', line, '408 Request Timeout', 'request_timeout'],
  ]
  await Promise.all(
    cases.map(async ([what, text, status, code]) => {
      const socket = await open(t, url, text)
      const parts: Buffer[] = []
      for await (const part of socket) parts.push(part)
      const last = Buffer.concat(parts).toString().split('HTTP/1.1 ').at(-1) ?? ''
      t.ok(last.startsWith(status), what)
      t.match(last, /content-type: application\/problem\+json/)
      t.match(JSON.parse(last.split('\r\n\r\n')[1] ?? ''), { code }, what)
    }),
  )
})

t.test('a body that drips is cut off wherever it goes, and however early the answer came', async (t) => {
  const node = await startNode(t, {}, { bodyLimits: { body: 300, uploadSpan: 300 } })
  const json = 'application/json'
  const cases: [what: string, text: string, status: number | undefined][] = [
    ['to another host', head(node.url, '/add_transaction', json, 'evil.example'), 421],
    ['to an address that is none', head(node.url, '/%zz', json), 400],
    ['to an address without a route', head(node.url, '/nope', json), undefined],
    ['of another type', head(node.url, '/add_transaction', 'text/plain'), 415],
    ['to a call that takes none', head(node.url, '/get_chain', json).replace('POST', 'GET'), 200],
    ['of JSON', head(node.url, '/add_transaction', json), undefined],
    ['of an upload', halfUpload(node.url), undefined],
  ]
  await Promise.all(
    cases.map(async ([what, text, status]) => {
      const socket = await open(t, node.url, text)
      socket.on('error', () => undefined)
      let answer = ''
      socket.on('data', (piece) => {
        answer += piece
      })
      const closed = new Promise((gone) => socket.once('close', gone))
      const drip = setInterval(() => socket.write('1'), 50)
      await closed
      clearInterval(drip)
      t.equal(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1], status?.toString(), what)
    }),
  )
  const large = multipart([{ name: 'file', filename: 'large.aes', contents: Buffer.alloc(200_000) }])
  const socket = await open(
    t,
    node.url,
    head(node.url, '/create_hash', large.headers['content-type'] ?? '').replace('60000', String(large.body.length)),
  )
  const answered = once(socket, 'data')
  // Slower than a whole body may come, but as fast as an upload must.
  for (let at = 0; at < large.body.length; at += 10_000) {
    socket.write(large.body.subarray(at, at + 10_000))
    await delay(30)
  }
  t.match(String((await answered)[0]), /^HTTP\/1.1 201/, 'an upload goes on for as long as it comes')
})

t.test('pages that do not belong here can do nothing with an answer', async (t) => {
  const { url } = await startNode(t)
  for (const path of ['/get_chain', '/docs', '/no-such-path']) {
    const { headers } = await get(`${url}${path}`)
    t.match(headers, { 'x-content-type-options': 'nosniff', 'x-frame-options': 'SAMEORIGIN' }, path)
    t.match(headers['content-security-policy'], /default-src 'self'.*frame-ancestors 'none'/, path)
    t.equal(headers['access-control-allow-origin'], undefined, path)
  }
})

t.test('a node that is asked to end in the middle of 100 uploads ends well', async (t) => {
  const environment = { DATA: folderOf(t, 'data'), NETWORK: easyNetwork(t), LOG_LEVEL: 'error' }
  const node = await startNodeProcess(environment)
  const acknowledged = await Promise.all(
    Array.from({ length: 10 }, async (_, n) => {
      const upload = multipart([{ name: 'file', filename: `${n}.aes`, contents: `file ${n}` }])
      const { body } = await ask(`${node.url}/create_hash`, { method: 'POST', ...upload })
      return (body as { 'IPFS Hash': { Hash: string } })['IPFS Hash'].Hash
    }),
  )
  const uploads = await Promise.all(Array.from({ length: 100 }, () => open(t, node.url, halfUpload(node.url))))
  for (const upload of uploads) upload.on('error', () => undefined)
  // Answered after the uploads have come in, since it was asked after them.
  await get(`${node.url}/healthz`)
  const before = performance.now()
  t.equal(await node.end('SIGTERM'), 0)
  t.ok(performance.now() - before < 10_000, 'within ten seconds')
  t.same(readdirSync(join(environment.DATA, 'files')).sort(), acknowledged.map((cid) => `${cid}.car`).sort())
  const again = await startNodeProcess(environment)
  for (const [n, cid] of acknowledged.entries()) t.equal((await get(`${again.url}/files/${cid}`)).body, `file ${n}`)
  t.equal(await again.end('SIGTERM'), 0)
})
