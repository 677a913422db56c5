import type { Transaction } from '../protocol/transaction.js'

/**
 * What became of a transaction, one byte in the block's results (docs/protocol.md, "Results"). A
 * transaction without effect stays in its block with its code.
 */
export const resultCodes = { accepted: 0 } as const
export type ResultCode = (typeof resultCodes)[keyof typeof resultCodes]

/**
 * The contract's answer to one transaction. In an open network anyone may record a file under any
 * label, so a valid `record` always has effect.
 */
export function applyTransaction(transaction: Transaction): ResultCode {
  switch (transaction.kind) {
    case 'record':
      return resultCodes.accepted
  }
}

/** Result codes of a block's transactions in their order. */
export const applyTransactions = (transactions: readonly Transaction[]): Uint8Array =>
  Uint8Array.from(transactions, applyTransaction)
