import { createReadStream, createWriteStream } from 'node:fs'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { bytesOf, digestOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { type KuboDaemon, newSwarmKey, startKubo } from '../fixtures/kubo-daemon.js'
import { get, post, startNode, type TestNode, until } from '../fixtures/start-node.js'

/** Networks in which some nodes keep their files with real Kubo daemons, and others in the embedded store. */

const MIB = 1024 * 1024
const text = (words: string) => () => sourceOf(Buffer.from(words))
/** Content, and the CID that Kubo's own tests and documents give for it. */
const KNOWN: readonly (readonly [string, () => AsyncIterable<Uint8Array>, string])[] = [
  ['empty', text(''), 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH'],
  ['hello', text('hello world'), 'Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD'],
  ['line', text('hello world\n'), 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'],
  ['worlds', text('Hello Worlds!\n'), 'QmVr26fY1tKyspEJBniVhqxQeEjhF78XerGiqWAwraVLQH'],
  ['chunk', () => keystream(262_144, 'chunk-v0-seed'), 'QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE'],
  ['chunk-and-one', () => keystream(262_145, 'chunk-v0-seed'), 'QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ'],
  ['links-174', () => keystream(174 * 262_144, 'v0-seed'), 'QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2'],
  ['two-levels', () => keystream(174 * 262_144 + 1, 'v0-seed'), 'QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW'],
]

/** In the long form only (`npm run torture -- mixed`): as `ipfs add --only-hash` says. */
const LONG: typeof KNOWN = [
  ['256-MiB', () => keystream(268_435_456, 'hello world'), 'QmYePwRQdx4a7H2i6srBHyyvPRBhS7Rjpdukoi5ARVmNBU'],
]
const FILES = process.env.EMRCHAIN_LONG ? [...KNOWN, ...LONG] : KNOWN

interface File {
  readonly name: string
  readonly cid: string
  readonly content: () => AsyncIterable<Uint8Array>
}

/** A node over a daemon, and what it has come to say of the daemons of its peers. */
async function startOver(t: Test, daemon: KuboDaemon) {
  let met: (ids: Set<string>) => boolean = () => false
  let tell: () => void
  const reached = new Set<string>()
  const lines = {
    write(line: string) {
      const { msg, id, connected } = JSON.parse(line)
      if (msg === 'dialled the IPFS daemon of a peer' && connected) reached.add(id)
      if (met(reached)) tell()
    },
  }
  const node = await startNode(t, { ipfs: daemon.rpcUrl.href }, { logger: pino({ level: 'debug' }, lines) })
  const hasReached = (other: KuboDaemon) =>
    new Promise<void>((resolve) => {
      tell = resolve
      met = (ids) => ids.has(idOf(other))
      if (met(reached)) resolve()
    })
  return { node, hasReached }
}

const idOf = (daemon: KuboDaemon): string => JSON.parse(daemon.ipfs(['id', '--enc=json'])).ID

/** The paper's calls at the node of an author: store it, record it. The record waits for a block. */
async function publish(t: Test, { node, ...file }: File & { node: TestNode }): Promise<void> {
  await pipeline(Readable.from(file.content()), createWriteStream(join(node.options.fileRoot, file.name)))
  const stored = await post(`${node.url}/create_hash`, { file_path: file.name })
  t.match(stored, { status: 201, body: { 'IPFS Hash': { Hash: file.cid } } }, `${file.name}: CID`)
  const record = { user_id: 'x', ipfs_hash: file.cid, EHR_name: file.name }
  t.equal((await post(`${node.url}/add_transaction`, record)).status, 201)
}

/** The paper's calls at the node of a reader: find it by its name, get it. The bytes must be those of the author. */
async function retrieve(t: Test, { node, ...file }: File & { node: TestNode }): Promise<void> {
  const found = await post(`${node.url}/get_file_hash`, { name: file.name })
  t.match(found.body, { 'File info': { Hash: file.cid, Name: file.name } }, `${file.name}: found`)
  const got = await post(`${node.url}/get_file`, { ipfs_hash: file.cid })
  t.equal(got.status, 200, `${file.name}: ${JSON.stringify(got.body)}`)
  const { path } = got.body as { path: string }
  t.equal(basename(path), file.name)
  t.equal(await digestOf(createReadStream(path)), await digestOf(file.content()), `${file.name}: every byte`)
}

async function mine(nodes: readonly TestNode[]): Promise<void> {
  const [first] = nodes
  if (!first) return
  await until(nodes, () =>
    nodes.every(({ node }) => count(node.pendingTransactions()) === count(first.node.pendingTransactions())),
  )
  await get(`${first.url}/mine_block`)
  const height = first.node.tip().header.height
  await until(nodes, () => nodes.every(({ node }) => node.tip().header.height >= height))
}
const count = (items: Iterable<unknown>): number => [...items].length

async function connectAll(nodes: readonly TestNode[]): Promise<void> {
  for (const [i, node] of nodes.entries())
    await post(`${node.url}/connect_node`, { nodes: nodes.slice(i + 1).map(({ url }) => url) })
}

t.test('Kubo, embedded store and Kubo have the same bytes under the same CIDs', async (t) => {
  const swarmKey = newSwarmKey()
  const daemons = await Promise.all([startKubo(t, { swarmKey }), startKubo(t, { swarmKey })])
  const [one, two] = daemons
  if (!one || !two) return t.plan(0, 'There is no Kubo here.')
  const a = await startOver(t, one)
  const b = await startNode(t)
  const c = await startOver(t, two)
  const nodes = [a.node, b, c.node]
  await connectAll(nodes)
  await Promise.all([a.hasReached(two), c.hasReached(one)])

  for (const [i, [name, content, cid]] of FILES.entries()) {
    const author = nodes[i % nodes.length]
    if (author) await publish(t, { name, content, cid, node: author })
  }
  await mine(nodes)
  for (const [i, [name, content, cid]] of FILES.entries())
    for (const reader of nodes.filter((_, n) => n !== i % nodes.length))
      await retrieve(t, { name, content, cid, node: reader })
  for (const daemon of [one, two])
    for (const [, , cid] of FILES) t.match(daemon.ipfs(['pin', 'ls', '--type=recursive', cid]), cid)
})

t.test('daemons of peers give each other blocks; where they cannot, the node gives them', async (t) => {
  const swarmKey = newSwarmKey()
  const daemons = await Promise.all([
    startKubo(t, { swarmKey }),
    startKubo(t, { swarmKey }),
    startKubo(t, { swarmKey: newSwarmKey() }),
  ])
  const [one, two, stranger] = daemons
  if (!one || !two || !stranger) return t.plan(0, 'There is no Kubo here.')
  const author = await startOver(t, one)
  const near = await startOver(t, two)
  const apart = await startOver(t, stranger)
  const nodes = [author.node, near.node, apart.node]
  await connectAll(nodes)
  await near.hasReached(one)

  const files = ['first', 'second'].map((name) => ({ name, content: () => keystream(3 * MIB + 7, name) }))
  const published: File[] = []
  for (const { name, content } of files) {
    const cid = one.ipfs(
      ['add', '--only-hash', '-Q', '--cid-version=0', '--raw-leaves=false'],
      await bytesOf(content()),
    )
    published.push({ name, content, cid: cid.trim() })
  }
  for (const file of published) await publish(t, { ...file, node: author.node })
  await mine(nodes)

  const [first, second] = published
  if (!first || !second) throw new Error('There are two files.')
  await retrieve(t, { ...first, node: apart.node })
  t.notMatch(stranger.ipfs(['swarm', 'peers']), idOf(one), 'the daemon of another private network is not connected')

  await author.node.close()
  await apart.node.close()
  await retrieve(t, { ...second, node: near.node })
  t.match(two.ipfs(['swarm', 'peers']), idOf(one), 'its node was gone: only its daemon can have given it')
})
