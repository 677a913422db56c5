import { createHash, createPublicKey, randomBytes, verify as verifyBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { type buildConnector, request } from 'undici'
import type { Signer } from '#emrchain/crypto/ed25519.js'
import { createNativeSigner, verifyNative } from '#emrchain/crypto/ed25519-node.js'
import { createAddressPolicy, DEFAULT_ALLOWED } from '#emrchain/network/address-policy.js'
import { createGuardedConnector, type ResolveAll } from '#emrchain/network/guarded-connector.js'
import { createNonceCache } from '#emrchain/network/nonce-cache.js'
import { CAR_MEDIA_TYPE, encodeBlocks } from '#emrchain/protocol/car.js'
import { PEER_HEADER } from '#emrchain/protocol/peer-messages.js'
import {
  contentDigest,
  type SignatureFields,
  signAnswer,
  signRequest,
  verifyAnswer,
  verifyRequest,
} from '#emrchain/protocol/request-signature.js'
import { readDocument } from '../docs/markdown.js'
import { createBlockMaker, signerOf } from '../fixtures/block-maker.js'
import { multipart } from '../fixtures/multipart.js'
import { askAs, digestOf, greetAs, type Oddities, type SignedBy, signedHeaders } from '../fixtures/signed-request.js'
import { sendSigned, standInFor } from '../fixtures/stand-in-peer.js'
import { ask, get, post, startQuietNode as startNode, type TestNode } from '../fixtures/start-node.js'

/** Who a peer is: signatures of requests, proofs of keys and addresses, and whom a node calls. */

const CBOR = 'application/vnd.ipld.dag-cbor'
const keyOf = (signer: Signer): string => Buffer.from(signer.publicKey).toString('hex')
const strangerAt = (url: string): SignedBy => ({ signer: createNativeSigner(randomBytes(32)), url })
const helloOf = (node: TestNode, { signer, url }: SignedBy) => ({ ...node.node.hello(), url, key: keyOf(signer) })

interface Vector {
  readonly callerSeed: string
  readonly caller: string
  readonly nodeSeed: string
  readonly node: string
  readonly requests: { method: string; url: string; body: string; created: number; nonce: string; fields: Fields }[]
  readonly answers: { status: number; body: string; created: number; request: string; fields: Fields }[]
}
type Fields = Record<'content-digest' | 'signature-input' | 'signature', string>
const vector: Vector = JSON.parse(
  readFileSync(new URL('../../test/vectors/signed-requests.json', import.meta.url), 'utf8'),
)

/** Node's own verification, with nothing of the program: the base is written out here. */
function holds(base: string, signature: string, key: string): boolean {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key, 'hex')])
  const bytes = Buffer.from(signature.replace(/^emrchain=:|:$/g, ''), 'base64')
  return verifyBytes(null, Buffer.from(base), createPublicKey({ key: spki, format: 'der', type: 'spki' }), bytes)
}

t.test('the frozen signatures are made, and hold by RFC 9421', async (t) => {
  const [caller, node] = [vector.callerSeed, vector.nodeSeed].map((seed) =>
    createNativeSigner(Buffer.from(seed, 'hex')),
  )
  if (!caller || !node) throw new Error('unreachable')
  t.same([keyOf(caller), keyOf(node)], [vector.caller, vector.node])
  for (const { method, url, body, created, nonce, fields } of vector.requests) {
    t.same(signRequest({ method, url, digest: digestOf(body) }, caller, { created, nonce }), fields, `${method} ${url}`)
    const { host, pathname, search } = new URL(url)
    const lines = [
      `"@method": ${method}`,
      `"@authority": ${host}`,
      `"@path": ${pathname}`,
      `"@query": ${search || '?'}`,
      `"content-digest": sha-256=:${createHash('sha256').update(body).digest('base64')}:`,
      `"@signature-params": ${fields['signature-input'].replace('emrchain=', '')}`,
    ]
    t.ok(holds(lines.join('\n'), fields.signature, vector.caller), 'by the words of the document alone')
    t.same(await verifyRequest({ method, url, fields }, verifyNative, created * 1000), {
      key: vector.caller,
      nonce,
      created,
    })
    if (url.endsWith('/transactions')) {
      const document = readDocument('docs/protocol.md')
      t.ok(document.includes(lines.join('\n')), 'docs/protocol.md shows it')
      t.ok(document.includes(`\n${fields.signature}\n`))
    }
  }
  for (const { status, body, created, request, fields } of vector.answers) {
    t.same(signAnswer({ status, digest: digestOf(body), request }, node, { created }), fields)
    const lines = [
      `"@status": ${status}`,
      `"content-digest": ${digestOf(body)}`,
      `"signature";req;key="emrchain": ${request.replace('emrchain=', '')}`,
      `"@signature-params": ${fields['signature-input'].replace('emrchain=', '')}`,
    ]
    t.ok(holds(lines.join('\n'), fields.signature, vector.node))
    t.equal(await verifyAnswer({ status, fields, request }, verifyNative), vector.node)
    const other = vector.requests[0]?.fields.signature ?? ''
    await t.rejects(verifyAnswer({ status, fields, request: other }, verifyNative), { code: 'peer_bad_signature' })
    await t.rejects(verifyAnswer({ status: 201, fields, request }, verifyNative), { code: 'peer_bad_signature' })
  }
})

t.test('a signature says one thing, of one time, by one key', async (t) => {
  const [good] = vector.requests
  if (!good) throw new Error('unreachable')
  const now = good.created * 1000
  const other = createNativeSigner(Buffer.from(vector.nodeSeed, 'hex'))
  const again = signRequest({ ...good, digest: digestOf(good.body) }, other, good)
  const input = good.fields['signature-input']
  const change = (fields: SignatureFields, request: object = {}) => ({
    ...good,
    fields: { ...good.fields, ...fields },
    ...request,
  })
  const cases: [what: string, request: typeof good | ReturnType<typeof change>, now: number, code?: string][] = [
    ['as it is', good, now],
    ['60 s old', good, now + 60_000],
    ['older', good, now + 60_001, 'peer_signature_old'],
    ['30 s early', good, now - 30_000],
    ['earlier', good, now - 30_001, 'peer_signature_early'],
    ['another method', change({}, { method: 'PUT' }), now, 'peer_bad_signature'],
    ['another authority', change({}, { url: good.url.replace('5002', '5003') }), now, 'peer_bad_signature'],
    [
      'localhost for 127.0.0.1',
      change({}, { url: good.url.replace('127.0.0.1', 'localhost') }),
      now,
      'peer_bad_signature',
    ],
    ['another path', change({}, { url: `${good.url}/x` }), now, 'peer_bad_signature'],
    ['a query', change({}, { url: `${good.url}?a` }), now, 'peer_bad_signature'],
    ['another digest', change({ 'content-digest': digestOf('') }), now, 'peer_bad_signature'],
    ['no digest', change({ 'content-digest': undefined }), now, 'peer_bad_signature'],
    ['no signature', change({ signature: undefined }), now, 'peer_unsigned'],
    ['no input', change({ 'signature-input': undefined }), now, 'peer_unsigned'],
    ['another key', change({ signature: again.signature }), now, 'peer_bad_signature'],
    [
      'the key of another',
      change({ 'signature-input': input.replace(vector.caller, vector.node) }),
      now,
      'peer_bad_signature',
    ],
    [
      'a key that is none',
      change({ 'signature-input': input.replace(vector.caller, 'me') }),
      now,
      'peer_bad_signature',
    ],
    [
      'another time',
      change({ 'signature-input': input.replace('1767225600', '1767225601') }),
      now,
      'peer_bad_signature',
    ],
    ['another nonce', change({ 'signature-input': input.replace('AAECA', 'AAECB') }), now, 'peer_bad_signature'],
    ['a short nonce', change({ 'signature-input': input.replace('AAECA', '') }), now, 'peer_bad_signature'],
    ['no nonce', change({ 'signature-input': input.replace(/;nonce="[^"]*"/, '') }), now, 'peer_bad_signature'],
    ['no time', change({ 'signature-input': input.replace(/;created=\d+/, '') }), now, 'peer_bad_signature'],
    [
      'another algorithm',
      change({ 'signature-input': input.replace('ed25519', 'hmac-sha256') }),
      now,
      'peer_bad_signature',
    ],
    ['less is signed', change({ 'signature-input': input.replace('"@path" ', '') }), now, 'peer_bad_signature'],
    ['another label', change({ 'signature-input': input.replace('emrchain', 'sig1') }), now, 'peer_bad_signature'],
    ['no structured field', change({ 'signature-input': '((' }), now, 'peer_bad_signature'],
    ['not even ASCII', change({ signature: 'é' }), now, 'peer_bad_signature'],
  ]
  for (const [what, request, at, code] of cases) {
    const verified = verifyRequest(request, verifyNative, at)
    if (code) await t.rejects(verified, { code }, what)
    else t.equal((await verified).key, vector.caller, what)
  }
})

t.test('a node refuses what is not signed by a peer as it came', async (t) => {
  const node = await startNode(t)
  const other = await startNode(t)
  const caller = strangerAt('http://127.0.0.1:1')
  const { block, genesis, record } = createBlockMaker()
  const blocks = encodeBlocks([block(genesis)])
  const url = `${node.url}/blocks`
  const small = Buffer.concat([Buffer.alloc(31), Buffer.of(0)]).toString('hex')
  const cases: [what: string, odd: Oddities, status: number, code: string][] = [
    ['unsigned', { headers: { signature: undefined, 'signature-input': undefined } }, 401, 'peer_unsigned'],
    ['half signed', { headers: { signature: undefined } }, 401, 'peer_unsigned'],
    ['no address, half signed', { headers: { signature: undefined, [PEER_HEADER]: undefined } }, 401, 'peer_unsigned'],
    ['old', { at: -62 }, 401, 'peer_signature_old'],
    ['from before the node started', { at: -30 }, 401, 'peer_signature_old'],
    ['early', { at: 33 }, 401, 'peer_signature_early'],
    ['for another node', { signedUrl: `${other.url}/blocks` }, 401, 'peer_bad_signature'],
    ['for another call', { signedUrl: `${node.url}/transactions` }, 401, 'peer_bad_signature'],
    ['for another name', { signedUrl: url.replace('127.0.0.1', 'localhost') }, 401, 'peer_bad_signature'],
    ['another body', { signedBody: 'something else' }, 401, 'peer_wrong_digest'],
    ['a digest of its own', { headers: { 'content-digest': digestOf('') } }, 401, 'peer_bad_signature'],
    ['a foreign host', { headers: { host: 'evil.example' } }, 421, 'foreign_host'],
  ]
  for (const [what, odd, status, code] of cases) {
    t.match(await askAs(caller, url, CAR_MEDIA_TYPE, blocks, odd), { status, body: { code } }, what)
  }
  const weak = signedHeaders(caller, url, blocks)
  weak['signature-input'] = String(weak['signature-input']).replace(keyOf(caller.signer), small)
  weak.signature = `emrchain=:${Buffer.concat([Buffer.from(small, 'hex'), Buffer.alloc(32)]).toString('base64')}:`
  const answer = await ask(url, { method: 'POST', headers: { ...weak, 'content-type': CAR_MEDIA_TYPE }, body: blocks })
  t.match(answer, { status: 401, body: { code: 'peer_bad_signature' } }, 'a key of small order')
  t.equal(node.node.tip().header.height, 0, 'none of it was acted upon')

  const { bytes } = record('of a person')
  const forged = { [PEER_HEADER]: caller.url, 'content-type': CBOR }
  const asPeer = await ask(`${node.url}/transactions`, { method: 'POST', headers: forged, body: bytes })
  t.match(asPeer, { status: 401, body: { code: 'peer_unsigned' } }, 'who claims to be a peer must prove it')
  t.match(await askAs(caller, `${node.url}/transactions`, CBOR, record('another').bytes, { signedBody: bytes }), {
    status: 401,
    body: { code: 'peer_wrong_digest' },
  })
  t.same(Array.from(node.node.pendingTransactions()), [])
  const plain = await ask(`${node.url}/transactions`, {
    method: 'POST',
    headers: { 'content-type': CBOR },
    body: bytes,
  })
  t.equal(plain.status, 202, 'a person need not')
  t.equal((await get(`${node.url}/peers`, { [PEER_HEADER]: 'x' })).status, 401)
  t.equal((await get(`${node.url}/peers`)).status, 200)
  t.equal((await askAs(caller, url, CAR_MEDIA_TYPE, blocks)).status, 202, 'and a stranger who signs well is heard')
  t.equal(
    (await askAs(caller, `${node.url}/headers?format=car&locator=${node.node.genesis}`, '', '', { method: 'GET' }))
      .status,
    200,
  )
})

t.test('a signed request whose body is not read before it is acted upon is refused', async (t) => {
  const node = await startNode(t)
  const caller = strangerAt('http://127.0.0.1:1')
  const refused = { status: 401, body: { code: 'peer_wrong_digest' } }
  const { body, headers } = multipart([{ name: 'file', filename: 'a.aes', contents: 'x'.repeat(200_000) }])
  const form = await askAs(caller, `${node.url}/create_hash`, headers['content-type'] ?? '', body)
  t.match(form, refused, 'a form')
  for (const path of ['/get_chain', '/nowhere']) {
    const url = `${node.url}${path}`
    const long = Buffer.alloc(200_000)
    const answer = await request(url, {
      method: 'GET',
      headers: signedHeaders(caller, url, long, { method: 'GET' }),
      body: long,
    })
    t.match({ status: answer.statusCode, body: await answer.body.json() }, refused, path)
  }
  t.equal((await get(`${node.url}/get_chain`)).status, 200, 'and the node is there')
})

t.test('the same request is taken once, also when it comes twice at one time', async (t) => {
  const node = await startNode(t)
  const caller = strangerAt('http://127.0.0.1:1')
  const { bytes } = createBlockMaker().record('once')
  const url = `${node.url}/transactions`
  const headers = { ...signedHeaders(caller, url, bytes), 'content-type': CBOR }
  const send = () => ask(url, { method: 'POST', headers, body: bytes })
  const answers = await Promise.all([send(), send(), send(), send()])
  t.same(answers.map(({ status }) => status).sort(), [202, 401, 401, 401])
  t.match(await send(), { status: 401, body: { code: 'peer_replayed' } })
  // A stranger that becomes a peer gets a cache of its own; what it sent before is not forgotten.
  const peer = await standInFor(t, await startNode(t))
  const known = { ...signedHeaders(peer, url, bytes), 'content-type': CBOR }
  const sendKnown = () => ask(url, { method: 'POST', headers: known, body: bytes })
  t.match(await sendKnown(), { status: 409, body: { code: 'transaction_known' } })
  await node.node.connect([peer.url])
  t.match(await sendKnown(), { status: 401, body: { code: 'peer_replayed' } })
})

t.test('a caller is kept when it proved its key where it answers', async (t) => {
  const node = await startNode(t)
  const real = await startNode(t)
  const caller = await standInFor(t, real)
  const hello = helloOf(node, caller)
  t.match(await post(`${node.url}/peers`, hello), { status: 401, body: { code: 'peer_unsigned' } })
  t.same(caller.asked, [], 'an unsigned greeting makes nobody call')
  const wrongKey = { ...hello, key: keyOf(signerOf('somebody else')) }
  t.match(await greetAs(caller, node.url, wrongKey), { status: 401, body: { code: 'peer_wrong_key' } })
  t.same([caller.asked, node.node.peers()], [[], []])

  const answer = await greetAs(caller, node.url, hello)
  t.equal(answer.status, 200)
  t.ok(caller.asked.includes('POST /peers'), 'it was called back')
  t.match(node.node.peers(), [{ address: caller.url, key: caller.key, chosen: false }])

  // The answer proves the key of the node, for this very request.
  const { nonce, body } = { nonce: randomBytes(16).toString('base64url'), body: JSON.stringify(hello) }
  const headers = signedHeaders(caller, `${node.url}/peers`, body, { nonce })
  const json = { ...headers, 'content-type': 'application/json' }
  const {
    status,
    headers: signed,
    body: theirs,
  } = await ask(`${node.url}/peers`, { method: 'POST', headers: json, body })
  const fields = {
    'content-digest': String(signed['content-digest']),
    'signature-input': String(signed['signature-input']),
    signature: String(signed.signature),
  }
  t.equal(fields['content-digest'], digestOf(JSON.stringify(theirs)))
  const request = headers.signature ?? ''
  t.equal(await verifyAnswer({ status, fields, request }, verifyNative), node.node.hello().key)
})

t.test('nobody takes the address of another', async (t) => {
  const [node, victim] = [await startNode(t), await startNode(t)]
  await node.node.connect([victim.url])
  const before = node.node.peers()
  const thief = strangerAt(victim.url)
  t.match(await greetAs(thief, node.url, helloOf(node, thief)), { status: 401, body: { code: 'peer_wrong_key' } })
  t.match(
    await askAs(thief, `${node.url}/blocks`, CAR_MEDIA_TYPE, encodeBlocks([])),
    { status: 401, body: { code: 'peer_wrong_key' } },
    'nor speaks for it',
  )
  t.same(
    node.node.peers().map(({ address, key }) => [address, key]),
    before.map(({ address, key }) => [address, key]),
  )

  // Nor does it make a node call where it must not.
  for (const url of [
    'http://10.0.0.1:5002',
    'http://169.254.169.254',
    'http://[::ffff:127.0.0.1]:5002',
    'http://0.0.0.0',
  ]) {
    const far = strangerAt(url)
    t.match(await greetAs(far, node.url, helloOf(node, far)), { status: 403, body: { code: 'peer_forbidden' } }, url)
  }
  // Who does not answer is not kept, and may read all the same.
  const silent = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  t.teardown(() => silent.close())
  await once(silent, 'listening')
  const gone = strangerAt(`http://127.0.0.1:${(silent.address() as { port: number }).port}`)
  t.equal((await greetAs(gone, node.url, helloOf(node, gone))).status, 200)
  t.equal(node.node.peers().length, 1)
})

t.test('a node with a new key takes its own address over', async (t) => {
  const [node, real] = [await startNode(t), await startNode(t)]
  let signer = signerOf('old key')
  const peer = await standInFor(t, real, {
    'POST /peers': (incoming, response) =>
      sendSigned(signer, incoming, response, { ...real.node.hello(), url: peer.url, key: keyOf(signer) }),
  })
  await node.node.connect([peer.url])
  t.match(node.node.peers(), [{ address: peer.url, key: keyOf(signer) }])
  signer = signerOf('new key')
  const caller = { signer, url: peer.url }
  t.equal((await greetAs(caller, node.url, helloOf(node, caller))).status, 200)
  t.match(node.node.peers(), [{ address: peer.url, key: keyOf(signer) }])
})

t.test('nodes that greet each other at the same moment know each other at once', async (t) => {
  const nodes = await Promise.all([startNode(t), startNode(t), startNode(t)])
  const before = performance.now()
  const urls = nodes.map(({ url }) => url)
  const answers = await Promise.all(nodes.map(({ url }) => post(`${url}/connect_node`, { nodes: urls })))
  t.ok(performance.now() - before < 5_000, 'and none waits for another that waits for it')
  const hosts = urls.map((url) => new URL(url).host).sort()
  for (const answer of answers) t.match(answer.body, { refused: [], total_nodes: hosts })
  for (const { node } of nodes)
    t.same(
      node.peers().map(({ state }) => state),
      ['connected', 'connected'],
    )
})

t.test('a greeting relayed to another node proves nothing there', async (t) => {
  const [node, victim] = [await startNode(t), await startNode(t)]
  // It stands between and passes on what it gets, signatures and all.
  const between = await standInFor(t, victim, {
    'POST /peers': async (incoming, response) => {
      const parts: Uint8Array[] = []
      for await (const part of incoming) parts.push(part as Uint8Array)
      const { host: _, 'content-length': __, ...headers } = incoming.headers as Record<string, string>
      const given = await ask(`${victim.url}/peers`, { method: 'POST', headers, body: Buffer.concat(parts) })
      response.writeHead(given.status, { 'content-type': 'application/json' }).end(JSON.stringify(given.body))
    },
  })
  const { refused } = await node.node.connect([between.url])
  t.match(refused, [{ node: between.url, code: 'peer_misbehaved', reason: /peer_bad_signature/ }])
  t.same([node.node.peers(), victim.node.peers()], [[], []])
})

const resolvesTo =
  (...addresses: string[]): ResolveAll =>
  (_, done) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )

/** What came of a connection: the address that was reached, or the code of the error. */
function reach(connect: buildConnector.connector, hostname: string, port: number): Promise<string> {
  return new Promise((done) => {
    connect({ hostname, protocol: 'http:', port: String(port) }, (error, socket) => {
      if (error) return done('code' in error ? String(error.code) : error.message)
      const address = String(socket.remoteAddress)
      socket.destroy()
      done(address)
    })
  })
}

async function listen(t: Test, host: string): Promise<number> {
  const server = createServer((socket) => socket.end()).listen(0, host)
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

t.test('which addresses are called', async (t) => {
  const port = await listen(t, '0.0.0.0')
  const only = createAddressPolicy(['127.0.0.1', 'localhost'])
  const connectBy = (resolveAll?: ResolveAll) =>
    createGuardedConnector(only, { timeout: 3_000, ...(resolveAll ? { resolveAll } : {}) })
  const cases: [url: string, found: string][] = [
    ['127.0.0.1', '127.0.0.1'],
    ['localhost', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['127.0.0.2', 'peer_forbidden'],
    ['2130706434', 'peer_forbidden'],
    ['0x7f.2', 'peer_forbidden'],
    ['0177.0.0.02', 'peer_forbidden'],
    ['127.2', 'peer_forbidden'],
    ['[::1]', 'peer_forbidden'],
    ['[::ffff:127.0.0.1]', 'peer_forbidden'],
    ['[::ffff:127.0.0.2]', 'peer_forbidden'],
    ['[::127.0.0.1]', 'peer_forbidden'],
    ['0', 'peer_forbidden'],
    ['[::]', 'peer_forbidden'],
    ['169.254.169.254', 'peer_forbidden'],
    ['evil.example', 'peer_forbidden'],
    ['localhost.evil.example', 'peer_forbidden'],
  ]
  for (const [host, found] of cases) {
    const { hostname } = new URL(`http://${host}:${port}/`)
    t.equal(await reach(connectBy(resolvesTo('127.0.0.1')), hostname, port), found, host)
  }
  t.equal(await reach(connectBy(), 'localhost', port), '127.0.0.1', 'as this system resolves it')
  const answers: [addresses: string[], found: string][] = [
    [['127.0.0.2', '127.0.0.1'], '127.0.0.1'],
    [['::1', '127.0.0.1'], '127.0.0.1'],
    [['127.0.0.2'], 'peer_forbidden'],
    [['10.0.0.1', '::ffff:127.0.0.1'], 'peer_forbidden'],
    [[], 'peer_forbidden'],
  ]
  for (const [addresses, found] of answers) {
    t.equal(await reach(connectBy(resolvesTo(...addresses)), 'localhost', port), found, addresses.join(' '))
  }

  // The system's own lookup may say one thing first and another later: it is asked once.
  let asked = 0
  const rebinding: ResolveAll = (name, done) => resolvesTo(asked++ === 0 ? '127.0.0.1' : '127.0.0.2')(name, done)
  t.equal(await reach(connectBy(rebinding), 'localhost', port), '127.0.0.1')
  t.equal(asked, 1)
})

t.test('what the operator may list', async (t) => {
  const policy = createAddressPolicy([
    ...DEFAULT_ALLOWED,
    '10.1.0.0/16',
    'fd00::/8',
    'Node.Example.',
    'xn--mnchen-3ya.example',
  ])
  const hosts: [host: string, allowed: boolean][] = [
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['[::1]', true],
    ['localhost', true],
    ['LOCALHOST', true],
    ['10.1.2.3', true],
    ['10.2.2.3', false],
    ['[fd12::1]', true],
    ['[fe80::1]', false],
    ['node.example', true],
    ['node.example.', true],
    ['other.example', false],
    ['a.node.example', false],
    ['[::ffff:10.1.2.3]', false],
    ['[2002:0a01:0203::]', false],
  ]
  for (const [host, allowed] of hosts) t.equal(policy.allowsHost(host), allowed, host)
  const resolved: [ip: string, name: string, allowed: boolean][] = [
    ['192.168.7.7', 'node.example', true],
    ['2001:db8::1', 'node.example', true],
    ['127.0.0.1', 'node.example', true],
    ['169.254.169.254', 'node.example', false],
    ['0.0.0.0', 'node.example', false],
    ['::', 'node.example', false],
    ['fe80::1', 'node.example', false],
    ['224.0.0.1', 'node.example', false],
    ['255.255.255.255', 'node.example', false],
    ['::ffff:169.254.169.254', 'node.example', false],
    ['192.168.7.7', 'localhost', false],
    ['192.168.7.7', 'other.example', false],
  ]
  for (const [ip, name, allowed] of resolved) t.equal(policy.allowsAddress(ip, name), allowed, `${name} as ${ip}`)
  for (const entry of [
    '',
    'http://a',
    'a b',
    'a/b',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    '2130706433',
    'a:80',
    '[::1',
  ]) {
    t.throws(() => createAddressPolicy([entry]), { code: 'config_invalid' }, entry)
  }
  await t.rejects(startNode(t, { allowPeer: ['10.0.0.0/99'] }), { code: 'config_invalid' })
  const node = await startNode(t, { allowPeer: ['10.9.0.0/16'] })
  const other = strangerAt('http://10.8.0.1:5002')
  t.match(await greetAs(other, node.url, helloOf(node, other)), { status: 403, body: { code: 'peer_forbidden' } })
})

t.test('a node dials no address that it was not allowed, and follows nowhere', async (t) => {
  const [node, real] = [await startNode(t), await startNode(t)]
  const port = await listen(t, '127.0.0.1')
  const contacts: unknown[] = []
  const watched = await standInFor(t, real, { 'POST /peers': (incoming) => contacts.push(incoming.url) })
  const { port: watchedPort } = new URL(watched.url)
  const redirecting = await standInFor(t, real, {
    'POST /peers': (_, response) => response.writeHead(307, { location: `${watched.url}/peers` }).end(),
  })
  const nodes = [
    redirecting.url,
    `http://[::ffff:127.0.0.1]:${watchedPort}`,
    `http://0.0.0.0:${watchedPort}`,
    `http://0:${port}`,
    'http://169.254.169.254',
  ]
  const { refused } = await node.node.connect(nodes)
  t.same(refused.map(({ code }) => code).sort(), [...Array(4).fill('peer_forbidden'), 'peer_misbehaved'].sort())
  t.same(contacts, [])
})

t.test('nonces are remembered in bounded room, and none passes twice', async (t) => {
  const cache = createNonceCache(10)
  const all: [nonce: string, created: number][] = Array.from({ length: 50 }, (_, n) => [
    `n${n}`,
    100 + Math.floor(n / 5),
  ])
  for (const [nonce, created] of all) t.ok(cache.take(nonce, created, 0), 'each passes once')
  for (const [nonce, created] of all) {
    t.notOk(cache.take(nonce, created, 0), 'and no second time, remembered or not')
    t.ok(cache.has(nonce, created))
  }
  t.ok(cache.take('new', 109, 0), 'while new ones of this time pass')
  t.notOk(cache.take('late', 101, 0), 'what is from a time that was forgotten does not')
  t.equal(cache.newest(), 109)
  t.equal(contentDigest(createHash('sha256').digest()), digestOf(''))
})
