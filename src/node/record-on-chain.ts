import type { StoredBlock } from '../chain/chain-store.js'
import type { SignedTransaction } from '../protocol/transaction.js'

/** A transaction of the main chain. */
export interface RecordOnChain {
  readonly transaction: SignedTransaction
  readonly block: StoredBlock
  /** Blocks from its own to the tip, both counted. */
  readonly confirmations: number
}

/** Where a transaction stands. */
export type TransactionStatus =
  | { readonly state: 'pending'; readonly transaction: SignedTransaction }
  | ({ readonly state: 'confirmed' } & RecordOnChain)
