import type { IdentifiedHeader } from '../protocol/header.js'
import type { SignedTransaction } from '../protocol/transaction.js'

/** Which block of the main chain it is in. */
export interface BlockPlace {
  readonly header: Pick<IdentifiedHeader, 'id' | 'height' | 'time'>
}

/** A transaction of the main chain. */
export interface RecordOnChain {
  readonly transaction: SignedTransaction
  readonly block: BlockPlace
  /** Blocks from its own to the tip, both counted. */
  readonly confirmations: number
}

/** Where a transaction stands. */
export type TransactionStatus =
  | { readonly state: 'pending'; readonly transaction: SignedTransaction }
  | ({ readonly state: 'confirmed' } & RecordOnChain)
