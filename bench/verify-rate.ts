import type { Verify } from '#emrchain/crypto/ed25519.js'
import { type SignedTransaction, transactionClaim } from '#emrchain/protocol/transaction.js'

/**
 * Signatures a second that one thread checks which does nothing else, with every key seen once before.
 *
 * @param authors that many of the first transactions have all keys among them
 */
export function verifyRate(transactions: readonly SignedTransaction[], verify: Verify, authors: number): number {
  const claims = transactions.map(transactionClaim)
  for (const { signature, message, key } of claims.slice(0, authors)) verify(signature, message, key)
  const before = performance.now()
  for (const { signature, message, key } of claims) {
    if (!verify(signature, message, key)) throw new Error('A signature does not hold.')
  }
  return (claims.length / (performance.now() - before)) * 1_000
}
