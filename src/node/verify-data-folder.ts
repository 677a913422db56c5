import { stat } from 'node:fs/promises'
import { type VerifiedChain, verifyChain } from '../chain/verify-chain.js'
import { loadNetwork } from '../config/load-config.js'
import { EmrError } from '../errors.js'
import { blockRuns } from '../ledger/chain-blocks.js'
import { chainDamaged } from '../ledger/chain-damaged.js'
import { openChainFile } from '../ledger/chain-file.js'
import { lockDataFolder } from '../ledger/data-lock.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { type Block, hashResults } from '../protocol/block.js'
import { isHeaderSection } from '../protocol/car.js'
import { genesisHeader } from '../protocol/header.js'
import { storedBlockFrom } from './block-facts.js'
import { createSignatureRules } from './signature-rules.js'

export interface VerifiedFolder extends VerifiedChain {
  /** Length of the chain file in bytes. */
  readonly bytes: number
  /** Bytes of a block that was never finished; the next start cuts them. */
  readonly unfinishedBytes: number
}

export interface VerifyFolderOptions {
  /** `paper`, or a network file. */
  readonly network: string
  /** Bytes of the chain file that have been checked, and its length. */
  readonly onProgress?: (checked: number, length: number) => void
  readonly signal?: AbortSignal
}

/**
 * Checks a chain file from its first byte: every block against its CID, and every rule from genesis on.
 * Neither the index nor any other database is looked at, and nothing is changed. No node may use the
 * folder meanwhile.
 *
 * @throws EmrError `data_folder_in_use`, `data_folder_other_network`, `chain_damaged`, `cancelled`, and
 * InvalidBlock with the code of a rule that a block breaks
 */
export async function verifyDataFolder(folder: string, options: VerifyFolderOptions): Promise<VerifiedFolder> {
  const network = loadNetwork(options.network)
  const genesis = genesisHeader(network, hashResults(new Uint8Array(0)))
  const paths = dataFolderPaths(folder)
  try {
    await stat(paths.chain)
  } catch (cause) {
    throw new EmrError('path_not_found', `There is no chain file in ${folder}.`, {}, { cause })
  }
  const lock = await lockDataFolder(paths)
  try {
    const file = await openChainFile(paths.chain, { root: network.cid })
    try {
      const scan = file.scan(file.start)
      async function* blocks(): AsyncGenerator<Block> {
        for await (const run of blockRuns(scan, isHeaderSection)) {
          if (options.signal?.aborted) throw new EmrError('cancelled')
          const end = run.at(-1)
          if (end) options.onProgress?.(end.offset + end.length, file.length)
          // The network parameters come first and belong to genesis' run; genesis follows from them.
          if (end?.cid.equals(genesis.id)) continue
          yield storedBlockFrom(run)
        }
      }
      const verified = await verifyChain(blocks(), { network, genesis, rules: createSignatureRules(), now: Date.now })
      const end = scan.end
      if (!end || end.kind === 'damaged') throw chainDamaged(end?.offset ?? 0)
      return { ...verified, bytes: file.length, unfinishedBytes: file.length - end.offset }
    } finally {
      await file.close()
    }
  } finally {
    await lock.release()
  }
}
