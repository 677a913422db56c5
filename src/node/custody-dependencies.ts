import type { CID } from 'multiformats/cid'
import type { ReadState } from '../contract/state.js'
import type { SignedTransaction } from '../protocol/transaction.js'

/** Where a transaction stands. */
export type Standing =
  | { readonly state: 'pending'; readonly transaction: SignedTransaction }
  | {
      readonly state: 'confirmed'
      readonly transaction: SignedTransaction
      readonly block: { readonly header: { readonly time: number } }
      readonly confirmations: number
      /** Its result code (docs/protocol.md, "Results"). */
      readonly result: number
    }

/** The chain and what is pending, as a custodian needs it. Tip and state belong together within one turn. */
export interface CustodyChain {
  /** The contract's state at the tip. */
  contractState(): ReadState
  tip(): { readonly id: CID; readonly height: number; readonly time: number }
  isOnMainChain(block: CID): boolean
  /** A block of the main chain. */
  blockAt(
    height: number,
  ): Promise<{ readonly header: { readonly id: CID }; readonly transactions: readonly SignedTransaction[] } | undefined>
  /** In arrival order. */
  pending(): Iterable<SignedTransaction>
  /** Whether a transaction is pending or on the main chain. */
  isKnown(transaction: CID): boolean
  transaction(id: CID): Promise<Standing | undefined>
  /** Ids of the transactions of the main chain that name this file (bytes of its CID), newest first. */
  transactionsOfFile(file: Uint8Array): Iterable<CID>
  /** Ids of the transactions of the main chain that name this id. */
  transactionsAbout(id: Uint8Array): Iterable<CID>
  /** Durable when it resolves, and on its way to other nodes. @throws EmrError `transaction_known` among others */
  submitTransaction(bytes: Uint8Array): Promise<unknown>
}

/** A node as others know it: its identity on the chain and its current key. */
export interface KnownNode {
  readonly id: Uint8Array
  readonly key: Uint8Array
}

/** The other nodes. */
export interface OtherNodes {
  /** Asks a custodian for its view (custodian-view.ts). Rejects where it cannot be reached. */
  askView(node: KnownNode, question: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Hands a share to a custodian: what it answers (handover.ts), unchecked. Rejects where it cannot be reached. */
  handOver(node: KnownNode, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Whether at least one other node says that it has this transaction on disk, or on its chain. */
  isAcknowledged(transaction: SignedTransaction, signal: AbortSignal): Promise<boolean>
  /** Tells the others of a release. Resolves when those who are connected have answered; the others hear of it later. */
  announceRelease(receipt: Uint8Array): Promise<void>
}

/** The file store, for what an erasure destroys. `file` is the bytes of a CID. */
export interface ErasableFiles {
  holds(file: Uint8Array): Promise<boolean>
  /** Removes the ciphertext, unless it is needed (`isFileNeeded`). */
  destroy(file: Uint8Array): Promise<void>
}
