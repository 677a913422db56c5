// Nodes of a hospital's network, each a process of its own: `emrchain start` on a free port of this machine.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { foundNetwork as found } from '#emrchain/node/found-network.js'
import { verifyDataFolder } from '#emrchain/node/verify-data-folder.js'
import { paperNetwork } from '#emrchain/protocol/network-parameters.js'

/** @import { NodeClient } from '#emrchain/client/node-client.js' */
/** @import { Stage } from './story.js' */

/**
 * @typedef {object} RunningNode
 * @property {string} name
 * @property {string} url
 * @property {string} folder its chain, its files, its shares, its key
 * @property {NodeClient} client
 * @property {() => Promise<void>} stop lets it close
 * @property {() => Promise<void>} lose ends it at once, and removes its folder: a machine that burnt down
 */

const PROGRAM = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))
/** Of its log, what is shown when a node ends by itself. */
const KEPT_LINES = 20

/** Nothing that is set on this machine for other nodes. */
const environment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EMRCHAIN_')))

/** Every second hash is a block: here nothing depends on how hard it is to mine one. */
const EASY = { rule: 'fixed', target: '207fffff' }

/**
 * Writes the file of an open network: roles are what people say they are. No names are on its chain.
 *
 * @param {Stage} stage
 * @returns {Promise<string>} its path
 */
export async function openNetwork({ folder }) {
  const path = join(folder, 'network.json')
  const file = { ...paperNetwork, name: 'open', clearLabels: false, difficulty: EASY }
  await writeFile(path, JSON.stringify(file))
  return path
}

/**
 * Founds a network in which administrators decide who may act, as `emrchain found` does. The node called `first` is to be
 * started in its folder: it may mine before anybody is certified.
 *
 * @param {Stage} stage
 * @param {{ first: string, administrator: string }} who name of the first node; public key of the first administrator
 * @returns {Promise<string>} path of the network file
 */
export async function foundNetwork(stage, { first, administrator }) {
  const path = join(stage.folder, 'network.json')
  const terms = { name: 'clinic', administrators: [administrator], threshold: 1, now: Date.now() }
  const { file } = await found(folderOf(stage, first), terms)
  // The file is all that fixes a network; before the first block it can still be changed.
  await writeFile(path, JSON.stringify({ ...file, difficulty: EASY }))
  return path
}

/** @param {Stage} stage @param {string} name */
const folderOf = ({ folder }, name) => join(folder, name)

/**
 * Starts nodes of one network and connects each to the others.
 *
 * @template {string} Name
 * @param {Stage} stage
 * @param {readonly Name[]} names
 * @param {{ network: string, flags?: readonly string[] }} options `network` is a file, or `paper`
 * @returns {Promise<Readonly<Record<Name, RunningNode>>>}
 */
export async function startNodes(stage, names, { network, flags = [] }) {
  const nodes = await Promise.all(names.map((name) => startNode(stage, name, ['--network', network, ...flags])))
  for (const [at, { client, name }] of nodes.entries()) {
    if (at === 0) continue
    const { refused } = await client.connect(nodes.slice(0, at).map(({ url }) => url))
    for (const { node, reason } of refused) throw new Error(`${name} cannot connect to ${node}: ${reason}`)
  }
  const byName = Object.fromEntries(nodes.map((node) => [node.name, node]))
  return /** @type {Record<Name, RunningNode>} */ (byName)
}

/** @param {Stage} stage @param {string} name @param {readonly string[]} flags @returns {Promise<RunningNode>} */
async function startNode(stage, name, flags) {
  const folder = folderOf(stage, name)
  const place = ['--json', '--port', '0', '--data', folder, '--ipfs', 'embedded', '--mining-threads', '1']
  const child = spawn(process.execPath, [PROGRAM, 'start', ...place, '--log-level', 'warn', ...flags], {
    // It closes when the channel to this process does, however that ends.
    env: { ...environment(), EMRCHAIN_PARENT: '1' },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // Ctrl-C reaches all processes of a terminal; nodes are to end after the example, not with it.
    detached: true,
  })
  const { stdout, stderr } = child
  if (!stdout || !stderr) throw new Error('A process with pipes has both.')
  const exited = once(child, 'exit')
  /** @type {string[]} */
  const log = []
  createInterface(stderr).on('line', (line) => log.splice(0, log.length, ...log.slice(1 - KEPT_LINES), line))
  const stop = async () => {
    if (child.connected) child.disconnect()
    await exited
  }
  stage.atEnd(stop)

  const [line] = await Promise.race([once(createInterface(stdout), 'line'), exited.then(() => [])])
  if (typeof line !== 'string') throw new Error(`The node ${name} did not start:\n${log.join('\n')}`)
  const { url } = JSON.parse(line)
  return {
    ...{ name, url, folder, stop },
    client: createNodeClient(url),
    async lose() {
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true })
    },
  }
}

/** How long a node may take to get a block of another one, in ms. */
const ON_ITS_WAY = 20_000

/**
 * Resolves when a node has the tip that another one has now: blocks take a moment.
 *
 * @param {Stage} stage
 * @param {Pick<RunningNode, 'client'>} node
 * @param {Pick<RunningNode, 'client'>} other
 */
export async function caughtUp({ signal }, { client }, other) {
  const { tip } = await other.client.status({ signal })
  const isThere = new AbortController()
  const look = async () => {
    if ((await client.status({ signal })).tip.id === tip.id) isThere.abort()
  }
  const until = AbortSignal.any([signal, isThere.signal, AbortSignal.timeout(ON_ITS_WAY)])
  try {
    // It looks when nothing can be missed any more, and then at each new tip.
    const onListening = () => void look().catch(() => undefined)
    for await (const _ of client.events({ signal: until, onListening })) await look()
  } catch (error) {
    if (!isThere.signal.aborted) throw error
  }
  if (!isThere.signal.aborted) throw new Error('The node closed before it had the block.')
}

/** How often a node is asked for what it gives no event of, in ms. */
const PAUSE = 200

/**
 * Resolves when a node has the receipts of releases of a record that another one has now: custodians tell each other.
 *
 * @param {Stage} stage
 * @param {Pick<RunningNode, 'client'>} node
 * @param {Pick<RunningNode, 'client'>} other
 * @param {string} record
 */
export async function heardOfReleases({ signal }, { client }, other, record) {
  const wanted = (await other.client.releases(record, { signal })).length
  const end = performance.now() + ON_ITS_WAY
  for (;;) {
    const found = (await client.releases(record, { signal })).length
    if (found >= wanted) return
    if (performance.now() > end) throw new Error(`The node heard of ${found} releases of ${wanted}.`)
    await setTimeout(PAUSE, undefined, { signal })
  }
}

/**
 * Checks the chain of a node that is stopped, as `emrchain verify` does: each hash, each signature, each rule.
 *
 * @param {Pick<RunningNode, 'folder'>} node
 * @param {string} network
 */
export const verify = ({ folder }, network) => verifyDataFolder(folder, { network })
