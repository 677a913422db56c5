import { join } from 'node:path'
import { EmrError } from '../../errors.js'
import { whenAborted } from '../interruption.js'
import { connectNodes } from './connect-nodes.js'
import { type NodeExit, type NodeProcess, startNodeProcess } from './node-process.js'
import type { NodeAddress, NodesFile } from './nodes-file.js'

/** How long the nodes may take to close before they are ended, in ms. */
const CLOSING_TIME = 20_000

export interface NetworkPlan {
  readonly file: Pick<NodesFile, 'nodes' | 'text'>
  /** Folder with one folder for each node, named after its port. */
  readonly folder: string
  /** Options of `emrchain start` that all nodes get, beside address and folder. */
  readonly flags: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  /** Whether the nodes are connected to each other; default true. */
  readonly connect?: boolean
  /** Ends the start. */
  readonly signal: AbortSignal
  /** Hears every line that a node writes. */
  onLine?(node: NodeAddress, line: string): void
}

/** Nodes that answer, each in its own process. */
export interface LaunchedNetwork {
  readonly urls: readonly string[]
  /** Aborts, with an EmrError `node_ended` as its reason, when a node ends that nobody stopped. */
  readonly failure: AbortSignal
  /** Closes every node and waits until its process is gone. @throws EmrError `node_ended` if one did not close cleanly */
  stop(): Promise<void>
}

/**
 * Starts every node of a nodes file and connects them to each other. No node outlives this process.
 *
 * @throws EmrError `node_ended` with the last lines of a node's log, `network_not_connected`, `cancelled`;
 * no process is left then
 */
export async function launchNetwork(plan: NetworkPlan): Promise<LaunchedNetwork> {
  const failure = new AbortController()
  let stopping = false
  const processes = plan.file.nodes.map((address) =>
    startNodeProcess(address, {
      flags: ['--data', join(plan.folder, String(address.port)), ...plan.flags],
      environment: childEnvironment(plan.environment),
      onLine: (line) => plan.onLine?.(address, line),
    }),
  )
  for (const node of processes) {
    node.exited.then((exit) => {
      if (!stopping) failure.abort(nodeEnded(node, exit))
    })
  }

  async function stop(): Promise<void> {
    stopping = true
    for (const node of processes) node.letGo()
    const killer = setTimeout(() => {
      for (const node of processes) node.kill()
    }, CLOSING_TIME)
    const exits = await Promise.all(processes.map(async (node) => ({ node, exit: await node.exited })))
    clearTimeout(killer)
    const unclean = exits.find(({ exit }) => exit.code !== 0)
    if (unclean) throw nodeEnded(unclean.node, unclean.exit)
  }

  const ended = AbortSignal.any([plan.signal, failure.signal])
  const urls = processes.map(({ address }) => address.url)
  try {
    await Promise.race([Promise.all(processes.map((node) => node.ready)), whenAborted(ended)])
    ended.throwIfAborted()
    if (plan.connect !== false) await connectNodes(plan.file, ended)
  } catch (error) {
    // What went wrong first is what counts; the nodes only have to be gone.
    await stop().catch(() => undefined)
    throw ended.aborted ? ended.reason : error
  }
  return { urls, failure: failure.signal, stop }
}

/** A passphrase is for the person's side; no node needs it. */
function childEnvironment({ EMRCHAIN_PASSPHRASE: _, ...environment }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return environment
}

function nodeEnded(node: NodeProcess, { code, signal }: NodeExit): EmrError {
  const how = signal ? `by ${signal}` : code === null ? 'before it began' : `with exit code ${code}`
  const lines = node.lastLines().map((line) => `\n  ${line}`)
  const log = lines.length > 0 ? ` The end of its log:${lines.join('')}` : ''
  return new EmrError('node_ended', `The node at ${node.address.url} ended ${how}.${log}`)
}
