import { rename } from 'node:fs/promises'
import { loadNetwork } from '../config/load-config.js'
import { EmrError } from '../errors.js'
import { isThere } from '../ledger/data-folder.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { openLedger } from '../ledger/ledger.js'
import { type RepairedChain, repairChain } from '../ledger/repair-chain.js'
import { decodeTransactionList, type Section } from '../protocol/block.js'
import { decodeTransaction } from '../protocol/transaction.js'
import { ledgerRules } from './ledger-rules.js'
import { forgetOwnKey } from './node-key.js'

export interface RepairOptions {
  /** `paper`, or a network file. */
  readonly network: string
  /** Lets the next start take or make another key: the node is another one from then on. */
  readonly newKey: boolean
  /** Clock, in ms since 1970. */
  now(): number
}

/**
 * Makes a data folder that does not open for `chain_damaged` open again, with all that can be read, and names
 * the rest: see ledger/repair-chain.ts. The next start fetches from peers what is missing. No node may use the folder.
 *
 * @throws EmrError `path_not_found` where there is no data folder, `index_damaged` if `state/` is damaged, `data_folder_in_use`,
 * `data_folder_version`, `disk_full`, `disk_failed`
 */
export async function repair(folder: string, { network: name, newKey, now }: RepairOptions): Promise<RepairedChain> {
  const network = loadNetwork(name)
  const paths = dataFolderPaths(folder)
  if (!(await isThere(paths.version))) {
    const what = (await isThere(paths.chain)) ? 'data_folder_version' : 'path_not_found'
    throw new EmrError(what, `There is no version.json in ${folder}.`)
  }
  const rules = {
    ...ledgerRules(network),
    isTransaction: (section: Section) => attempt(() => decodeTransaction(section.bytes)) !== undefined,
    listOf: (section: Section) => attempt(() => decodeTransactionList(section.bytes)),
  }
  const repaired = await repairChain(folder, rules, now())
  // Opening reads the new file from its first byte and makes the index.
  const ledger = await openLedger(folder, rules)
  try {
    if (newKey) {
      const time = new Date(now()).toISOString().replace(/[:.]/g, '-')
      if (await isThere(paths.nodeKey)) await rename(paths.nodeKey, `${paths.nodeKey}.former-${time}`)
      await forgetOwnKey(ledger.state.settings)
    }
  } finally {
    await ledger.close()
  }
  return repaired
}

const attempt = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch {
    // Whatever it is, it is not what was looked for.
    return undefined
  }
}
