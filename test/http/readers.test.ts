import t from 'tap'
import { request } from 'undici'
import type { Signer } from '#emrchain/crypto/ed25519.js'
import { buildServer } from '#emrchain/http/build-server.js'
import { roles } from '#emrchain/protocol/consent-vocabulary.js'
import { ACCEPT_SIGNATURE } from '#emrchain/protocol/request-signature.js'
import { operationsOf } from '../fixtures/api-document.js'
import { signerOf } from '../fixtures/block-maker.js'
import { type Clinic, signerOfNode, startClinic } from '../fixtures/clinic.js'
import { type Oddities, signedHeaders } from '../fixtures/signed-request.js'
import { type Answer, ask, get, postBytes, silent, startNode } from '../fixtures/start-node.js'

/** Who may read in a network with administrators. */

/** What everybody may call there; docs/operations.md has the reasons. */
const PUBLIC = [
  'GET /healthz',
  'GET /metrics',
  'GET /status',
  'POST /announcements',
  'POST /blocks',
  'POST /peers',
  'POST /peers/ipfs',
  'POST /shares',
  'POST /shares/handovers',
  'POST /shares/releases',
  'POST /shares/views',
  'POST /shares/{record}/release',
  'POST /transactions',
]
const CBOR = 'application/vnd.ipld.dag-cbor'
const TOKEN = 'ab'.repeat(32)
const access = (behindProxy = false) => ({
  hosts: () => new Set(['node.example']),
  origins: () => new Set<string>(),
  token: TOKEN,
  behindProxy,
})

/** The headers of a request that a person signs: it names no address. */
function signed(signer: Signer, url: string, body: string | Uint8Array = '', odd: Oddities = {}) {
  const { 'emrchain-peer': _, ...headers } = signedHeaders({ signer, url: '' }, url, body, { method: 'GET', ...odd })
  return headers
}
const readAs = (signer: Signer, url: string, odd: Oddities = {}): Promise<Answer> =>
  get(url, signed(signer, url, '', odd))
const codeIn = ({ body }: Answer): unknown => (body as { code?: unknown }).code

t.test('every call that is not on the short list is refused to who is nobody', async (t) => {
  const { first } = await startClinic(t)
  const server = await buildServer(first.node, { logger: silent, access: access() })
  t.teardown(() => server.close())
  const operations = await operationsOf(first.url)
  t.ok(operations.length > 30)
  const open: string[] = []
  for (const { method, path } of operations) {
    const url = path.replaceAll(/\{\w+\}/g, '1')
    const call = { method, url, remoteAddress: '192.0.2.7', headers: { host: 'node.example' } }
    const answer = await server.inject(call)
    const isJson = method !== 'HEAD' && answer.headers['content-type']?.toString().includes('json')
    const { code } = isJson ? answer.json() : { code: undefined }
    const isNamed = method === 'HEAD' || ['reader_unsigned', 'token_required'].includes(code)
    const isRefused = answer.statusCode === 401 && isNamed
    if (!isRefused) open.push(`${method} ${path}`)
    if (code !== 'reader_unsigned') continue
    t.equal(answer.headers['accept-signature'], ACCEPT_SIGNATURE)
    t.equal(answer.headers['www-authenticate'], 'Bearer realm="emrchain"')
    // Its own machine is the operator's. An open stream would keep the test from ending.
    if (path === '/events') continue
    const near = await server.inject({ ...call, remoteAddress: '127.0.0.1' })
    t.not(near.statusCode, 401, `${method} ${path} of the operator`)
  }
  t.same(open.sort(), PUBLIC)
  for (const url of ['/openapi.json', '/docs/']) {
    t.equal(
      (await server.inject({ url, remoteAddress: '192.0.2.7', headers: { host: 'node.example' } })).statusCode,
      200,
    )
  }
  t.equal(ACCEPT_SIGNATURE, 'emrchain=("@method" "@authority" "@path" "@query" "content-digest");created;alg="ed25519"')

  const behind = await buildServer(first.node, { logger: silent, access: access(true) })
  t.teardown(() => behind.close())
  const from = async (headers: Record<string, string>) =>
    (await behind.inject({ url: '/get_chain', headers: { host: 'node.example', ...headers } })).statusCode
  t.same(
    [await from({}), await from({ authorization: `Bearer ${TOKEN}` }), await from({ authorization: 'Bearer x' })],
    [401, 200, 401],
  )
})

t.test('in an open network nothing is asked for', async (t) => {
  const { node } = await startNode(t)
  const server = await buildServer(node, { logger: silent, access: access() })
  t.teardown(() => server.close())
  for (const url of ['/get_chain', '/transactions', '/peers', '/blocks/1', '/is_valid']) {
    const answer = await server.inject({ url, remoteAddress: '192.0.2.7', headers: { host: 'node.example' } })
    t.equal(answer.statusCode, 200, url)
  }
})

t.test('who is certified reads; what is certified ends', async (t) => {
  let shift = 0
  const clinic = await startClinic(t, { behindProxy: true }, { now: () => Date.now() + shift })
  const { first, identity, certificate, put } = clinic
  const chain = `${first.url}/get_chain`
  const [grey, yang] = [identity('grey', roles.doctor), identity('yang', roles.doctor)]
  const hour = Date.now() + 3_600_000
  const ofGrey = certificate(grey)
  await put(grey, yang)
  await put(ofGrey, certificate(yang, { until: hour }))
  const [asGrey, asYang] = [signerOf('grey'), signerOf('yang')]

  for (const signer of [asGrey, asYang, signerOf('hospital'), signerOf('administrator'), await signerOfNode(first)]) {
    t.equal((await readAs(signer, chain)).status, 200)
  }
  t.match(await readAs(signerOf('a stranger'), chain), {
    status: 403,
    body: { code: 'reader_not_certified', title: /emrchain certify/, detail: 'No identity on the chain has it.' },
  })
  t.match(await get(chain), { status: 401, body: { code: 'reader_unsigned' } })

  const body = JSON.stringify({ name: 'x' })
  const named = async (odd: Oddities = {}) => {
    const url = `${first.url}/get_file_hash`
    const headers = { ...signed(asGrey, url, body, { method: 'POST', ...odd }), 'content-type': 'application/json' }
    return codeIn(await ask(url, { method: 'POST', headers, body }))
  }
  t.equal(await named(), 'file_unknown', 'a body is read too')
  t.equal(await named({ signedBody: body.replace('x', 'y') }), 'peer_wrong_digest')
  for (let n = 0; n < 30; n++) t.equal(await named(), 'file_unknown', 'who asks in vain is not banned')

  const once = signed(asGrey, chain)
  t.same([codeIn(await get(chain, once)), codeIn(await get(chain, once))], [undefined, 'peer_replayed'])
  const faults: [what: string, odd: Oddities, code: string | undefined][] = [
    ['an hour ago', { at: -3_600 }, 'peer_signature_old'],
    ['to come', { at: 60 }, 'peer_signature_early'],
    ['for another node', { signedUrl: 'http://node.example/get_chain' }, 'peer_bad_signature'],
    ['for another call', { signedUrl: `${first.url}/transactions` }, 'peer_bad_signature'],
    ['with another question', { signedUrl: `${chain}?limit=1` }, 'peer_bad_signature'],
    ['by another method', { method: 'POST' }, 'peer_bad_signature'],
  ]
  for (const [what, odd, code] of faults) t.equal(codeIn(await readAs(asGrey, chain, odd)), code, what)
  const mixed = { ...signed(asGrey, chain), signature: signed(asYang, chain).signature ?? '' }
  t.equal(codeIn(await get(chain, mixed)), 'peer_bad_signature')

  shift = 3_600_000
  const later = { at: shift / 1_000 }
  t.equal(codeIn(await readAs(asYang, chain, later)), 'reader_not_certified', 'its time is over')
  t.equal((await readAs(asGrey, chain, later)).status, 200)

  const events = `${first.url}/events`
  const stream = await request(events, { headers: signed(asGrey, events, '', later) })
  let heard = ''
  const all = (async () => {
    for await (const part of stream.body) heard += String(part)
  })()
  await put()
  await put(clinic.revocation(ofGrey))
  await all
  t.equal(heard.split('event: tip').length - 1, 1, 'a stream ends with the certificate that opened it')
  t.equal(codeIn(await readAs(asGrey, chain, later)), 'reader_not_certified', 'revoked')
})

t.test('who is not certified registers, and reads what is its own', async (t) => {
  const clinic: Clinic = await startClinic(t, { behindProxy: true })
  const { first, identity, put } = clinic
  const grey = identity('grey', roles.doctor)
  const other = identity('other', roles.doctor)
  const signer = signerOf('grey')
  const hex = (name: string): string => Buffer.from(signerOf(name).publicKey).toString('hex')
  const read = (path: string, by = signer) => readAs(by, `${first.url}${path}`)

  t.equal((await postBytes(`${first.url}/transactions`, CBOR, grey.bytes)).status, 202, 'to send it takes no signature')
  t.match(await read(`/transactions/${grey.id}`), { status: 200, body: { state: 'pending' } })
  t.equal(codeIn(await read(`/identities?key=${hex('grey')}`)), 'identity_unknown', 'not on the chain yet')
  await put(other)
  for (const path of [`/identities/${grey.id}`, `/identities?key=${hex('grey')}`, `/transactions/${grey.id}`]) {
    t.equal((await read(path)).status, 200, path)
  }
  t.match(await read(`/history?author=${hex('grey')}`), { status: 200, body: { entries: [{ kind: 'identity' }] } })
  t.same((await read(`/history?about=${grey.id}`)).body, { entries: [] }, 'nobody has certified it')
  t.equal(codeIn(await read(`/transactions/${identity('none', roles.nurse).id}`)), 'transaction_unknown')
  t.equal(codeIn(await read('/identities/nonsense')), 'malformed_cid')

  const notOwn = [
    `/identities/${other.id}`,
    `/identities?key=${hex('other')}`,
    `/transactions/${other.id}`,
    `/transactions/${other.id}?format=raw`,
    `/history?about=${other.id}`,
    `/history?author=${hex('other')}`,
    `/history?about=${other.id}&author=${hex('grey')}`,
    '/transactions',
    '/blocks/2',
    '/get_chain',
    '/peers',
  ]
  for (const path of notOwn) {
    t.match(await read(path), { status: 403, body: { detail: `It is the key of ${grey.id}.` } }, path)
  }
  t.equal(codeIn(await get(`${first.url}/identities/${grey.id}`)), 'reader_unsigned', 'its own, to who does not sign')
  await put(clinic.certificate(grey))
  for (const path of notOwn.slice(0, 6)) t.equal((await read(path)).status, 200, path)
})
