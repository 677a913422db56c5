import { createServer, type ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { openFileStore, probeKubo } from '#emrchain/files/choose-file-store.js'
import { createKuboFileStore, type KuboFileStoreOptions } from '#emrchain/files/kubo/create-kubo-file-store.js'
import { type Fault, startFakeKuboRpc } from '../fixtures/fake-kubo-rpc.js'
import { bytesOf, keystream } from '../fixtures/file-content.js'
import { blocksOf, carOf, fileStoreSuite } from './file-store-suite.js'

const KIB_256 = 256 * 1024
const SHORT = { connectMs: 2_000, answerMs: 300, idleMs: 300, pinMs: 300, healthMs: 300 }

/** Far beyond every limit above, far below those that the libraries have of their own. */
const IN_TIME_MS = 10_000

async function start(t: Test, options: Partial<KuboFileStoreOptions> = {}) {
  const rpc = await startFakeKuboRpc()
  t.teardown(() => rpc.close())
  const store = createKuboFileStore({ url: rpc.url, ...options })
  t.teardown(() => store.close())
  return { rpc, store }
}

async function withFile(t: Test, options: Partial<KuboFileStoreOptions> = {}) {
  const { rpc, store } = await start(t, options)
  const content = await bytesOf(keystream(3 * KIB_256, 'faults'))
  const { root, blocks } = await blocksOf(content)
  await store.importCar(root, carOf(root, blocks))
  return { rpc, store, content, root, blocks }
}

const hang: Fault = (request) => request.resume()
const say =
  (status: number, body: string, headers: Record<string, string> = {}): Fault =>
  (request, response) => {
    request.resume()
    response.writeHead(status, headers).end(body)
  }

t.test('the store behind the fake daemon, which is right when it has no fault', async (t) => {
  const { rpc, store } = await start(t)
  await fileStoreSuite(t, { store, kept: async () => [...rpc.pins].sort() })
})

t.test('a daemon that hangs is given up in time', async (t) => {
  const { rpc, store, root, blocks } = await withFile(t, { timeouts: SHORT })
  const timeout = { code: 'file_store_timeout' }
  const inTime = async (name: string, call: Promise<unknown>) => {
    const began = performance.now()
    await t.rejects(call, timeout, name)
    t.ok(performance.now() - began < IN_TIME_MS, `${name}: in time`)
  }
  for (const command of ['add', 'block/get', 'pin/ls', 'pin/add', 'dag/import', 'version'])
    rpc.faults.set(command, hang)
  await inTime('add', store.add(keystream(KIB_256, 'hang')))
  await inTime('has', store.has(root))
  await inTime('stat', store.stat(root))
  await inTime('read', bytesOf(store.read(root)))
  await inTime('exportCar', bytesOf(store.exportCar(root)))
  await inTime('importCar, upload', store.importCar(root, carOf(root, blocks)))
  t.match(await store.health(), { state: 'degraded', detail: /in time/ })
  t.equal(await probeKubo(rpc.url, { timeoutMs: 150 }), false)

  rpc.faults.delete('dag/import')
  await inTime('importCar, pin', store.importCar(root, carOf(root, blocks)))
  rpc.faults.delete('add')
  await inTime('add, proof of the pin', store.add(keystream(KIB_256, 'hang')))

  rpc.faults.set('add', (request) => request.pause())
  await inTime('add, the daemon reads no more', store.add(keystream(100 * KIB_256, 'stall')))

  rpc.faults.set('block/get', (_, response) => {
    response.writeHead(200).write('half a block')
  })
  await inTime('a body that stands still', store.getBlock(root))

  rpc.faults.set('block/get', hang)
  const asked = new Promise<AbortController>((resolve) => {
    const controller = new AbortController()
    rpc.faults.set('block/get', () => resolve(controller))
    void t.rejects(store.getBlock(root, { signal: controller.signal }), { code: 'cancelled' })
  })
  ;(await asked).abort()
})

t.test('a slow source is not the fault of the daemon', async (t) => {
  const { rpc, store, root } = await withFile(t, { timeouts: SHORT })
  rpc.faults.set('pin/ls', hang)
  const clock = async () => {
    // Each takes as long as the daemon may be silent.
    for (let i = 0; i < 3; i++) await t.rejects(store.has(root), { code: 'file_store_timeout' })
    rpc.faults.delete('pin/ls')
  }
  const file = await store.add(
    (async function* () {
      yield Buffer.from('first, ')
      await clock()
      yield Buffer.from('then')
    })(),
  )
  t.equal(file.fileSize, 11)
})

t.test('an answer that is cut or wrong is an error, never short or wrong bytes', async (t) => {
  const { rpc, store, root, blocks, content } = await withFile(t)
  const last = blocks.at(-1)
  if (!last) throw new Error('There is no block.')
  const onLastBlock = (fault: (response: ServerResponse) => void): Fault => {
    return (request, response, answer) => (request.url?.includes(last.cid.toString()) ? fault(response) : void answer())
  }
  const bytes = Buffer.from(last.bytes)
  const half = bytes.subarray(0, bytes.length >> 1)
  const flipped = Buffer.from(bytes)
  flipped.writeUInt8(flipped.readUInt8(77) ^ 1, 77)
  const cases: readonly (readonly [string, string, (response: ServerResponse) => void])[] = [
    ['half a block, properly ended', 'file_damaged', (response) => response.end(half)],
    ['a flipped bit', 'file_damaged', (response) => response.end(flipped)],
    ['more than the block', 'file_damaged', (response) => response.end(Buffer.concat([bytes, half]))],
    ['nothing', 'file_damaged', (response) => response.end()],
    [
      'a cut connection',
      'file_store_unreachable',
      (response) => {
        response.writeHead(200, { 'content-length': bytes.length })
        response.write(half, () => response.destroy())
      },
    ],
    [
      'a late error in the trailer',
      'file_store_failed',
      (response) => {
        response.writeHead(200, { trailer: 'X-Stream-Error' })
        response.write(half)
        response.addTrailers({ 'X-Stream-Error': 'the disk is on fire' })
        response.end()
      },
    ],
    [
      'an answer without end',
      'file_store_failed',
      (response) => {
        const more = () => {
          while (response.writable && response.write(bytes));
        }
        response.on('drain', more)
        more()
      },
    ],
    ['a block that is gone', 'file_unavailable', (response) => say500(response, 'ipld: could not find it')],
    ['an error of its own', 'file_store_failed', (response) => say500(response, 'leveldb: corrupted')],
  ]
  for (const [name, code, fault] of cases) {
    rpc.faults.set('block/get', onLastBlock(fault))
    const shown: Uint8Array[] = []
    await t.rejects(
      (async () => {
        for await (const chunk of store.read(root)) shown.push(chunk)
      })(),
      { code },
      name,
    )
    const before = Buffer.concat(shown)
    t.ok(
      before.length < content.length && before.equals(content.subarray(0, before.length)),
      `${name}: bytes before it`,
    )
    await t.rejects(bytesOf(store.exportCar(root)), { code }, `${name}: exportCar`)
  }
  rpc.faults.clear()
  t.strictSame(await bytesOf(store.read(root)), content)
})

const say500 = (response: ServerResponse, message: string) =>
  response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ Message: message }))

t.test('an add is believed only when the CID is right and the pin is proven', async (t) => {
  const { rpc, store } = await start(t)
  const { root: other } = await blocksOf(Buffer.from('another file'))
  const add = () => store.add(keystream(KIB_256, 'believed'))
  const answer = (cid: string) => `${JSON.stringify({ Name: 'x', Hash: cid, Size: '1' })}\n`
  const { root } = await blocksOf(await bytesOf(keystream(KIB_256, 'believed')))

  rpc.faults.set('add', say(200, answer(other.toString())))
  await t.rejects(add(), {
    code: 'file_store_mismatch',
    facts: { expected: root.toString(), answered: other.toString() },
  })
  rpc.faults.set('add', say(200, answer(root.toString())))
  await t.rejects(add(), { code: 'file_store_failed', message: /pin/ }, 'right, but not pinned')
  rpc.faults.set('add', say(200, ''))
  await t.rejects(add(), { code: 'file_store_failed' }, 'an empty answer')
  rpc.faults.set('add', say(200, 'no JSON'))
  await t.rejects(add(), { code: 'file_store_failed' })
  rpc.faults.set(
    'add',
    say(500, JSON.stringify({ Message: 'no space left on device' }), { 'content-type': 'application/json' }),
  )
  await t.rejects(add(), { code: 'file_store_failed', message: /no space left on device/ })
  rpc.faults.set('add', (request, response) => {
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { trailer: 'X-Stream-Error' })
      response.write(' ')
      response.addTrailers({ 'X-Stream-Error': 'the disk is on fire' })
      response.end()
    })
  })
  await t.rejects(add(), { code: 'file_store_failed', message: /on fire/ }, 'the late error is told')
  rpc.faults.clear()
  t.equal((await add()).cid.toString(), root.toString())
})

t.test('a failed upload is cut, so that the daemon cannot take half a file for whole', async (t) => {
  const { rpc, store } = await start(t)
  let arrive: () => void
  const arrived = new Promise<void>((resolve) => {
    arrive = resolve
  })
  const ended = new Promise<string>((resolve) => {
    rpc.faults.set('add', (request, _, answer) => {
      request.on('close', () => resolve(request.complete ? 'ended' : 'cut'))
      request.once('data', () => arrive())
      void answer()
    })
  })
  const failure = new Error('The source fails.')
  const failing = async function* () {
    yield* keystream(8 * KIB_256, 'cut')
    await arrived
    throw failure
  }
  await t.rejects(store.add(failing()), failure)
  t.equal(await ended, 'cut')
  t.strictSame([...rpc.pins], [])
})

t.test('a daemon that is not there, or not one', async (t) => {
  const { rpc, store } = await start(t)
  await rpc.close()
  const gone = { code: 'file_store_unreachable' }
  const { root, blocks } = await blocksOf(Buffer.from('gone'))
  await t.rejects(store.add(keystream(100 * KIB_256, 'gone')), gone)
  await t.rejects(store.has(root), gone)
  await t.rejects(bytesOf(store.read(root)), gone)
  await t.rejects(store.importCar(root, carOf(root, blocks)), gone)
  t.match(await store.health(), { state: 'degraded', detail: /does not answer/ })
  t.equal(await probeKubo(rpc.url, { timeoutMs: 500 }), false)

  const another = await start(t)
  t.equal(await probeKubo(another.rpc.url, { timeoutMs: 5_000 }), true)
  for (const fault of [say(200, '{}', { 'content-type': 'application/json' }), say(200, '<html>'), say(404, '')]) {
    another.rpc.faults.set('version', fault)
    t.equal(await probeKubo(another.rpc.url, { timeoutMs: 5_000 }), false)
  }
  another.rpc.faults.set('block/get', say(307, '', { location: `${another.rpc.url}elsewhere` }))
  await t.rejects(another.store.getBlock(root), { code: 'file_store_failed' }, 'redirects are not followed')
  t.notOk(another.rpc.requests.some(({ url }) => url?.includes('elsewhere')))
})

t.test('a file from other daemons is checked, bounded, and given up in time', async (t) => {
  const { rpc, store } = await start(t, { timeouts: { ...SHORT, firstBlockMs: 300 } })
  const content = await bytesOf(keystream(3 * KIB_256, 'swarm'))
  const { root, blocks } = await blocksOf(content)
  const found = new Map(blocks.map(({ cid, bytes }) => [cid.toString(), bytes]))
  const last = blocks.at(-1)?.cid.toString()
  /** What other daemons have, as this one gets it when it is not asked offline. */
  const others =
    (give: (cid: string, response: ServerResponse) => Uint8Array | undefined): Fault =>
    (request, response, answer) => {
      const { searchParams } = new URL(request.url ?? '', rpc.url)
      const cid = searchParams.get('arg') ?? ''
      if (searchParams.get('offline') === 'true') return answer()
      const bytes = give(cid, response)
      const { cid: of } = blocks.find((block) => block.cid.toString() === cid) ?? {}
      if (bytes && of) rpc.blocks.set(Buffer.from(of.multihash.digest).toString('hex'), bytes)
      if (bytes) response.end(bytes)
    }
  const fetch = async (maxBytes?: number) => store.swarm?.fetch(root, { maxBytes })

  rpc.faults.set('block/get', hang)
  t.equal(await fetch(), undefined, 'nobody has it')
  rpc.faults.set(
    'block/get',
    others((cid) => (cid === last ? undefined : found.get(cid))),
  )
  t.equal(await fetch(), undefined, 'the last block does not come')
  t.same([...rpc.pins], [], 'what is not whole is not pinned')
  rpc.faults.set(
    'block/get',
    others((cid) => (cid === last ? content.subarray(0, 99) : found.get(cid))),
  )
  await t.rejects(fetch(), { code: 'file_damaged' })
  rpc.faults.set(
    'block/get',
    others((cid) => found.get(cid)),
  )
  await t.rejects(fetch(content.length), { code: 'file_too_large' }, 'the whole DAG counts')
  t.same([...rpc.pins], [])

  t.strictSame(await fetch(), { cid: root, size: (await store.stat(root)).size, fileSize: content.length })
  t.same([...rpc.pins], [root.toString()])
  rpc.faults.clear()
  t.strictSame(await bytesOf(store.read(root)), content)

  // A cluster has pinned it, and another of its daemons has the blocks.
  rpc.blocks.clear()
  await t.rejects(bytesOf(store.read(root)), { code: 'file_unavailable' })
  rpc.faults.set(
    'block/get',
    others((cid) => found.get(cid)),
  )
  t.strictSame(await bytesOf(store.read(root)), content)
  rpc.blocks.clear()
  rpc.faults.set(
    'block/get',
    others(() => undefined),
  )
  await t.rejects(bytesOf(store.read(root)), { code: 'file_unavailable' }, 'where it does not come in time')
  rpc.pins.clear()
  rpc.requests.length = 0
  await t.rejects(bytesOf(store.read(root)), { code: 'file_unavailable' })
  t.ok(
    rpc.requests.every(({ url }) => !url?.includes('block/get') || url.includes('offline=true')),
    'what is not pinned is not searched for',
  )
})

t.test('authorization is sent, and never told', async (t) => {
  const { rpc } = await start(t)
  const withUser = new URL(rpc.url)
  withUser.username = 'node'
  withUser.password = 'p%40ss'
  const store = await openFileStore(withUser, { folder: t.testdir() })
  t.teardown(() => store.close())
  await store.health()
  t.equal(rpc.requests.at(-1)?.headers.authorization, `Basic ${Buffer.from('node:p@ss').toString('base64')}`)
  await rpc.close()
  const { root } = await blocksOf(Buffer.from('x'))
  const told = await store.has(root).catch((error: Error) => `${error.stack} ${JSON.stringify(error)} ${error.cause}`)
  t.notMatch(told, /p@ss|p%40ss|Basic/)

  withUser.password = '%'
  t.throws(() => createKuboFileStore({ url: withUser }), { code: 'config_invalid' })

  const guarded = await startFakeKuboRpc()
  t.teardown(() => guarded.close())
  t.equal(await probeKubo(guarded.url, { timeoutMs: 5_000, authorization: 'Bearer secret' }), true)
  t.equal(guarded.requests[0]?.headers.authorization, 'Bearer secret')
  guarded.faults.set('version', say(403, '403 - Forbidden'))
  t.equal(await probeKubo(guarded.url, { timeoutMs: 5_000 }), false)
})

t.test('the rest of the process keeps its fetch', async (t) => {
  const { store } = await start(t)
  const server = createServer((request, response) => {
    if (request.url === '/from') response.writeHead(307, { location: '/to' }).end()
    else response.end('to')
  })
  t.teardown(() => server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const seen: string[] = []
  await store.add(
    (async function* () {
      yield Buffer.from('during an upload')
      seen.push(await (await fetch(`http://127.0.0.1:${port}/from`)).text())
    })(),
  )
  seen.push(await (await fetch(`http://127.0.0.1:${port}/from`)).text())
  t.strictSame(seen, ['to', 'to'], 'redirects are followed as before')
  server.closeAllConnections()
})
