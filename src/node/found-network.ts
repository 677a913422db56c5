import { bytesToHex } from '@noble/hashes/utils.js'
import { makeDataFolder } from '../ledger/data-folder.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { hashResults } from '../protocol/block.js'
import { genesisHeader } from '../protocol/header.js'
import { type NetworkFile, paperNetwork, parseNetworkFile } from '../protocol/network-parameters.js'
import { loadNodeKey } from './node-key.js'

export interface FoundOptions {
  readonly name: string
  /** Ed25519 keys of further first administrators, in hexadecimal digits. */
  readonly administrators: readonly string[]
  readonly threshold: number
  /** Clock of this machine, in ms since 1970. */
  readonly now: number
}

export interface FoundedNetwork {
  readonly file: NetworkFile
  /** CID of genesis. */
  readonly genesis: string
  /** Key of the node of the data folder, in hexadecimal digits. */
  readonly nodeKey: string
}

/**
 * Parameters of a network with administrators and without clear labels. The key of the node of this data folder,
 * which is made where it has none, is one of the first administrators': it mines before anybody is certified.
 *
 * @throws EmrError `invalid_network`, `disk_failed`, `disk_full`
 */
export async function foundNetwork(folder: string, options: FoundOptions): Promise<FoundedNetwork> {
  const paths = dataFolderPaths(folder)
  const { name, administrators, threshold, now } = options
  const checked = (nodeKey: string): NetworkFile => {
    const keys = [...new Set([nodeKey, ...administrators])].sort()
    const time = new Date(now).toISOString()
    return { ...paperNetwork, name, time, clearLabels: false, administrators: { keys, threshold } }
  }
  // Everything is judged before a folder is made.
  parseNetworkFile(checked('0'.repeat(64)))
  await makeDataFolder(paths)
  const nodeKey = bytesToHex((await loadNodeKey(paths.nodeKey)).publicKey)
  const file = checked(nodeKey)
  const genesis = genesisHeader(parseNetworkFile(file), hashResults(new Uint8Array(0)))
  return { file, genesis: genesis.id.toString(), nodeKey }
}
