import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t from 'tap'
import { Agent, request } from 'undici'
import { isLoopback } from '#emrchain/http/access.js'
import { buildServer } from '#emrchain/http/build-server.js'
import { ask, folderOf, get, post, silent, startNode } from '../fixtures/start-node.js'

/** Who may call: by Host and Origin from this machine, by the token from elsewhere. */

const TOKEN = 'ab'.repeat(32)
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

t.test('the guard answers 421, 403, 403 and 401, in this order', async (t) => {
  const { node } = await startNode(t)
  const access = {
    hosts: () => new Set(['node.example']),
    origins: () => new Set(['https://node.example']),
    token: TOKEN,
    behindProxy: false,
  }
  const server = await buildServer(node, { logger: silent, access })
  t.teardown(() => server.close())
  const call = async (from: string, headers: Record<string, string>, url = '/connect_node') => {
    const method = url === '/connect_node' ? 'POST' : 'GET'
    const payload = method === 'POST' ? { payload: { nodes: [] } } : {}
    const own = { host: 'node.example', ...headers }
    const answer = await server.inject({ method, url, remoteAddress: from, headers: own, ...payload })
    return { status: answer.statusCode, code: answer.json().code, asks: answer.headers['www-authenticate'] }
  }
  const [near, far] = ['127.0.0.1', '192.0.2.7']
  const rebound = { host: 'evil.example', origin: 'http://evil.example' }
  const crossSite = { 'sec-fetch-site': 'cross-site' }
  const cases: [what: string, from: string, headers: Record<string, string>, status: number, url?: string][] = [
    ['a good call', near, {}, 201],
    ['a good call of IPv6', '::1', {}, 201],
    ['a good call of IPv4 in IPv6', '::ffff:127.0.0.1', {}, 201],
    ['its own page', near, { origin: 'https://node.example', 'sec-fetch-site': 'same-origin' }, 201],
    ['no token', far, {}, 401],
    ['no token, IPv4 in IPv6', '::ffff:192.0.2.7', {}, 401],
    ['another token', far, bearer(TOKEN.replace('a', 'b')), 401],
    ['a part of the token', far, bearer(TOKEN.slice(1)), 401],
    ['the token as a user', far, { authorization: `Basic ${TOKEN}` }, 401],
    ['a claim to be near', far, { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' }, 401],
    ['the token', far, bearer(TOKEN), 201],
    ['a public call', far, {}, 200, '/healthz'],
    ['an operator GET', far, {}, 401, '/mine_block'],
    ['rebinding', near, rebound, 421],
    ['rebinding, with the token', far, { ...rebound, ...bearer(TOKEN) }, 421],
    ['an unknown path for another host', near, rebound, 421, '/nope'],
    ['a cross-site form', near, { origin: 'http://evil.example', ...crossSite }, 403],
    ['a cross-site image', near, crossSite, 403, '/mine_block'],
    ['another port of this machine', near, { origin: 'https://node.example:1' }, 403],
    ['its name without TLS', near, { origin: 'http://node.example' }, 403],
    ['another page, with the token', far, { ...crossSite, ...bearer(TOKEN) }, 403],
  ]
  const codes: Record<number, string> = { 421: 'foreign_host', 403: 'foreign_origin', 401: 'token_required' }
  for (const [what, from, headers, status, url] of cases) {
    const answer = await call(from, headers, url)
    t.match(answer, { status, ...(codes[status] ? { code: codes[status] } : {}) }, what)
    t.equal(answer.asks, status === 401 ? 'Bearer realm="emrchain"' : undefined, what)
  }
  t.equal(isLoopback(undefined), false, 'a connection that is gone is not near')
})

t.test('behind a proxy every operator call needs the token of the file', async (t) => {
  const lines: string[] = []
  const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })
  const options = { behindProxy: true, publicUrl: 'https://node.example' }
  const first = await startNode(t, options, { logger })
  const path = join(first.options.data, 'token')
  const token = readFileSync(path, 'utf8')
  t.match(token, /^[0-9a-f]{64}\n$/)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const calls = async (url: string) => {
    const answers = [{}, bearer('0'.repeat(64)), bearer(token.trim())].map((headers) =>
      post(`${url}/connect_node`, { nodes: [] }, headers),
    )
    return (await Promise.all(answers)).map(({ status }) => status)
  }
  t.same(await calls(first.url), [401, 401, 201])
  const named = { host: 'node.example', origin: 'https://node.example' }
  t.equal((await get(`${first.url}/get_chain`, named)).status, 200, 'its public name is its own')
  t.match((await get(`${first.url}/status`)).body, { url: 'https://node.example' }, 'others are told its public name')
  await first.close()

  const again = await startNode(t, first.options, { logger })
  t.same(await calls(again.url), [401, 401, 201], 'the token stays')
  await again.close()
  t.notOk(lines.join('').includes(token.trim()), 'the token is not in the log')

  const refused = (what: RegExp) => ({ code: 'token_file_invalid', message: what })
  chmodSync(path, 0o640)
  await t.rejects(startNode(t, first.options), refused(/token may be read .*mode 640/), 'one that others read')
  chmodSync(path, 0o600)
  writeFileSync(path, 'short\n')
  await t.rejects(startNode(t, first.options), refused(/64 hex digits/), 'one that holds no token')
})

t.test('who sends too much from elsewhere must wait, peers later than strangers', async (t) => {
  const { node } = await startNode(t)
  const access = (behindProxy: boolean) => ({
    hosts: () => new Set(['node.example']),
    origins: () => new Set<string>(),
    token: TOKEN,
    behindProxy,
  })
  const requestLimits = { strangers: 3, peers: 5 }
  const open = async (behindProxy: boolean) => {
    const server = await buildServer(node, { logger: silent, access: access(behindProxy), requestLimits })
    t.teardown(() => server.close())
    return async (from: string, more: Record<string, string> = {}, url = '/status') => {
      const answer = await server.inject({ url, remoteAddress: from, headers: { host: 'node.example', ...more } })
      return [answer.statusCode, answer.statusCode === 429 ? answer.json().code : undefined]
    }
  }
  const ask = await open(false)
  const times = async (many: number, ...call: Parameters<typeof ask>) => {
    const answers: unknown[] = []
    for (let n = 0; n < many; n++) answers.push((await ask(...call))[0])
    return answers
  }
  t.same(await times(5, '192.0.2.7'), [200, 200, 200, 429, 429])
  t.same(await ask('192.0.2.7', {}, '/nope'), [429, 'too_many_requests'], 'wherever it asks')
  t.same(await times(1, '192.0.2.8'), [200], 'another address is another sender')
  t.same(await times(4, '2001:db8::1'), [200, 200, 200, 429])
  t.same(await times(1, '2001:db8::2'), [429], 'which is the same line')
  t.same(await times(2, '192.0.2.7', {}, '/healthz'), [200, 200], 'how the node is may be asked at any time')
  t.same(await times(6, '127.0.0.1'), Array(6).fill(200), 'this machine has no limit')
  t.same(await times(5, '192.0.2.9', { host: 'evil.example' }), [421, 421, 421, 429, 429], 'refusals count')

  const behind = await open(true)
  const forwarded = (last: string) => ({ 'x-forwarded-for': `127.0.0.1, ${last}` })
  for (let n = 0; n < 3; n++) await behind('127.0.0.1', forwarded('192.0.2.7'))
  t.same(await behind('127.0.0.1', forwarded('192.0.2.7')), [429, 'too_many_requests'], 'as its proxy says')
  t.same(await behind('127.0.0.1', forwarded('192.0.2.8')), [200, undefined])
})

t.test('with a certificate and its key the node speaks TLS 1.2 and later', async (t) => {
  const file = (name: string) => folderOf(t, name)
  const plain = await startNode(t)
  for (const name of ['one', 'two']) {
    const made = ['-keyout', file(`${name}.key`), '-out', file(`${name}.crt`), '-days', '2', '-subj', '/CN=localhost']
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    execFileSync('openssl', ['req', '-x509', ...kind, ...made], { stdio: 'ignore' })
  }
  const node = await startNode(t, { tlsCert: file('one.crt'), tlsKey: file('one.key') })
  t.match(node.url, /^https:/)
  const answered = async (maxVersion: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') => {
    const ciphers = 'DEFAULT@SECLEVEL=0'
    const connect = { rejectUnauthorized: false, minVersion: 'TLSv1' as const, maxVersion, ciphers }
    const dispatcher = new Agent({ connect })
    try {
      const { statusCode, body } = await request(`${node.url}/get_chain`, { dispatcher })
      await body.dump()
      return statusCode
    } finally {
      await dispatcher.close()
    }
  }
  t.equal(await answered('TLSv1.3'), 200)
  t.equal(await answered('TLSv1.2'), 200)
  await t.rejects(answered('TLSv1.1'), 'an old version is refused')
  await t.rejects(ask(node.url.replace('https', 'http')), 'plain HTTP gets no answer')

  const refused = { code: 'config_invalid' }
  await t.rejects(startNode(t, { tlsCert: file('one.crt'), tlsKey: file('two.key') }), refused, 'the key of another')
  writeFileSync(file('ed25519.key'), generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await t.rejects(startNode(t, { tlsCert: file('one.crt'), tlsKey: file('ed25519.key') }), refused, 'of another kind')
  await t.rejects(startNode(t, { tlsCert: file('none.crt'), tlsKey: file('one.key') }), refused, 'no such file')
  await t.rejects(startNode(t, { tlsCert: file('one.key'), tlsKey: file('one.crt') }), refused, 'exchanged')
  t.equal((await get(`${plain.url}/get_chain`)).status, 200)
})
