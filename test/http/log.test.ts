import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { lineForPeople } from '#emrchain/cli/log-stream.js'
import { EmrError } from '#emrchain/errors.js'
import { createNodeLogger } from '#emrchain/http/node-logger.js'
import { encodeBlocks } from '#emrchain/protocol/car.js'
import { createBlockMaker } from '../fixtures/block-maker.js'
import { multipart } from '../fixtures/multipart.js'
import { agree, ask, get, networkFile, post, postBytes, startNode, until } from '../fixtures/start-node.js'

/** What the log says, and what it never says: a canary goes through every call, and no line may hold it. */

const CANARY = 'Kanarienvogel'
const CBOR = 'application/vnd.ipld.dag-cbor'
const CAR = 'application/vnd.ipld.car'

/** A log that is kept, and its lines as programs read them. */
function keptLog() {
  const written: string[] = []
  const logger = createNodeLogger('trace', { write: (line: string) => void written.push(line) })
  const lines = () =>
    written.map((line) => JSON.parse(line) as { level: number; msg?: string; [fact: string]: unknown })
  return { logger, written, lines }
}

/** The canary as it stands, and in the forms in which bytes are printed. */
const formsOf = (bytes: Buffer): string[] => [
  bytes.toString('hex'),
  ...['base64', 'base64url'].map((form) =>
    bytes
      .toString(form as BufferEncoding)
      .replace(/=+$/, '')
      .slice(0, -2),
  ),
  [...bytes].join(','),
]
const holds = (line: string, forms: readonly string[]): boolean =>
  forms.some((form) => line.toLowerCase().includes(form.toLowerCase()))
const canary = [CANARY, ...formsOf(Buffer.from(CANARY))]

t.test('no name, key or body of a call is logged, whatever becomes of the call', async (t) => {
  const { logger, written, lines } = keptLog()
  const network = networkFile(t)
  const node = await startNode(t, { network }, { logger })
  const peer = await startNode(t, { network, peer: [node.url] }, { logger })
  const { url } = node
  const secret = (part: string): string => `${CANARY}-${part}`

  writeFileSync(join(node.options.fileRoot, secret('scan.aes')), secret('content'))
  const stored = (await post(`${url}/create_hash`, { file_path: secret('scan.aes') })) as {
    body: { 'IPFS Hash': { Hash: string } }
  }
  const { Hash: ipfs_hash } = stored.body['IPFS Hash']
  const upload = multipart([{ name: 'file', filename: secret('upload.aes'), contents: secret('uploaded') }])
  const credentials = { authorization: `Bearer ${secret('token')}`, cookie: secret('cookie') }
  const uploaded = await ask(`${url}/create_hash`, {
    method: 'POST',
    ...upload,
    headers: { ...upload.headers, ...credentials },
  })
  t.equal(uploaded.status, 201)
  const record = { user_id: secret('user'), EHR_name: secret('MRI'), ipfs_hash }
  t.equal((await post(`${url}/add_transaction`, record)).status, 201)
  t.equal((await get(`${url}/mine_block`)).status, 200)
  await until(peer, () => agree(node, peer))
  t.equal((await post(`${peer.url}/get_file_hash`, { name: secret('MRI') })).status, 200)
  t.equal((await post(`${peer.url}/get_file`, { ipfs_hash })).status, 200)
  t.match(JSON.stringify((await get(`${url}/get_chain`)).body), secret('user'), 'the chain has it')

  // What goes wrong, before a route is found and after.
  const maker = createBlockMaker()
  const label = { user_id: secret('u'), EHR_name: secret('n'), file_name: secret('f'), size: 1 }
  const wrong = maker.block(maker.genesis, [maker.record('x', { label })], { header: { height: 7 } })
  const broken = `{"user_id": "${secret('json')}", `
  const refusals = [
    await post(`${url}/create_hash`, { file_path: secret('missing') }),
    await post(`${url}/create_hash`, { file_path: `../${secret('outside')}` }),
    await post(`${url}/get_file_hash`, { name: secret('unknown') }),
    await post(`${url}/add_transaction`, { ...record, ipfs_hash: secret('no-cid') }),
    await post(`${url}/add_transaction`, { ...record, [secret('key')]: 1 }),
    await post(`${url}/add_transaction`, { ...record, EHR_name: secret('long').repeat(10_000) }),
    await post(`${url}/connect_node`, { nodes: [secret('node')] }),
    await ask(`${url}/add_transaction`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: broken,
    }),
    await postBytes(`${url}/transactions`, CBOR, Buffer.from(secret('cbor'))),
    await postBytes(`${url}/transactions`, CBOR, maker.record('late', { label, at: Date.now() + 1e9 }).bytes),
    await postBytes(`${url}/blocks`, CAR, encodeBlocks([wrong])),
    await get(`${url}/${secret('path')}?name=${secret('query')}`),
    await get(`${url}/files/${secret('cid')}`, credentials),
    await get(`${url}/files/%${secret('escape')}`),
    await get(`${url}/get_chain`, { host: secret('host') }),
    await get(`${url}/get_chain`, { origin: `http://${secret('origin')}` }),
  ]
  for (const [at, { status }] of refusals.entries()) t.ok(status === 201 || status >= 400, `refusal ${at}: ${status}`)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.end(`GET /get_chain HTTP/1.1\r\n${secret('header')}\r\n\r\n`)
  socket.resume()
  await once(socket, 'close')

  const keys = [node, peer].map(({ options }) => readFileSync(join(options.data, 'node.key')))
  await peer.close()
  await post(`${url}/add_transaction`, { ...record, EHR_name: secret('CT') })
  await node.close()

  const messages = new Set(lines().map(({ msg }) => msg))
  for (const message of [
    'data folder open',
    'the node answers',
    'new tip',
    'request answered',
    'trouble with a peer',
  ]) {
    t.ok(messages.has(message), `the log has "${message}"`)
  }
  t.ok(
    written.some((line) => line.includes('client')),
    'the malformed request is in it',
  )
  t.ok(written.length > 30, `${written.length} lines`)
  for (const key of keys)
    t.notOk(
      written.some((line) => holds(line, formsOf(key))),
      'the key of a node',
    )
  t.same(
    written.filter((line) => holds(line, canary)),
    [],
  )
})

t.test('a request is one line of its route, at debug', async (t) => {
  const { logger, lines } = keptLog()
  const node = await startNode(t, {}, { logger })
  await get(`${node.url}/blocks/9999`)
  await get(`${node.url}/nope`)
  await get(`${node.url}/healthz`)
  await node.close()
  const answered = lines().filter(({ msg }) => msg === 'request answered')
  t.match(answered, [
    { level: 20, method: 'GET', route: '/blocks/:id', status: 404 },
    { level: 20, method: 'other', route: 'none', status: 404 },
    { level: 20, method: 'GET', route: '/healthz', status: 200 },
  ])
})

t.test('of an error only what is ours to say', async (t) => {
  const { logger, written, lines } = keptLog()
  const thrown = (act: () => unknown): Error => {
    try {
      act()
    } catch (error) {
      if (error instanceof Error) return error
    }
    throw new Error('Nothing was thrown.')
  }
  const path = Object.assign(new Error(`ENOENT: no such file, open '/x/${CANARY}'`), {
    code: 'ENOENT',
    syscall: 'open',
    path: `/x/${CANARY}`,
  })
  const request = Object.assign(new Error('Parse Error'), { code: 'HPE_INVALID', rawPacket: Buffer.from(CANARY) })
  const foreign = [
    path,
    request,
    thrown(() => JSON.parse(`{"a": ${CANARY}`)),
    thrown(() => new URL(CANARY)),
    thrown(() => BigInt(CANARY)),
    new EmrError('disk_failed', undefined, { errno: 'ENOENT' }, { cause: path }),
    new EmrError('internal', undefined, {}, { cause: new EmrError('disk_failed', undefined, {}, { cause: path }) }),
  ]
  for (const error of foreign) {
    logger.error({ err: error }, 'a failure')
    logger.error({ err: error })
    logger.error(error)
    logger.child({ reqId: 1 }).error({ err: error })
  }
  logger.info(
    { label: { user_id: CANARY }, passphrase: CANARY, request: { headers: { cookie: CANARY }, body: CANARY } },
    'x',
  )
  logger.error({ err: CANARY }, 'a thrown text')
  t.same(
    written.filter((line) => holds(line, canary)),
    [],
  )
  const [first] = lines()
  t.match(first, { msg: 'a failure', err: { type: 'Error', code: 'ENOENT', syscall: 'open', stack: /^\s+at / } })
  const own = lines().find(({ err }) => (err as { code?: string } | undefined)?.code === 'disk_failed')
  t.match(own, {
    err: { message: 'The disk refused a read or write.', facts: { errno: 'ENOENT' }, cause: { code: 'ENOENT' } },
  })
  t.match(lineForPeople(written[0] ?? ''), /^\d\d:\d\d:\d\d error a failure \(ENOENT\)\n$/)
  t.match(lineForPeople(JSON.stringify(own)), /error a failure \(The disk refused a read or write\.\)\n$/)
})
