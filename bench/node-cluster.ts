import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'undici'
import { SMALL_YOUNG_GENERATION } from '#emrchain/cli/young-generation.js'
import { parseChainId } from '#emrchain/protocol/cid.js'
import type { NetworkFile } from '#emrchain/protocol/network-parameters.js'
import { type NodeProcess, startNodeProcess } from '../test/fixtures/node-process.js'
import { hashName } from './chain-tail.js'

/** A node, as a process of its own, of some that are connected with each other. */
export interface ClusterNode extends NodeProcess {
  /** Its data folder. */
  readonly data: string
  /** What it counts of its connections, for `readTraffic`. */
  readonly trafficFile: string
  /** When each block became part of its main chain, in ms since 1970, by `hashName`; on its disk by then. */
  readonly blocks: ReadonlyMap<string, number>
}

export interface ClusterOptions {
  readonly folder: string
  readonly network: NetworkFile
  /** Options of each node by the names of their variables, in order: as many nodes as there are. */
  readonly nodes: readonly Readonly<Record<string, string>>[]
  /** Hears of each block at each node. */
  readonly onBlock?: (node: number, block: string) => void
  /** Flags of Node.js for the nodes, such as that for a profile. */
  readonly flags?: (node: number) => readonly string[]
}

/** Nodes on this machine, each connected with each. */
export async function startNodeCluster(
  options: ClusterOptions,
): Promise<{ nodes: ClusterNode[]; end(): Promise<void> }> {
  const { folder, network } = options
  mkdirSync(folder, { recursive: true })
  const networkFile = join(folder, 'network.json')
  writeFileSync(networkFile, JSON.stringify(network))
  const nodes: ClusterNode[] = []
  const end = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.end('SIGTERM')))
  }
  try {
    for (const [at, given] of options.nodes.entries()) {
      const data = join(folder, `node-${at}`)
      const trafficFile = `${data}.traffic`
      const blocks = new Map<string, number>()
      const reporter = new URL('./report-traffic.js', import.meta.url).href
      const process = await startNodeProcess(
        { DATA: data, NETWORK: networkFile, LOG_LEVEL: 'info', TRAFFIC_FILE: trafficFile, ...given },
        ['--import', reporter, SMALL_YOUNG_GENERATION, ...(options.flags?.(at) ?? [])],
        (line) => {
          const block = newTip(line)
          if (!block) return
          blocks.set(block.name, block.at)
          options.onBlock?.(at, block.name)
        },
      )
      nodes.push({ ...process, data, trafficFile, blocks })
    }
    for (const [at, node] of nodes.entries()) await connect(node, nodes.slice(at + 1))
    return { nodes, end }
  } catch (error) {
    await end()
    throw error
  }
}

async function connect(node: ClusterNode, others: readonly ClusterNode[]): Promise<void> {
  if (others.length === 0) return
  const answer = await request(new URL('/connect_node', node.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ nodes: others.map(({ url }) => url) }),
  })
  await answer.body.dump()
  if (answer.statusCode !== 201) throw new Error(`The nodes were not connected: ${answer.statusCode}.`)
}

/** The block of which a line of the log says that it is the new tip, and when that was. Other warnings are passed on. */
function newTip(line: string): { name: string; at: number } | undefined {
  const said: unknown = JSON.parse(line)
  if (typeof said !== 'object' || said === null || !('msg' in said && 'time' in said)) return undefined
  if (said.msg === 'new tip' && 'block' in said) {
    return { name: hashName(parseChainId(String(said.block)).bytes.subarray(4)), at: Number(said.time) }
  }
  // 40 is a warning.
  if ('level' in said && Number(said.level) >= 40) process.stderr.write(`${line}\n`)
  return undefined
}
