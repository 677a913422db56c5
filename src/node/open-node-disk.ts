import type { CID } from 'multiformats/cid'
import type { NodeConfig } from '../config/node-config.js'
import type { FileStoreOptions } from '../files/choose-file-store.js'
import { dataFolderPaths } from '../ledger/layout.js'
import type { Ledger } from '../ledger/ledger.js'
import { openChosenStore } from './choose-store.js'
import { openCustodyDisk } from './create-custody.js'
import { loadOwnKey } from './node-key.js'

/** What is on the disk of a node beside its ledger, once its folder is its own. */
export async function openNodeDisk(
  config: NodeConfig,
  ledger: Ledger,
  genesis: CID,
  timeouts: FileStoreOptions['timeouts'],
) {
  const paths = dataFolderPaths(config.data)
  const signer = await loadOwnKey(paths.nodeKey, ledger.state.settings)
  const custodyDisk = await openCustodyDisk(config.data, genesis)
  try {
    const { settings } = ledger.state
    const { store: fileStore, choice, isNew } = await openChosenStore(config, paths.files, settings, timeouts)
    return { signer, fileStore, custodyDisk, choice, isNew }
  } catch (error) {
    await custodyDisk.shares.close()
    throw error
  }
}
