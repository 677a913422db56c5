import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { loadNetwork } from '../config/load-config.js'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { copyChain, copyState } from '../ledger/copy-ledger.js'
import { isThere, readFormatVersion } from '../ledger/data-folder.js'
import { inspectDatabase } from '../ledger/database-session.js'
import { syncFolder } from '../ledger/durable-file.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { openLedger } from '../ledger/ledger.js'
import {
  type BackUpOptions,
  type BackupManifest,
  copyDurably,
  damagedFilesOf,
  makeWhole,
  readManifest,
} from './back-up.js'
import { ledgerRules } from './ledger-rules.js'
import { loadNodeKey, loadOwnKey } from './node-key.js'
import { markRestored } from './restored-mark.js'
import { verifyDataFolder } from './verify-data-folder.js'

export interface Restored {
  readonly tip: BackupManifest['tip']
  readonly blocks: number
  readonly transactions: number
  readonly pending: number
  readonly files: number
  /** Files of the backup that are damaged or missing there, and so not in the data folder; a peer may have them. */
  readonly damagedFiles: readonly string[]
}

/**
 * Makes a data folder of a backup, in `data`, which must be empty or not there. Nothing of the backup is believed:
 * every block is checked by every rule from genesis, the tip is compared with that of the manifest,
 * every value of the state and every block of every file is checked. The index is made anew. A file that is not whole is
 * named and left out: the node's own records are worth having without it.
 *
 * @throws EmrError `folder_not_empty`, `backup_malformed`, `data_folder_version`, `data_folder_other_network`,
 * `chain_damaged`, `index_damaged`, `node_key_wrong`, `cancelled`, `disk_full`, `disk_failed`, and InvalidBlock; nothing is left then
 */
export async function restore(backup: string, data: string, options: BackUpOptions): Promise<Restored> {
  const { network: name, onProgress, signal } = options
  const network = loadNetwork(name)
  const manifest = await readManifest(backup)
  const from = dataFolderPaths(backup)
  const owner = await readFormatVersion(from)
  for (const path of [from.chain, from.state, from.nodeKey]) {
    if (!(await isThere(path))) throw new EmrError('backup_malformed', `${path} is missing.`)
  }
  // What lies still must be as it was closed; LMDB itself would not notice a changed byte.
  if ((await inspectDatabase(from.state)) !== 'intact')
    throw new EmrError('index_damaged', 'The state in the backup was altered.', { database: 'state' })
  const restored = await makeWhole(data, '.unfinished', async (partial) => {
    failpoint('restore.begin')
    const copy = dataFolderPaths(partial)
    const { length, tip } = await copyState(from, copy, owner)
    if (length !== manifest.chainBytes || tip.toString() !== manifest.tip.id)
      throw new EmrError('backup_malformed', 'Its state is not that of its backup.json.')
    await copyChain(from.chain, copy.chain, { root: network.cid, length, signal })
    await copyDurably(from.nodeKey, copy.nodeKey)
    await loadNodeKey(copy.nodeKey)
    await mkdir(copy.files, { mode: 0o700 })
    const damagedFiles: string[] = []
    for (const file of manifest.files) {
      const source = join(from.files, `${file}.car`)
      if (await isThere(source)) await copyDurably(source, join(copy.files, `${file}.car`))
      else damagedFiles.push(file)
    }
    await syncFolder(copy.files)
    failpoint('restore.copied')

    const verified = await verifyDataFolder(partial, {
      network: name,
      ...(onProgress ? { onProgress } : {}),
      ...(signal ? { signal } : {}),
    })
    const copied = manifest.files.filter((file) => !damagedFiles.includes(file))
    for (const file of await damagedFilesOf(copy.files, copied, signal)) {
      await rm(join(copy.files, `${file}.car`))
      damagedFiles.push(file)
    }
    await syncFolder(copy.files)
    const ledger = await openLedger(partial, ledgerRules(network))
    try {
      await loadOwnKey(copy.nodeKey, ledger.state.settings)
      const pending = [...ledger.state.pending()].length
      if (!ledger.tip().id.equals(tip) || pending !== manifest.pending)
        throw new EmrError('backup_malformed', 'It does not hold what its backup.json says.')
      await markRestored(ledger.state.settings)
    } finally {
      await ledger.close()
    }
    await rm(copy.lock, { force: true })
    failpoint('restore.checked')
    return {
      tip: manifest.tip,
      blocks: verified.blocks,
      transactions: verified.transactions,
      pending: manifest.pending,
      files: manifest.files.length - damagedFiles.length,
      damagedFiles: damagedFiles.sort(),
    }
  })
  failpoint('restore.renamed')
  return restored
}
