import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ErrorCode, errors } from '#emrchain/errors.js'
import { buildServer } from '#emrchain/http/build-server.js'
import type { BareRecordBody } from '#emrchain/protocol/bodies/record.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { encodeBlocks } from '#emrchain/protocol/car.js'
import type { NetworkFile } from '#emrchain/protocol/network-parameters.js'
import { type SignedTransaction, signRecord } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, easyNetworkFile, signerOf } from '../fixtures/block-maker.js'
import { multipart } from '../fixtures/multipart.js'
import {
  type Ask,
  ask,
  folderOf,
  get,
  networkFile,
  post,
  postBytes,
  silent,
  startNode,
  type TestNode,
} from '../fixtures/start-node.js'

/** What the calls of the API refuse: by which status, by which code, and that nothing of it stays. */

const HELLO = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
const CBOR = 'application/vnd.ipld.dag-cbor'
const CAR = 'application/vnd.ipld.car'

type Case = [what: string, path: string, ask: Ask, status: number, code: ErrorCode]

const json = (body: unknown): Ask => raw(JSON.stringify(body))
const raw = (body: string | Uint8Array, type = 'application/json'): Ask => ({
  method: 'POST',
  headers: { 'content-type': type },
  body,
})
const form = (...parts: Parameters<typeof multipart>[0]): Ask => ({ method: 'POST', ...multipart(parts) })

/** Everything under a folder, with contents: what a refused call must leave as it was. */
function contentsOf(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    files.map(({ parentPath, name }) => [join(parentPath, name), readFileSync(join(parentPath, name), 'latin1')]),
  )
}

async function refuse(t: Test, node: TestNode, cases: readonly Case[]): Promise<void> {
  const kept = [join(node.options.data, 'files'), node.options.fileRoot, join(node.options.data, 'chain.car')]
  const state = () => [
    readdirSync(join(node.options.data, '..')).sort(),
    kept.slice(0, 2).map(contentsOf),
    readFileSync(join(node.options.data, 'chain.car'), 'latin1'),
    Array.from(node.node.pendingTransactions(), ({ id }) => id.toString()),
    node.node.peers().map(({ address }) => address),
  ]
  const before = state()
  for (const [what, path, asked, status, code] of cases) {
    const answer = await ask(node.url + path, asked)
    const name = `${asked.method ?? 'GET'} ${path.slice(0, 60)}: ${what}`
    t.match(answer.headers['content-type'], /^application\/problem\+json/, name)
    const body = answer.body as { detail?: string }
    const problem = { type: 'about:blank', title: errors[code].sentence, status, code }
    t.same(body, 'detail' in body ? { ...problem, detail: body.detail } : problem, name)
    t.equal(answer.status, status, name)
  }
  t.same(state(), before, 'nothing has changed')
}

t.test('requests that are not of the form of their call', async (t) => {
  const node = await startNode(t)
  const bad = (what: string, path: string, body: unknown): Case => [what, path, json(body), 400, 'bad_request']
  const good: Record<string, Record<string, unknown>> = {
    '/create_hash': { file_path: 'hello.txt' },
    '/add_transaction': { user_id: 'xxxxx', ipfs_hash: HELLO, EHR_name: 'MRI' },
    '/add_hash': { user_id: 'xxxxx', ipfs_hash: HELLO, EHR_name: 'MRI' },
    '/get_file_hash': { name: 'MRI' },
    '/get_file': { ipfs_hash: HELLO },
    '/connect_node': { nodes: [] },
    '/peers': { ...node.node.hello() },
  }
  const cases: Case[] = []
  for (const [path, body] of Object.entries(good)) {
    for (const field of Object.keys(body)) {
      const { [field]: _, ...rest } = body
      cases.push(bad(`without ${field}`, path, rest))
      for (const value of [null, 7, true, {}, [7], '']) {
        cases.push(bad(`${field} as ${JSON.stringify(value)}`, path, { ...body, [field]: value }))
      }
    }
    cases.push(
      bad('a field too many', path, { ...body, extra: 1 }),
      bad('an array', path, [body]),
      bad('a text', path, 'MRI'),
      bad('a number', path, 7),
      bad('null', path, null),
      ['malformed JSON', path, raw(JSON.stringify(body).slice(0, -1)), 400, 'bad_request'],
      ['no body', path, { method: 'POST' }, 400, 'bad_request'],
      ['an empty body', path, raw(''), 400, 'bad_request'],
      ['__proto__', path, raw(`{"__proto__":{"x":1},${JSON.stringify(body).slice(1)}`), 400, 'bad_request'],
      [
        'constructor',
        path,
        raw(`{"constructor":{"prototype":{"x":1}},${JSON.stringify(body).slice(1)}`),
        400,
        'bad_request',
      ],
      ['text', path, raw(JSON.stringify(body), 'text/plain'), 415, 'unsupported_media_type'],
      ['a web form', path, raw('a=b', 'application/x-www-form-urlencoded'), 415, 'unsupported_media_type'],
      ['no content type', path, { method: 'POST', body: JSON.stringify(body) }, 415, 'unsupported_media_type'],
      ['over 64 KiB', path, raw(JSON.stringify({ ...body, extra: 'x'.repeat(70_000) })), 413, 'body_too_large'],
      ['a nesting bomb', path, raw('['.repeat(800_000)), 413, 'body_too_large'],
      ['by PUT', path, { ...json(body), method: 'PUT' }, 405, 'method_not_allowed'],
      ['by DELETE', path, { method: 'DELETE' }, 405, 'method_not_allowed'],
    )
    if (path !== '/peers') cases.push(['by GET', path, {}, 405, 'method_not_allowed'])
  }
  // The one value of the table that fits: it is of a newer protocol, but that is for the node to judge.
  await refuse(
    t,
    node,
    cases.filter(([what]) => what !== 'version as 7'),
  )
})

t.test('labels, names and CIDs', async (t) => {
  const node = await startNode(t)
  writeFileSync(join(node.options.fileRoot, 'hello.txt'), 'hello world\n')
  await post(`${node.url}/create_hash`, { file_path: 'hello.txt' })
  const record = { user_id: 'xxxxx', ipfs_hash: HELLO, EHR_name: 'MRI' }
  const cids: [what: string, cid: string][] = [
    ['no CID', 'Qm'],
    ['a path', `/ipfs/${HELLO}`],
    ['another letter', HELLO.replace('8', '0')],
    ['a block of the chain', node.node.genesis.toString()],
    ['another hash', 'bafkr4ihkr4ld3m4gqkjf4reryxsy2s5tkbxprqkow6fin2iiyvreuzzab4'],
    ['an identity hash of dag-pb', 'bafyaaaa'],
    ['a path out', '../../etc/passwd'],
  ]
  const cases: Case[] = cids.flatMap(([what, cid]): Case[] => [
    [what, '/add_transaction', json({ ...record, ipfs_hash: cid }), 400, 'malformed_cid'],
    [what, '/get_file', json({ ipfs_hash: cid }), 400, 'malformed_cid'],
    [what, `/ipfs/${encodeURIComponent(cid)}?format=car`, {}, 400, 'malformed_cid'],
    [what, `/files/${encodeURIComponent(cid)}`, {}, 400, 'malformed_cid'],
  ])
  cases.push(['a block within its CID', '/files/bafkqabtimvwgy3yk', {}, 400, 'malformed_cid'])
  const unknown = 'QmYCqoyEQcARyEVfsk1hNqtzdWYpeyq22wqu8TMWdtwdAY'
  await refuse(t, node, [
    ...cases,
    ['a file nobody has', '/add_transaction', json({ ...record, ipfs_hash: unknown }), 404, 'file_unavailable'],
    ['a file nobody has', '/get_file', json({ ipfs_hash: unknown }), 404, 'file_unavailable'],
    ['a file nobody has', `/files/${unknown}`, {}, 404, 'file_unavailable'],
    ['a file nobody has', `/ipfs/${unknown}?format=car`, {}, 404, 'file_unavailable'],
    ['a file nobody has', `/ipfs/${unknown}?format=raw`, {}, 404, 'file_unavailable'],
    ['no format', `/ipfs/${HELLO}`, {}, 400, 'bad_request'],
    ['an unknown format', `/ipfs/${HELLO}?format=zip`, {}, 400, 'bad_request'],
    ['257 characters', '/add_transaction', json({ ...record, EHR_name: 'x'.repeat(257) }), 400, 'bad_request'],
    ['258 bytes', '/add_transaction', json({ ...record, EHR_name: 'é'.repeat(129) }), 422, 'transaction_malformed'],
    ['half a character', '/add_transaction', json({ ...record, user_id: '\ud83d' }), 422, 'transaction_malformed'],
    ['an unknown name', '/get_file_hash', json({ name: 'CT' }), 404, 'file_unknown'],
    ['half a name', '/get_file_hash', json({ name: '\ud83d' }), 404, 'file_unknown'],
  ])
  t.equal((await post(`${node.url}/add_transaction`, { ...record, EHR_name: 'é'.repeat(128) })).status, 201)
})

t.test('paths', async (t) => {
  const node = await startNode(t)
  const root = node.options.fileRoot
  const outside = folderOf(t, 'outside')
  await mkdir(outside)
  await mkdir(join(root, 'folder'))
  writeFileSync(join(outside, 'secret'), 'secret')
  writeFileSync(join(root, 'hello.txt'), 'hello world\n')
  symlinkSync(join(outside, 'secret'), join(root, 'link'))
  symlinkSync(outside, join(root, 'way-out'))
  symlinkSync('hello.txt', join(root, 'link-within'))
  symlinkSync('nowhere', join(root, 'dangling'))
  execFileSync('mkfifo', [join(root, 'fifo')])
  const path = (file_path: string, status: number, code: ErrorCode): Case => [
    JSON.stringify(file_path),
    '/create_hash',
    json({ file_path }),
    status,
    code,
  ]
  await refuse(t, node, [
    path('..', 400, 'path_forbidden'),
    path('../outside/secret', 400, 'path_forbidden'),
    path('folder/../../outside/secret', 400, 'path_forbidden'),
    path('folder/../hello.txt', 400, 'path_forbidden'),
    path('..\\outside\\secret', 400, 'path_forbidden'),
    path(join(outside, 'secret'), 400, 'path_forbidden'),
    path(join(root, 'hello.txt'), 400, 'path_forbidden'),
    path('/etc/passwd', 400, 'path_forbidden'),
    path('link', 400, 'path_forbidden'),
    path('way-out/secret', 400, 'path_forbidden'),
    path('link-within', 400, 'path_forbidden'),
    path('dangling', 400, 'path_forbidden'),
    path('folder', 400, 'path_forbidden'),
    path('.', 400, 'path_forbidden'),
    path('fifo', 400, 'path_forbidden'),
    path('hello.txt\0', 400, 'path_forbidden'),
    path('missing', 404, 'path_not_found'),
    path('hello.txt/more', 404, 'path_not_found'),
    path('%2e%2e/outside/secret', 404, 'path_not_found'),
    path('n'.repeat(1_024), 404, 'path_not_found'),
    path('n'.repeat(1_025), 400, 'bad_request'),
  ])
  t.equal((await post(`${node.url}/create_hash`, { file_path: './hello.txt' })).status, 201)
})

t.test('uploads', async (t) => {
  const node = await startNode(t)
  const file = { name: 'file', filename: 'a.txt', contents: 'a' }
  const whole = multipart([file])
  const files = join(node.options.data, 'files')
  await refuse(t, node, [
    ['no part', '/create_hash', form(), 400, 'bad_request'],
    ['a field only', '/create_hash', form({ name: 'file', contents: 'a' }), 400, 'bad_request'],
    ['another name', '/create_hash', form({ ...file, name: 'upload' }), 400, 'bad_request'],
    [
      'a large one of another name',
      '/create_hash',
      form({ ...file, name: 'x', contents: 'x'.repeat(3e6) }),
      400,
      'bad_request',
    ],
    ['cut short', '/create_hash', { method: 'POST', ...whole, body: whole.body.subarray(0, -30) }, 400, 'bad_request'],
    ['two files', '/create_hash', form(file, { ...file, contents: 'b' }), 400, 'bad_request'],
    [
      'two large files',
      '/create_hash',
      form({ ...file, contents: 'x'.repeat(3e6) }, { ...file, contents: 'y'.repeat(3e6) }),
      400,
      'bad_request',
    ],
    ['no boundary', '/create_hash', raw(whole.body, 'multipart/form-data'), 400, 'bad_request'],
    ['no body', '/create_hash', { method: 'POST', headers: whole.headers }, 400, 'bad_request'],
    ['no form', '/create_hash', { method: 'POST', ...whole, body: 'hello' }, 400, 'bad_request'],
    ['elsewhere', '/get_file', form(file), 400, 'bad_request'],
    ['elsewhere', '/transactions', form(file), 415, 'unsupported_media_type'],
  ])

  t.same(contentsOf(files), [], 'nothing of them is left')
  const withField = form(file, { name: 'note', contents: 'a field behind the file' })
  t.equal((await fetch(`${node.url}/create_hash`, withField)).status, 201)

  // A server with a smaller limit over the same node.
  const limited = { ...node.node, maxUploadBytes: 1_000 }
  const access = { hosts: () => new Set(['test']), origins: () => new Set<string>(), token: '', behindProxy: false }
  const server = await buildServer(limited, { logger: silent, access })
  const upload = (contents: string) =>
    server.inject({
      ...{ method: 'POST', url: '/create_hash' },
      headers: { ...multipart([]).headers, host: 'test' },
      payload: multipart([{ ...file, contents }]).body,
    })
  const before = contentsOf(join(node.options.data, 'files'))
  const over = await upload('x'.repeat(1_001))
  t.match([over.statusCode, over.json()], [413, { code: 'body_too_large' }])
  t.same(contentsOf(join(node.options.data, 'files')), before, 'an upload over the limit leaves nothing')
  t.equal((await upload('x'.repeat(1_000))).statusCode, 201)
  await server.close()
})

t.test('an upload that breaks off leaves nothing', async (t) => {
  const node = await startNode(t)
  const { createHash } = node.node
  let outcome: Promise<unknown> | undefined
  const called = new Promise<void>((heard) => {
    node.node.createHash = (file, signal) => {
      const stored = createHash(file, signal)
      outcome = stored
      heard()
      return stored
    }
  })
  const { headers, body } = multipart([{ name: 'file', filename: 'a', contents: 'x'.repeat(1e6) }])
  const upload = httpRequest(`${node.url}/create_hash`, {
    method: 'POST',
    headers: { ...headers, 'content-length': body.length },
  })
  upload.on('error', () => undefined)
  upload.write(body.subarray(0, 500_000))
  await called
  upload.destroy()
  await t.rejects(outcome ?? Promise.resolve())
  t.same(readdirSync(join(node.options.data, 'files')), [])
})

t.test('addresses and methods', async (t) => {
  const node = await startNode(t)
  const id = node.node.genesis.toString()
  const none = '0'.repeat(64)
  await refuse(t, node, [
    ['unknown', '/nope', {}, 404, 'not_found'],
    ['unknown', '/nope', json({}), 404, 'not_found'],
    ['another case', '/Get_Chain', {}, 404, 'not_found'],
    ['a path below', '/get_chain/2', {}, 404, 'not_found'],
    ['not well-formed', '/blocks/%zz', {}, 400, 'bad_request'],
    ['too long', `/blocks/${'1'.repeat(500)}`, {}, 400, 'bad_request'],
    ['POST', '/get_chain', json({}), 405, 'method_not_allowed'],
    ['POST', '/is_valid', json({}), 405, 'method_not_allowed'],
    ['POST', '/replace_chain', json({}), 405, 'method_not_allowed'],
    ['POST', `/blocks/${id}`, json({}), 405, 'method_not_allowed'],
    ['DELETE', `/transactions/${id}`, { method: 'DELETE' }, 405, 'method_not_allowed'],
    ['PUT', `/ipfs/${HELLO}`, { method: 'PUT' }, 405, 'method_not_allowed'],
    ['PUT', '/mine_block', { method: 'PUT' }, 405, 'method_not_allowed'],
    ['PATCH', '/healthz', { method: 'PATCH' }, 405, 'method_not_allowed'],
    ['OPTIONS', '/get_file', { method: 'OPTIONS' }, 405, 'method_not_allowed'],

    ['a word', '/get_chain?from=abc', {}, 400, 'bad_request'],
    ['negative', '/get_chain?from=-1', {}, 400, 'bad_request'],
    ['a fraction', '/get_chain?to=1.5', {}, 400, 'bad_request'],
    ['empty', '/get_chain?limit=', {}, 400, 'bad_request'],
    ['a leading zero', '/get_chain?limit=01', {}, 400, 'bad_request'],
    ['twice', '/get_chain?from=1&from=2', {}, 400, 'bad_request'],
    ['limit and from', '/get_chain?limit=1&from=1', {}, 400, 'bad_request'],
    ['unknown', '/get_chain?page=1', {}, 400, 'bad_request'],

    ['no id', '/blocks/nonsense', {}, 400, 'malformed_cid'],
    ['zero', '/blocks/0', {}, 400, 'malformed_cid'],
    ['a file', `/blocks/${HELLO}`, {}, 400, 'malformed_cid'],
    ['not there', '/blocks/2', {}, 404, 'block_unknown'],
    ['not there', `/blocks/${none}`, {}, 404, 'block_unknown'],
    ['an unknown format', '/blocks/1?format=xml', {}, 400, 'bad_request'],
    ['no format', '/blocks?from=1&to=2', {}, 400, 'bad_request'],
    ['not there', '/blocks?format=car&from=1&to=2', {}, 404, 'block_unknown'],
    ['no id', '/headers?format=car&locator=x', {}, 400, 'malformed_cid'],
    ['65 ids', `/headers?format=car&locator=${Array(65).fill(none)}`, {}, 400, 'bad_request'],
    ['no id', '/transactions/nonsense', {}, 400, 'malformed_cid'],
    ['not there', `/transactions/${none}`, {}, 404, 'transaction_unknown'],
  ])
  const methods = await ask(`${node.url}/mine_block`, { method: 'DELETE' })
  t.equal(methods.headers.allow, 'GET, POST')
  t.equal((await ask(`${node.url}/blocks/${id}`, { method: 'DELETE' })).headers.allow, 'GET')

  for (const path of ['/mine_block', '/replace_chain', '/events', '/get_chain']) {
    t.equal((await ask(node.url + path, { method: 'HEAD' })).status, 405, `HEAD ${path} costs nothing`)
  }
  t.equal(node.node.tip().header.height, 0, 'and mines nothing')
})

/** A signed record for a network, before anything is broken about it. */
function recordFor(file: NetworkFile, body: Partial<BareRecordBody> = {}, at = Date.now()): SignedTransaction {
  const { genesis, record } = createBlockMaker(file)
  const { body: usual } = record('MRI')
  return signRecord({ chain: genesis.id, at, body: { ...usual, ...body } }, signerOf('patient'))
}

t.test('signed transactions', async (t) => {
  const node = await startNode(t)
  const good = recordFor(easyNetworkFile)
  const { bytes: _, id: __, ...fields } = good
  const signature = Uint8Array.from(good.sig)
  signature[0] = (signature[0] ?? 0) ^ 1
  const send = (what: string, body: Uint8Array, status: number, code: ErrorCode): Case => [
    what,
    '/transactions',
    raw(body, CBOR),
    status,
    code,
  ]
  const label = { user_id: 'u', EHR_name: 'n', file_name: 'f', size: 1 }
  const none = new Uint8Array(0)
  await refuse(t, node, [
    send('nothing', none, 400, 'malformed_cbor'),
    send('no CBOR', Buffer.from('hello'), 400, 'malformed_cbor'),
    send('bytes behind', Buffer.concat([good.bytes, none, Buffer.from([0])]), 400, 'malformed_cbor'),
    send('a nesting bomb', new Uint8Array(8_000).fill(0x81), 400, 'malformed_cbor'),
    send('something else', encodeCanonical(['hello']), 422, 'transaction_malformed'),
    send('a field too many', encodeCanonical({ ...fields, extra: 1 }), 422, 'transaction_malformed'),
    send('an unknown kind', encodeCanonical({ ...fields, kind: 'payment' }), 422, 'transaction_malformed'),
    send('another version', encodeCanonical({ ...fields, v: 2 }), 422, 'transaction_malformed'),
    send('another signature', encodeCanonical({ ...fields, sig: signature }), 422, 'transaction_bad_signature'),
    send('another time', encodeCanonical({ ...fields, at: fields.at + 1 }), 422, 'transaction_bad_signature'),
    send('another key', encodeCanonical({ ...fields, from: new Uint8Array(32) }), 422, 'transaction_bad_key'),
    send('another network', recordFor({ ...easyNetworkFile, name: 'other' }).bytes, 422, 'other_network'),
    send('of tomorrow', recordFor(easyNetworkFile, {}, Date.now() + 86_400_000).bytes, 422, 'transaction_from_future'),
    send('over 8 KiB', new Uint8Array(8_193), 413, 'transaction_too_large'),
    send('over 64 KiB', new Uint8Array(70_000), 413, 'body_too_large'),
    ['as JSON', '/transactions', json(fields), 415, 'unsupported_media_type'],
    ['as text', '/transactions', raw('x', 'text/plain'), 415, 'unsupported_media_type'],
    ['without a type', '/transactions', { method: 'POST' }, 415, 'unsupported_media_type'],
  ])
  for (const body of [{ label }, {}]) {
    const { bytes, id } = recordFor(easyNetworkFile, body)
    const first = await postBytes(`${node.url}/transactions`, CBOR, bytes)
    t.same([first.status, first.body], [202, { id: id.toString(), state: 'pending' }])
    await refuse(t, node, [send('known', bytes, 409, 'transaction_known')])
    await get(`${node.url}/mine_block`)
    await refuse(t, node, [send('on the chain', bytes, 409, 'transaction_known')])
  }
})

t.test('a network without clear labels', async (t) => {
  const file = { ...easyNetworkFile, name: 'sealed', clearLabels: false }
  const node = await startNode(t, { network: networkFile(t, file) })
  writeFileSync(join(node.options.fileRoot, 'hello.txt'), 'hello world\n')
  await post(`${node.url}/create_hash`, { file_path: 'hello.txt' })
  const record = { user_id: 'xxxxx', ipfs_hash: HELLO, EHR_name: 'MRI' }
  await refuse(t, node, [
    ['clear labels', '/add_transaction', json(record), 422, 'clear_label_forbidden'],
    ['clear labels', '/transactions', raw(recordFor(file).bytes, CBOR), 422, 'clear_label_forbidden'],
  ])
  const { record: unlabelled } = createBlockMaker(file)
  const { bytes, id } = unlabelled('MRI', { label: null, at: Date.now() })
  t.equal((await postBytes(`${node.url}/transactions`, CBOR, bytes)).status, 202)
  const mined = await get(`${node.url}/mine_block`)
  t.match(mined.body, {
    transactions: [{ id: id.toString(), EHR_name: null, file_name: null, user_id: null, size: null, ipfs_hash: HELLO }],
  })
  t.match(await get(`${node.url}/status`), { body: { network: 'sealed', clearLabels: false } })
})

t.test('blocks', async (t) => {
  const node = await startNode(t)
  const foreign = createBlockMaker({ ...easyNetworkFile, name: 'other' })
  const car = encodeBlocks([foreign.block(foreign.genesis)])
  await refuse(t, node, [
    ['no CAR', '/blocks', raw('hello', CAR), 400, 'malformed_car'],
    ['nothing', '/blocks', raw(new Uint8Array(0), CAR), 400, 'malformed_car'],
    ['of another network', '/blocks', raw(car, CAR), 409, 'header_unknown_parent'],
    ['as JSON', '/blocks', json({}), 415, 'unsupported_media_type'],
    ['a JSON bomb', '/blocks', raw('['.repeat(800_000)), 415, 'unsupported_media_type'],
    ['far too large', '/blocks', raw(new Uint8Array(10_000_000), CAR), 413, 'body_too_large'],
  ])
})
