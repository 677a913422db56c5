/**
 * What is asked of the chain file without reading it: which blocks there are, which of them are the
 * main chain, where a transaction stands, which records have a label. All of it is made again from
 * the chain file at any time.
 */
import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import {
  type BlockEntry,
  decodeBlockEntry,
  encodeBlockEntry,
  type IndexedBlock,
  type LookupKey,
} from './block-entry.js'
import { readState, resultsAt, type StateChange, type StateReader, stageState, undoAt } from './contract-rows.js'
import type { Database, DatabaseOptions, Writes } from './database.js'
import { joinKey, keyAfter } from './keys.js'
import { INDEX_VERSION, indexPrefix } from './layout.js'
import {
  addLookups,
  allPositions,
  type ChainPosition,
  type Match,
  type NewestOptions,
  newestPositions,
  removeLookups,
} from './lookup-table.js'
import {
  decodeMainChainBlock,
  encodeMainChainBlock,
  heightKey,
  idOfMainChainBlock,
  type MainChainBlock,
} from './main-chain-row.js'
import { equalCids } from './section.js'
import { stateHashOf } from './state-hash.js'
import {
  addTransactions,
  type Contained,
  holdersOf,
  readTransactions,
  removeTransactions,
} from './transaction-table.js'

/** One step of the index; it is made whole or not at all, and no reader sees half of it. */
export interface IndexChange {
  /** Blocks that are new in the chain file, parents first. */
  readonly add?: readonly IndexedBlock[]
  /** Blocks that leave the main chain, tip first. */
  readonly disconnect?: readonly IndexedBlock[]
  /** Blocks that enter the main chain, parents first. They are known already or in `add`. */
  readonly connect?: readonly IndexedBlock[]
  /** Offset in the chain file up to which the index is complete after the change. */
  readonly end: number
}

export interface ChainIndex {
  /** Offset in the chain file up to which the index knows every block. */
  readonly end: number
  /** Whether the chain file has blocks behind `end`. */
  isBehind(fileLength: number): boolean
  tip(): BlockEntry | undefined
  block(id: CID): BlockEntry | undefined
  /** The main-chain block at this height. */
  blockAt(height: number): BlockEntry | undefined
  /** The blocks of the main chain from one height to another, both included, as far as it goes; none where `from` is above it. */
  mainChain(from: number, to: number): MainChainBlock[]
  isOnMainChain(block: Pick<BlockEntry, 'id' | 'height'>): boolean
  /** Every block of every branch that holds the transaction. */
  appearances(transaction: CID): Contained[]
  /** Where the main chain holds the transaction. */
  confirmation(transaction: CID): Match | undefined
  /** Records of the main chain with this label, newest first. */
  newest(label: LookupKey, options: NewestOptions): Match[]
  /** The same without a limit, read page by page. */
  matches(label: LookupKey): Iterable<Match>
  /** Blocks in the chain file that are not on the main chain. */
  staleBlocks(): BlockEntry[]
  /** The state of the contract after the tip. */
  readonly contract: StateReader
  /** Result codes of the main chain's block at this height; undefined only where all of them are 0. */
  resultsAt(height: number): Uint8Array | undefined
  /** What to write over the contract's state after the main chain's block at this height to have that before it. */
  undoAt(height: number): StateChange[]
  /** A digest of all that the index says of the main chain: see state-hash.ts. */
  stateHash(): Promise<string>
  /** Adds a block and makes it the tip. */
  connect(block: IndexedBlock, end: number): void
  /** Takes the tip off the main chain. */
  disconnect(block: IndexedBlock): void
  switchTo(change: IndexChange): void
  /** Removes stale blocks again, whose bytes are about to be cut from the chain file. */
  forget(blocks: readonly IndexedBlock[], end: number): void
  close(): Promise<void>
}

const blockKey = (id: CID): Uint8Array => joinKey(indexPrefix.block, id.bytes)
const staleKey = (id: CID): Uint8Array => joinKey(indexPrefix.stale, id.bytes)
const progressKey = Uint8Array.of(indexPrefix.progress)

const nothing = new Uint8Array(0)

const invariant = (holds: boolean, detail: string): void => {
  if (!holds) throw new EmrError('internal', detail)
}

const addBlock = (writes: Writes, block: IndexedBlock): void => {
  const { entry } = block
  writes.put(blockKey(entry.id), encodeBlockEntry(entry))
  writes.put(staleKey(entry.id), nothing)
  addTransactions(writes, block)
}

const connectBlock = (writes: Writes, { entry, transactions }: IndexedBlock): void => {
  const { height } = entry
  writes.put(heightKey(height), encodeMainChainBlock(entry))
  writes.remove(staleKey(entry.id))
  for (const [position, transaction] of transactions.entries()) addLookups(writes, { height, position }, transaction)
}

const disconnectBlock = (writes: Writes, { entry, transactions }: IndexedBlock): void => {
  const { height } = entry
  writes.remove(heightKey(height))
  writes.put(staleKey(entry.id), nothing)
  for (const [position, transaction] of transactions.entries()) {
    removeLookups(writes, { height, position }, transaction)
  }
}

const forgetBlock = (writes: Writes, block: IndexedBlock): void => {
  writes.remove(blockKey(block.entry.id))
  writes.remove(staleKey(block.entry.id))
  removeTransactions(writes, block)
}

/**
 * How the database of an index is opened. There are six rows with a key alone for a record, and a check of two bytes finds all
 * but one in 65,536 that were altered; what they lead to has checks of its own.
 */
export const indexDatabase = (folder: string, owner: string): DatabaseOptions => ({
  folder,
  durable: false,
  owner,
  version: INDEX_VERSION,
  emptyCheckLength: 2,
})

/**
 * The index in an open database.
 * @param start offset of the first block in the chain file, for an index that is empty
 */
export const createChainIndex = (database: Database, start: number): ChainIndex => {
  let end = start
  let tip: BlockEntry | undefined

  const block = (id: CID): BlockEntry | undefined => {
    const bytes = database.get(blockKey(id))
    return bytes && decodeBlockEntry(id, bytes)
  }
  /** A block that the index itself names must be there. */
  const namedBlock = (id: CID): BlockEntry => {
    const entry = block(id)
    if (!entry) throw database.condemn()
    return entry
  }
  /** The row of a height up to the tip. */
  const mainChainRow = (height: number): Uint8Array => {
    const row = database.get(heightKey(height))
    if (!row) throw database.condemn()
    return row
  }
  const blockAt = (height: number): BlockEntry | undefined => {
    if (!tip || height < 0 || height > tip.height) return undefined
    return namedBlock(idOfMainChainBlock(mainChainRow(height)))
  }
  const isOnMainChain = ({ id, height }: Pick<BlockEntry, 'id' | 'height'>): boolean =>
    tip !== undefined && height <= tip.height && equalCids(idOfMainChainBlock(mainChainRow(height)), id)

  const mainChainBlock = (height: number): MainChainBlock => decodeMainChainBlock(height, mainChainRow(height))
  const mainChain = (from: number, to: number): MainChainBlock[] => {
    const last = Math.min(to, tip?.height ?? -1)
    if (from > last) return []
    const rows = database.rows({ start: heightKey(from), end: heightKey(last + 1) })
    if (rows.length !== last - from + 1) throw database.condemn()
    return rows.map(({ value }, at) => decodeMainChainBlock(from + at, value))
  }
  /** What reads matches that are asked for together: the rows of the one before are not read again. */
  const readMatches = (): ((place: ChainPosition) => Match) => {
    const transactionAt = readTransactions(database)
    let block: MainChainBlock | undefined
    return ({ height, position }) => {
      if (block?.height !== height) block = mainChainBlock(height)
      return { ...transactionAt(block.offset, position), time: block.time }
    }
  }
  const matchAt = (place: ChainPosition): Match => readMatches()(place)

  const switchTo = ({ add = [], disconnect = [], connect = [], end: newEnd }: IndexChange): void => {
    let top = tip
    const leaving = new Map(disconnect.map(({ entry }) => [entry.id.toString(), entry]))
    for (const { entry } of disconnect) {
      invariant(top !== undefined && equalCids(top.id, entry.id), 'Only the tip can leave the main chain.')
      top = leaving.get(entry.parent.toString()) ?? block(entry.parent)
    }
    invariant(leaving.size === disconnect.length, 'A block leaves the main chain once.')
    for (const { entry } of connect) {
      const fits = top ? equalCids(entry.parent, top.id) && entry.height === top.height + 1 : entry.height === 0
      invariant(fits, 'Only a child of the tip can enter the main chain.')
      top = entry
    }
    const staged = stageState(database)
    for (const { entry } of disconnect) staged.disconnect(entry.height)
    for (const { entry, apply } of connect) if (apply) staged.connect(entry.height, apply)
    database.writeNow((writes) => {
      for (const one of add) addBlock(writes, one)
      for (const one of disconnect) disconnectBlock(writes, one)
      for (const one of connect) connectBlock(writes, one)
      for (const { key, value } of staged.writes()) {
        if (value) writes.put(key, value)
        else writes.remove(key)
      }
      writes.put(progressKey, encode([newEnd, top?.id.bytes ?? null]))
    })
    tip = top
    end = newEnd
  }

  const progress = database.get(progressKey)
  if (progress) {
    const [knownEnd, tipId] = decode<[number, Uint8Array | null]>(progress)
    end = knownEnd
    tip = tipId ? namedBlock(CID.decode(tipId)) : undefined
  }

  return {
    get end() {
      return end
    },
    isBehind: (fileLength) => end < fileLength,
    tip: () => tip,
    block,
    blockAt,
    mainChain,
    isOnMainChain,
    appearances: (transaction) => holdersOf(database, transaction),
    confirmation(transaction) {
      for (const found of holdersOf(database, transaction)) {
        const { block: id, height } = found
        if (isOnMainChain({ id, height })) return { ...found, time: mainChainBlock(height).time }
      }
      return undefined
    },

    newest: (label, options) => newestPositions(database, label, options).map(readMatches()),
    *matches(label) {
      for (const position of allPositions(database, label)) yield matchAt(position)
    },

    staleBlocks() {
      const prefix = Uint8Array.of(indexPrefix.stale)
      return database
        .rows({ start: prefix, end: keyAfter(prefix) })
        .map(({ key }) => namedBlock(CID.decode(key.subarray(prefix.length))))
    },

    contract: readState(database),
    resultsAt: (height) => resultsAt(database, height),
    undoAt: (height) => undoAt(database, height),

    stateHash: () => stateHashOf({ database, tip: () => tip, block, isOnMainChain, matchAt }),

    connect: (one, newEnd) => switchTo({ add: [one], connect: [one], end: newEnd }),
    disconnect: (one) => switchTo({ disconnect: [one], end }),
    switchTo,

    forget(blocks, newEnd) {
      for (const { entry } of blocks) invariant(!isOnMainChain(entry), 'A block of the main chain is not forgotten.')
      database.writeNow((writes) => {
        for (const one of blocks) forgetBlock(writes, one)
        writes.put(progressKey, encode([newEnd, tip?.id.bytes ?? null]))
      })
      end = newEnd
    },

    close: () => database.close(),
  }
}
