import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pino from 'pino'
import t from 'tap'
import { loadConfig } from '#emrchain/config/load-config.js'
import { type ServedNode, serveNode } from '#emrchain/http/serve-node.js'
import { startKubo } from '../fixtures/kubo-daemon.js'

/** The paper's whole flow in a mixed network: one node over a real Kubo daemon, one over the embedded store. */
t.test('a file goes from Kubo through the chain to an embedded store, and back', async (t) => {
  const daemon = await startKubo(t)
  if (!daemon) return
  const running: ServedNode[] = []
  t.teardown(() => Promise.all(running.map((node) => node.close())))
  const folder = t.testdir()
  const start = async (name: string, ipfs: string): Promise<ServedNode> => {
    const config = loadConfig({ port: 0, data: join(folder, name), ipfs, fileRoot: folder }, {})
    const node = await serveNode(config, { logger: pino({ level: 'silent' }) })
    running.push(node)
    return node
  }
  const post = async (node: ServedNode, path: string, body: object) => {
    const answer = await fetch(node.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: (await answer.json()) as Record<string, never> }
  }
  const over = { kubo: await start('kubo', daemon.rpcUrl.href), embedded: await start('embedded', 'embedded') }
  const health = (await (await fetch(`${over.kubo.url}/healthz`)).json()) as { fileStore: { kind: string } }
  t.equal(health.fileStore.kind, 'kubo')
  await post(over.kubo, '/connect_node', { nodes: [over.embedded.url] })

  for (const [from, to] of [
    [over.kubo, over.embedded],
    [over.embedded, over.kubo],
  ] as const) {
    const bytes = randomBytes(600_000)
    const name = from === over.kubo ? 'MRI.pdf.aes' : 'CT.pdf.aes'
    await writeFile(join(folder, name), bytes)
    const stored = await post(from, '/create_hash', { file_path: name })
    t.equal(stored.status, 201)
    const { Hash } = stored.body['IPFS Hash'] as unknown as { Hash: string }
    t.equal(daemon.ipfs(['add', '--only-hash', '-Q', '--cid-version=0', '--raw-leaves=false'], bytes).trim(), Hash)
    t.equal((await post(from, '/add_transaction', { user_id: 'x', ipfs_hash: Hash, EHR_name: name })).status, 201)
    t.equal((await fetch(`${from.url}/mine_block`)).status, 200)
    t.match((await post(to, '/get_file_hash', { name })).body, { 'File info': { Hash, Name: name } })
    const got = await post(to, '/get_file', { ipfs_hash: Hash })
    t.match(got.body, { message: 'The File has Retrieved at Your Local Directory', size: bytes.length })
    t.ok((await readFile(String(got.body.path))).equals(bytes), 'byte for byte')
  }
  await daemon.stop()
  const down = await post(over.kubo, '/create_hash', { file_path: 'MRI.pdf.aes' })
  t.match(down, { status: 502, body: { code: 'file_store_unreachable' } })
  t.match(await (await fetch(`${over.kubo.url}/healthz`)).json(), { status: 'degraded' })
})
