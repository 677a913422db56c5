import { resolve } from 'node:path'
import { isEmrError } from '../../errors.js'
import { interruption, whenAborted } from '../interruption.js'
import { type LaunchedNetwork, launchNetwork } from './launch-network.js'
import { createNetworkLog } from './network-log.js'
import { readNodesFile } from './nodes-file.js'

export interface NetworkFlags {
  readonly data: string
  readonly ipfs?: string
  readonly mine?: true
  readonly network?: string
}

/**
 * Runs the nodes of a file until Ctrl-C or SIGTERM.
 *
 * @throws EmrError `config_invalid`, `node_ended`, `network_not_connected`
 */
export async function runNetwork(path: string | undefined, flags: NetworkFlags & { json: boolean }): Promise<void> {
  const file = readNodesFile(path)
  const log = createNetworkLog(file.nodes, flags)
  const signal = interruption({ ofReader: true })
  let network: LaunchedNetwork
  try {
    network = await launchNetwork({
      file,
      folder: resolve(flags.data),
      flags: startFlags(flags),
      environment: process.env,
      signal,
      onLine: log.line,
    })
  } catch (error) {
    // To be stopped while it starts is no failure.
    if (signal.aborted && isEmrError(error, 'cancelled')) return
    throw error
  }
  log.ready()
  await whenAborted(AbortSignal.any([signal, network.failure]))
  if (!network.failure.aborted) return network.stop()
  await network.stop().catch(() => undefined)
  throw network.failure.reason
}

const startFlags = ({ ipfs, mine, network }: NetworkFlags): string[] => [
  ...(ipfs === undefined ? [] : ['--ipfs', ipfs]),
  ...(mine ? ['--mine'] : []),
  ...(network === undefined ? [] : ['--network', network]),
]
