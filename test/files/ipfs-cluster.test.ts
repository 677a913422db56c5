import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import t from 'tap'
import { openFileStore } from '#emrchain/files/choose-file-store.js'
import { createKuboFileStore } from '#emrchain/files/kubo/create-kubo-file-store.js'
import { startFakeKuboRpc } from '../fixtures/fake-kubo-rpc.js'
import { bytesOf, digestOf, keystream } from '../fixtures/file-content.js'
import { startCluster } from '../fixtures/ipfs-cluster.js'
import { type KuboDaemon, newSwarmKey, startKubo } from '../fixtures/kubo-daemon.js'
import { runCli } from '../fixtures/run-cli.js'
import { get, post, startNode } from '../fixtures/start-node.js'
import { blocksOf, fileStoreSuite } from './file-store-suite.js'

/** Files on several machines: a real IPFS Cluster of three peers, each over a real Kubo daemon. */

const MIB = 1024 * 1024
const never = new AbortController().signal

t.test('a node over the proxy of an IPFS Cluster', async (t) => {
  const swarmKey = newSwarmKey()
  const started = await Promise.all([1, 2, 3].map(() => startKubo(t, { swarmKey })))
  const daemons = started.filter((daemon): daemon is KuboDaemon => daemon !== undefined)
  const peers = daemons.length === 3 ? await startCluster(t, daemons, { copies: 2 }) : undefined
  const [one, two, three] = peers ?? []
  if (!one || !two || !three) return t.plan(0, 'There is no IPFS Cluster here.')

  await t.test('keeps files as every store does', async (t) => {
    const store = createKuboFileStore({ url: one.proxyUrl, cluster: one.restUrl })
    t.teardown(() => store.close())
    const kept = async () =>
      one
        .ctl('pin', 'ls')
        .map((line) => line.split(' ')[0] ?? '')
        .sort()
    await fileStoreSuite(t, { store, kept })
  })

  const a = await startNode(t, { ipfs: one.proxyUrl.href, ipfsCluster: one.restUrl.href })
  const b = await startNode(t, { ipfs: two.proxyUrl.href, ipfsCluster: two.restUrl.href })
  t.match((await get(`${a.url}/healthz`)).body, { status: 'ok', fileStore: { kind: 'kubo', state: 'ok' } })
  const sizes = [0, 1, 262_144, 262_145, 3 * MIB, 20 * MIB]
  const files = await Promise.all(
    sizes.map(async (size) => {
      const content = await bytesOf(keystream(size, `cluster ${size}`))
      return { size, content, cid: (await blocksOf(content)).root }
    }),
  )
  const store = createKuboFileStore({ url: one.proxyUrl, cluster: one.restUrl })
  t.teardown(() => store.close())

  await t.test('each file is on as many machines as the cluster is told', async (t) => {
    for (const { size, content, cid } of files) {
      const named = await a.node.createHash({ name: `${size}`, source: Readable.from([content]) }, never)
      t.equal(named.cid.toString(), cid.toString())
      const copies = await store.replication?.(cid)
      t.match(copies, { pinned: 2, wanted: { least: 2, most: 2 } }, `${size} bytes`)
      t.same(
        copies?.machines.map(({ name }) => name),
        ['c0', 'c1', 'c2'],
      )
      t.same(copies?.machines.map(({ state }) => state).sort(), ['pinned', 'pinned', 'remote'])
    }
    const { root } = await blocksOf(randomBytes(10))
    t.equal(await store.replication?.(root), undefined, 'of a file that is not there nothing is known')

    const { files: listed } = (await get(`${a.url}/files`)).body as { files: { cid: string; replication: unknown }[] }
    t.equal(listed.length, files.length)
    for (const { cid, replication } of listed) t.match(replication, { pinned: 2, wanted: { least: 2, most: 2 } }, cid)
    const { code, stdout } = await runCli(['files', '--node', a.url])
    t.equal(code, 0)
    t.equal(stdout.match(/ 2 of 2 /g)?.length, files.length, 'people see it too')
  })

  await t.test('one machine goes, and everything is read', async (t) => {
    // The third machine has one for certain: what is not on it, it is soon not asked for.
    const everywhere = files[0]?.cid
    if (!everywhere) throw new Error('There are files.')
    one.ctl('pin', 'add', '--replication', '3', '--wait', everywhere.toString())
    t.match(await store.replication?.(everywhere), { pinned: 3, wanted: { least: 3, most: 3 } })
    await three.stop()
    await daemons[2]?.down('SIGKILL')
    for (const node of [a, b]) {
      for (const { size, content, cid } of files) {
        const got = await post(`${node.url}/get_file`, { ipfs_hash: cid.toString() })
        t.match(got, { status: 200, body: { size } })
        t.ok(readFileSync((got.body as { path: string }).path).equals(content), `${size} bytes`)
      }
    }
    const copies = await store.replication?.(everywhere)
    t.match(copies, { pinned: 2, wanted: { least: 3, most: 3 } })
    t.match(
      copies?.machines.find(({ state }) => state !== 'pinned'),
      { state: 'cluster_error', error: /./ },
    )
    t.match((await get(`${a.url}/healthz`)).body, { status: 'ok' })
  })

  await t.test('the peer that is asked goes: the node says so', async (t) => {
    await one.stop()
    t.match((await get(`${a.url}/healthz`)).body, { status: 'degraded' })
    const [file] = files
    t.match(await post(`${a.url}/get_file`, { ipfs_hash: `${file?.cid}` }), {
      body: { code: 'file_store_unreachable' },
    })
    const [last] = files.slice(-1)
    if (last)
      t.equal(await digestOf(await b.node.readFile(last.cid, never)), await digestOf(Readable.from([last.content])))
  })
})

t.test('the REST API of a cluster belongs to a cluster', async (t) => {
  const rpc = await startFakeKuboRpc()
  t.teardown(() => rpc.close())
  // In the place of the cluster stands a daemon, which answers 500 to what it does not know.
  const store = createKuboFileStore({ url: rpc.url, cluster: rpc.url })
  t.teardown(() => store.close())
  t.match(await store.health(), { state: 'degraded', detail: /It says: 500/ })
  await t.rejects(store.add(keystream(10, 'accepted')), { code: 'file_store_failed' }, 'pinned, but by nobody known')
  const cluster = new URL('http://127.0.0.1:9094')
  await t.rejects(openFileStore('embedded', { folder: t.testdir(), cluster }), { code: 'config_invalid' })
})
