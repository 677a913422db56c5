/** The disk of the chain, as one thing: the chain file, its index and the node's durable state. */
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { Section } from '../protocol/block.js'
import { encodeCarSection } from '../protocol/car.js'
import type { BlockEntry } from './block-entry.js'
import type { BlockReader } from './chain-blocks.js'
import { chainDamaged } from './chain-damaged.js'
import { createChainFile, openChainFile } from './chain-file.js'
import { type ChainIndex, createChainIndex, indexDatabase } from './chain-index.js'
import { type ChainReader, createChainReader } from './chain-reader.js'
import { type ChainWriter, createChainWriter } from './chain-writer.js'
import { checkFormatVersion, isThere, makeDataFolder } from './data-folder.js'
import { lockDataFolder } from './data-lock.js'
import { createDatabase, type DatabaseOptions, openDatabase, removeDatabase } from './database.js'
import { type DataFolder, dataFolderPaths } from './layout.js'
import { createNodeState, type NodeState } from './node-state.js'
import { type Recovery, type RecoveryRules, recoverChain } from './recover-chain.js'
import { equalCids } from './section.js'

export interface LedgerOptions extends BlockReader {
  /** The block of the network parameters, the first of the file and its only root. */
  readonly parametersBlock: Section
  /** List and header of genesis. */
  readonly genesis: readonly Section[]
  /** Whether `a` is the better tip: more work, on equal work the lower id. */
  prefer(a: BlockEntry, b: BlockEntry): boolean
  /** How many blocks below the tip are checked at opening. */
  readonly checkBlocks?: number
}

/** As Bitcoin Core's -checkblocks. */
export const DEFAULT_CHECK_BLOCKS = 6

/** Reads that the index answers at once. */
type IndexReads = Pick<
  ChainIndex,
  | 'block'
  | 'blockAt'
  | 'isOnMainChain'
  | 'appearances'
  | 'confirmation'
  | 'newest'
  | 'matches'
  | 'staleBlocks'
  | 'contract'
  | 'resultsAt'
  | 'undoAt'
  | 'stateHash'
>

export interface Ledger extends IndexReads, ChainReader, ChainWriter {
  /** What was found and done at opening. */
  readonly recovery: Recovery
  /** Pending transactions, peers, settings and known files. */
  readonly state: Omit<NodeState, 'chain' | 'beginChain' | 'commitChain' | 'close'>
  /** The main chain's last block. */
  tip(): BlockEntry
  /** Waits for running writes, then makes everything durable and gives the folder free. */
  close(): Promise<void>
}

/** Things that are closed in reverse order, all of them, also when one fails. */
const createCloser = () => {
  const closers: (() => Promise<void>)[] = []
  return {
    add: (close: () => Promise<void>): void => void closers.push(close),
    async closeAll(): Promise<void> {
      let failed: { error: unknown } | undefined
      for (const close of closers.splice(0).reverse()) {
        await close().catch((error: unknown) => {
          failed ??= { error }
        })
      }
      if (failed) throw failed.error
    },
  }
}

/** Opens the state, or makes one if there is none. */
const openState = async (options: DatabaseOptions): Promise<NodeState> => {
  if (!(await isThere(options.folder))) await createDatabase(options)
  return createNodeState(await openDatabase(options))
}

/** Makes the chain file of a new folder. A state that knows a chain says that there was one. */
const makeChain = async (paths: DataFolder, state: NodeState, options: LedgerOptions): Promise<void> => {
  if (state.chain()) throw chainDamaged(0, 'The chain file is missing.')
  await createChainFile(paths.chain, [options.parametersBlock, ...options.genesis])
}

/**
 * Opens the data folder, or makes it: lock, version, files, recovery. See recover-chain.ts for what is
 * cut, rebuilt and refused.
 *
 * @throws data_folder_in_use, data_folder_version, data_folder_other_network
 * @throws chain_damaged if acknowledged bytes of the chain file are missing or altered
 * @throws index_damaged if the durable state is damaged (a damaged index is rebuilt)
 * @throws disk_full, disk_failed
 */
export const openLedger = async (folder: string, options: LedgerOptions): Promise<Ledger> => {
  const paths = dataFolderPaths(folder)
  const { parametersBlock, genesis, checkBlocks = DEFAULT_CHECK_BLOCKS } = options
  const rules: RecoveryRules = {
    isHeader: (section) => options.isHeader(section),
    describe: (sections) => options.describe(sections),
    prefer: (a, b) => options.prefer(a, b),
    checkBlocks,
  }
  const closer = createCloser()
  try {
    await makeDataFolder(paths)
    const lock = await lockDataFolder(paths)
    closer.add(() => lock.release())
    const owner = await checkFormatVersion(paths)

    const state = await openState({ folder: paths.state, durable: true, owner })
    closer.add(() => state.close())
    const isNew = !(await isThere(paths.chain))
    if (isNew) await makeChain(paths, state, options)
    const file = await openChainFile(paths.chain, { root: parametersBlock.cid })
    closer.add(() => file.close())

    const parametersLength = encodeCarSection(parametersBlock).length
    await file.read(parametersBlock.cid, file.start, parametersLength)

    const indexOptions = indexDatabase(paths.index, owner)
    let current: ChainIndex | undefined
    closer.add(async () => current?.close())
    const openIndex = async (): Promise<ChainIndex> => {
      current = createChainIndex(await openDatabase(indexOptions), file.start + parametersLength)
      return current
    }
    const renewIndex = async (): Promise<ChainIndex> => {
      const former = current
      current = undefined
      await former?.close()
      await removeDatabase(paths.index)
      failpoint('recovery.index.removed')
      await createDatabase(indexOptions)
      failpoint('recovery.index.made')
      return openIndex()
    }
    const left = await openIndex().catch((error: unknown) => {
      if (error instanceof EmrError && error.code === 'index_damaged') return error
      throw error
    })
    const { index, recovery } = await recoverChain({ file, state, index: left, renewIndex }, rules)

    const first = index.blockAt(0)
    const genesisId = genesis.at(-1)?.cid
    if (!first || !genesisId || !equalCids(first.id, genesisId)) throw new EmrError('data_folder_other_network')
    if (isNew) {
      // What a new folder lacks was not lost.
      recovery.stateLost = false
      recovery.indexRebuilt = null
    }
    const { finish, ...writer } = createChainWriter({ folder, file, index, state, reader: rules })
    return {
      recovery,
      state,
      tip() {
        const tip = index.tip()
        if (!tip) throw new EmrError('internal', 'The ledger has no tip.')
        return tip
      },
      block: index.block,
      blockAt: index.blockAt,
      isOnMainChain: index.isOnMainChain,
      appearances: index.appearances,
      confirmation: index.confirmation,
      newest: index.newest,
      matches: index.matches,
      staleBlocks: index.staleBlocks,
      contract: index.contract,
      resultsAt: index.resultsAt,
      undoAt: index.undoAt,
      stateHash: index.stateHash,
      ...createChainReader(file, index),
      ...writer,
      async close() {
        await finish()
        await closer.closeAll()
      },
    }
  } catch (error) {
    // The first error is the one to tell; what closing adds to it is its consequence.
    await closer.closeAll().catch(() => undefined)
    throw error
  }
}
