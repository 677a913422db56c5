import type { SignedTransaction } from '../protocol/transaction.js'

/** How many transactions are remembered after a block took them, and how many of their bytes. */
export const DEFAULT_RECENT_LIMITS = { transactions: 8_192, bytes: 8 * 1024 * 1024 }

/** What is left of each when one is reached. */
const AFTER_EVICTION = 7 / 8

/**
 * Transactions that blocks took in a moment ago. Peers ask for them, and other blocks hold them, before the nodes
 * agree; they need not be read from disk for that. The oldest are forgotten.
 */
export interface Recent {
  add(key: string, transaction: SignedTransaction): void
  get(key: string): SignedTransaction | undefined
}

export function createRecent(limits = DEFAULT_RECENT_LIMITS): Recent {
  const kept = new Map<string, SignedTransaction>()
  let bytes = 0

  function remove(key: string): void {
    bytes -= kept.get(key)?.bytes.length ?? 0
    kept.delete(key)
  }

  return {
    get: (key) => kept.get(key),
    add(key, transaction) {
      // A Map keeps the order in which keys were added: taken in again, it moves behind the others.
      remove(key)
      kept.set(key, transaction)
      bytes += transaction.bytes.length
      if (kept.size <= limits.transactions && bytes <= limits.bytes) return
      // Many at once: to find the first key a Map goes past all that were removed before it.
      for (const oldest of kept.keys()) {
        if (kept.size <= limits.transactions * AFTER_EVICTION && bytes <= limits.bytes * AFTER_EVICTION) return
        remove(oldest)
      }
    },
  }
}
