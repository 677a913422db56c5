import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { type Fault, startFakeKuboRpc } from '../fixtures/fake-kubo-rpc.js'
import { bytesOf, keystream } from '../fixtures/file-content.js'
import { type KuboDaemon, startKubo } from '../fixtures/kubo-daemon.js'
import { get, post, startNode, type TestNode } from '../fixtures/start-node.js'
import { blocksOf } from './file-store-suite.js'

/** What a node does when its Kubo daemon fails: with a real daemon, and with one that lies, as no real one can be made to. */

const MIB = 1024 * 1024
const never = new AbortController().signal

const store = (node: TestNode, name: string) => post(`${node.url}/create_hash`, { file_path: name })
const retrieve = (node: TestNode, cid: string) => post(`${node.url}/get_file`, { ipfs_hash: cid })
const health = async (node: TestNode) => (await get(`${node.url}/healthz`)).body
const DEGRADED = { status: 'degraded', fileStore: { kind: 'kubo', state: 'degraded' } }
const WELL = { status: 'ok', fileStore: { kind: 'kubo', state: 'ok' } }

function writeFile(node: TestNode, name: string, bytes: Uint8Array): void {
  writeFileSync(join(node.options.fileRoot, name), bytes)
}

/** The node stores a file, finds it again, and says that it is well. */
async function works(t: Test, node: TestNode, name: string): Promise<string> {
  t.match(await health(node), WELL)
  const bytes = randomBytes(700_000)
  writeFile(node, name, bytes)
  const { root } = await blocksOf(bytes)
  t.match(await store(node, name), { status: 201, body: { 'IPFS Hash': { Hash: root.toString() } } })
  const got = await retrieve(node, root.toString())
  t.match(got, { status: 200, body: { size: bytes.length } })
  t.ok(readFileSync((got.body as { path: string }).path).equals(bytes), `${name}: byte for byte`)
  return root.toString()
}

/** Kubo pins it by itself. */
const EMPTY_FOLDER = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn'
/** What the daemon has pinned. It must be down or up, not frozen. */
const pins = (daemon: KuboDaemon): string[] =>
  daemon
    .ipfs(['pin', 'ls', '--type=recursive', '--quiet'])
    .split('\n')
    .filter((line) => line !== '' && line !== EMPTY_FOLDER)

async function start(t: Test, limits = {}) {
  const daemon = await startKubo(t)
  if (!daemon) return undefined
  const node = await startNode(t, { ipfs: daemon.rpcUrl.href }, { kuboTimeouts: limits })
  return { daemon, node }
}

t.test('the daemon is down when the node starts, comes, and is started again', async (t) => {
  const daemon = await startKubo(t)
  if (!daemon) return t.plan(0, 'There is no Kubo here.')
  await daemon.down()
  const node = await startNode(t, { ipfs: daemon.rpcUrl.href })
  t.match(await health(node), DEGRADED)
  t.match((await get(`${node.url}/status`)).body, { warnings: ['no_peers', 'file_store_degraded'] })
  writeFile(node, 'early', randomBytes(1_000))
  const { root } = await blocksOf(Buffer.from('never stored'))
  const unreachable = { status: 502, body: { code: 'file_store_unreachable' } }
  t.match(await store(node, 'early'), unreachable)
  t.match(await retrieve(node, root.toString()), unreachable)
  t.match(await get(`${node.url}/ipfs/${root}?format=car`), unreachable)

  await daemon.up()
  const first = await works(t, node, 'first')
  await daemon.down('SIGKILL')
  t.match(await health(node), DEGRADED)
  t.match(await retrieve(node, first), unreachable)
  await daemon.up()
  t.match(await retrieve(node, first), { status: 200 }, 'what was acknowledged is there after a power cut')
  await works(t, node, 'second')
})

t.test('the daemon is killed during an add', async (t) => {
  const { daemon, node } = (await start(t)) ?? {}
  if (!daemon || !node) return t.plan(0, 'There is no Kubo here.')
  const content = await bytesOf(keystream(24 * MIB, 'killed during add'))
  const { root } = await blocksOf(content)
  const part = 8 * MIB
  async function* killing() {
    yield content.subarray(0, part)
    await daemon?.down('SIGKILL')
    yield content.subarray(part)
  }
  const unreachable = { code: 'file_store_unreachable' }
  await t.rejects(node.node.createHash({ name: 'cut', source: Readable.from(killing()) }, never), unreachable)
  t.match(await health(node), DEGRADED)
  await daemon.up()
  t.same(pins(daemon), [], 'nothing of it is pinned')
  t.match(await retrieve(node, root.toString()), { status: 404, body: { code: 'file_unavailable' } })

  // Everything is sent, and the daemon dies before it has answered.
  async function* frozen() {
    daemon?.freeze()
    yield content.subarray(0, 1_000)
  }
  const adding = node.node.createHash({ name: 'late', source: Readable.from(frozen()) }, never)
  adding.catch(() => undefined)
  t.match(await health(node), DEGRADED, 'a daemon that is stopped answers nothing')
  await daemon.down('SIGKILL')
  await t.rejects(adding, unreachable)
  await daemon.up()
  t.same(pins(daemon), [])

  writeFile(node, 'whole', content)
  t.match(await store(node, 'whole'), { status: 201, body: { 'IPFS Hash': { Hash: root.toString() } } })
  t.same(pins(daemon), [root.toString()])
})

t.test('the daemon is killed during a get', async (t) => {
  const { daemon, node } = (await start(t)) ?? {}
  if (!daemon || !node) return t.plan(0, 'There is no Kubo here.')
  const content = await bytesOf(keystream(32 * MIB, 'killed during get'))
  const { cid } = await node.node.createHash({ name: 'study', source: Readable.from([content]) }, never)

  const answer = await fetch(`${node.url}/files/${cid}`)
  t.equal(answer.status, 200)
  const shown: Uint8Array[] = []
  const reading = async () => {
    for await (const piece of answer.body ?? []) {
      if (shown.length === 0) await daemon.down('SIGKILL')
      shown.push(piece)
    }
  }
  await t.rejects(reading(), { message: 'terminated' }, 'the connection is cut, not ended')
  const bytes = Buffer.concat(shown)
  t.ok(bytes.length > 0 && bytes.length < content.length, `${bytes.length} bytes came`)
  t.ok(bytes.equals(content.subarray(0, bytes.length)), 'and they are right')
  t.match(await health(node), DEGRADED)

  await daemon.up()
  t.match(await health(node), WELL)
  const again = await fetch(`${node.url}/files/${cid}`)
  t.ok(Buffer.from(await again.arrayBuffer()).equals(content))
})

t.test('the daemon stalls', async (t) => {
  // Short ones for this test; docs/operations.md has those of a node.
  const { daemon, node } = (await start(t, { answerMs: 4_000, idleMs: 4_000 })) ?? {}
  if (!daemon || !node) return t.plan(0, 'There is no Kubo here.')
  const patient = await startNode(t, { ipfs: daemon.rpcUrl.href })
  const content = await bytesOf(keystream(16 * MIB, 'stall'))
  const { cid } = await node.node.createHash({ name: 'before', source: Readable.from([content]) }, never)
  const timeout = { status: 504, body: { code: 'file_store_timeout' } }

  const answer = await fetch(`${patient.url}/files/${cid}`)
  const slowly = (async () => {
    const pieces: Uint8Array[] = []
    for await (const piece of answer.body ?? []) {
      if (pieces.length === 0) daemon.freeze()
      pieces.push(piece)
      if (pieces.length > 1) continue
      writeFile(node, 'during', randomBytes(16 * MIB))
      const [added, got, car, state] = await Promise.all([
        store(node, 'during'),
        retrieve(node, cid.toString()),
        get(`${node.url}/ipfs/${cid}?format=car`),
        health(node),
      ])
      t.match(added, timeout)
      t.match(got, timeout)
      t.match(car, timeout)
      t.match(state, DEGRADED)
      daemon.thaw()
    }
    return Buffer.concat(pieces)
  })()
  t.ok((await slowly).equals(content), 'a get with more patience goes on where it stood')
  t.notOk(existsSync(node.options.downloads), 'no part of a file stays')
  t.same(pins(daemon), [cid.toString()], 'the add that was given up is not pinned')
  await works(t, node, 'after')
})

t.test('the daemon answers garbage, or ends its answers early', async (t) => {
  const rpc = await startFakeKuboRpc()
  t.teardown(() => rpc.close())
  const node = await startNode(t, { ipfs: rpc.url.href })
  const cid = await works(t, node, 'before')
  const before = readdirSync(node.options.downloads).length
  const garbage: Fault = (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json' }).end('\u0000garbage')
  }
  const half: Fault = (request, response) => {
    const arg = new URL(request.url ?? '', rpc.url).searchParams.get('arg')
    const block = [...rpc.blocks.values()].at(arg === cid ? -1 : 0) ?? new Uint8Array(0)
    response.end(block.subarray(0, block.length >> 1))
  }
  const cut: Fault = (_, response) => {
    response.writeHead(200, { 'content-length': 100_000 })
    response.write(Buffer.alloc(1_000), () => response.destroy())
  }
  const { root } = await blocksOf(readFileSync(join(node.options.fileRoot, 'before')))
  t.equal(root.toString(), cid)

  for (const command of ['version', 'pin/ls', 'add', 'block/get', 'dag/import', 'pin/add'])
    rpc.faults.set(command, garbage)
  t.match(await health(node), DEGRADED)
  writeFile(node, 'during', randomBytes(500_000))
  t.match(await store(node, 'during'), { status: 502, body: { code: 'file_store_failed' } })
  t.match(await retrieve(node, cid), { status: 502, body: { code: 'file_store_failed' } })

  rpc.faults.delete('pin/ls')
  t.match(await retrieve(node, cid), { body: { code: 'file_damaged' } }, 'garbage in the place of a block')
  rpc.faults.set('block/get', half)
  t.match(await retrieve(node, cid), { body: { code: 'file_damaged' } }, 'half a block')
  rpc.faults.set('block/get', cut)
  t.match(await retrieve(node, cid), { body: { code: 'file_store_unreachable' } }, 'a connection that is cut')
  rpc.faults.set('add', (request, response) => {
    request.resume()
    request.on('end', () => {
      response.writeHead(200, { trailer: 'X-Stream-Error' })
      response.addTrailers({ 'X-Stream-Error': 'no space left on device' })
      response.end(' ')
    })
  })
  t.match(await store(node, 'during'), { body: { code: 'file_store_failed', detail: /no space left/ } })
  t.equal(readdirSync(node.options.downloads).length, before, 'no part of a file stays')
  t.notOk(existsSync(join(node.options.downloads, 'during')))

  rpc.faults.clear()
  await works(t, node, 'after')
  t.match(await retrieve(node, cid), { status: 200 })
})
