import type { CID } from 'multiformats/cid'
import type { Change, ReadState } from '../contract/state.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import type { SignedTransaction } from '../protocol/transaction.js'

/** A block that is on disk, on whichever branch, and the work that is summed up in it. */
export interface StoredBlock extends SignedHeader {
  readonly work: bigint
  readonly transactionCount: number
}

/** A change of the main chain: from its tip back, then forward to another tip. */
export interface TipChange {
  /** Id of the new tip. It and its ancestors are on disk already. */
  readonly tip: CID
  /** Ids of transactions of the blocks that enter the main chain: they wait no longer. */
  readonly taken: readonly CID[]
  /** Transactions that only the leaving blocks held: they wait for a block again. */
  readonly returned: readonly SignedTransaction[]
}

/** What the chain needs of the disk. Reads of headers and places are synchronous: they come from an index. */
export interface ChainStore {
  tip(): StoredBlock
  /** A stored block of any branch, without its transactions. */
  stored(id: CID): StoredBlock | undefined
  /** Id of the main chain's block at this height. */
  idAt(height: number): CID | undefined
  /** Where the main chain holds a transaction. */
  placeOf(transaction: CID): { height: number; position: number } | undefined
  /** Ids of the stored blocks of all branches that hold a transaction. */
  holdersOf(transaction: CID): CID[]
  /** The contract's state after the tip. */
  readonly contract: ReadState
  /** What to write over the state after the main chain's block at this height to have the state before it. */
  undoAt(height: number): readonly Change[]
  /** The whole block, every part checked against its CID. */
  readBlock(id: CID): Promise<Block>
  /** Ids of the transactions of a block. */
  transactionIds(id: CID): Promise<CID[]>
  /** Appends blocks that have been checked, parents first. Durable when it resolves; the main chain stays as it is. */
  append(blocks: readonly Block[]): Promise<void>
  /**
   * Makes the change in one step: after a crash all of it holds or none. What it returns is pending on
   * disk, and what it takes in no longer is, when it resolves.
   */
  switchTip(change: TipChange): Promise<void>
}
