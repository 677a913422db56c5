import { createSerial } from '../chain/serial.js'
import { rulesWithVerdicts } from '../consensus/checked-signatures.js'
import type { SignatureClaim } from '../protocol/signatures-of-others.js'
import {
  checkSignatures,
  type SignatureRules,
  type SignedTransaction,
  signatureClaims,
} from '../protocol/transaction.js'
import type { SignaturePool } from './signature-pool.js'
import { isGoodQuickly } from './signature-rules.js'

/** Fewer are looked at where they are: to hand them over takes as long. */
const LEAST_HANDED_OVER = 4
/** How many a thread gets at once: what is good goes on to the disk before the rest of its turn. */
const HANDED_OVER_AT_ONCE = 16

/** One whose signatures are to be looked at. */
interface Arrival {
  readonly transaction: SignedTransaction
  readonly claims: readonly SignatureClaim[]
  resolve(judged?: Promise<void>): void
  reject(error: unknown): void
}

/**
 * What looks at the keys and signatures of transactions that come one by one. Those of one turn of the event loop go to
 * another thread together, so that the main thread does not spend its time on them; those that come meanwhile are the next
 * to go. What is not good beyond doubt, a forged signature as a rule, takes thirty times as long: one at a time is judged
 * by the full rule, beside all others.
 *
 * What it gives resolves when all of a transaction's signatures hold.
 *
 * @throws EmrError `transaction_bad_key`, `transaction_bad_signature`; `closing`, `internal` as the pool
 */
export function createTransactionChecks(
  rules: SignatureRules,
  pool: Pick<SignaturePool, 'check' | 'sift'>,
): (transaction: SignedTransaction) => Promise<void> {
  const oneByOne = createSerial()
  const gathered: Arrival[] = []
  let isBusy = false

  async function checkGathered(): Promise<void> {
    while (gathered.length > 0) await checkTogether(gathered.splice(0, HANDED_OVER_AT_ONCE))
    isBusy = false
  }

  async function checkTogether(arrivals: readonly Arrival[]): Promise<void> {
    const claims = arrivals.flatMap((arrival) => arrival.claims)
    try {
      const isGood = claims.length < LEAST_HANDED_OVER ? claims.map(isGoodHere) : await isGoodElsewhere(claims)
      let from = 0
      for (const arrival of arrivals) {
        const end = from + arrival.claims.length
        if (isGood.slice(from, end).every(Boolean)) arrival.resolve()
        else arrival.resolve(oneByOne(() => judge(arrival)))
        from = end
      }
    } catch (error) {
      for (const arrival of arrivals) arrival.reject(error)
    }
  }
  const isGoodHere = (claim: SignatureClaim): boolean => isGoodQuickly(rules, claim)
  const isGoodElsewhere = async (claims: readonly SignatureClaim[]): Promise<boolean[]> =>
    (await pool.sift(claims)).map((verdict) => verdict === 'good')

  async function judge({ transaction, claims }: Arrival): Promise<void> {
    checkSignatures(transaction, rulesWithVerdicts(rules, claims, await pool.check(claims)))
  }

  return (transaction) =>
    new Promise((resolve, reject) => {
      gathered.push({ transaction, claims: signatureClaims(transaction), resolve, reject })
      if (isBusy) return
      isBusy = true
      setImmediate(checkGathered)
    })
}
