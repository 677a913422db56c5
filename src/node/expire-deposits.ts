import type { CID } from 'multiformats/cid'
import type { Shares } from '../ledger/shares.js'
import type { CustodyChain } from './custody-dependencies.js'
import { whereabouts } from './records-of.js'

export interface ExpiryRules {
  /** How long a deposit waits for its record, in ms. */
  readonly lifetime: number
  /** So seldom is looked, in ms: what goes on one day goes under one new key. */
  readonly every: number
}
const DAY = 24 * 3_600_000
export const DEFAULT_EXPIRY_RULES: ExpiryRules = { lifetime: 7 * DAY, every: DAY }

export interface ExpireDepositsDependencies {
  readonly genesis: CID
  readonly chain: CustodyChain
  readonly shares: Pick<Shares, 'get' | 'waitingBefore' | 'claim' | 'erase'>
  now(): number
}

/**
 * Destroys deposits whose record has not come in time, by this node's clock and by the chain: a node whose clock is ahead,
 * or whose chain lacks what came while it was down, destroys nothing for it. One whose record was on the chain before the deposit was here, as
 * when a patient brings it again, stays; so does one whose record is pending.
 */
export function createExpireDeposits({ genesis, chain, shares, now }: ExpireDepositsDependencies, rules: ExpiryRules) {
  let lookedAt = Number.NEGATIVE_INFINITY

  return async (): Promise<void> => {
    // A clock that was set back must not put this off.
    if (Math.abs(now() - lookedAt) < rules.every) return
    const expired: Uint8Array[] = []
    for (const id of shares.waitingBefore(Math.min(now(), chain.tip().time) - rules.lifetime)) {
      const file = shares.get(id)?.file
      const place = file && (await whereabouts(chain, genesis, { id, file }))
      if (place === 'on the chain') await shares.claim(id)
      else if (place === 'nowhere') expired.push(id)
    }
    if (expired.length > 0) await shares.erase(expired)
    lookedAt = now()
  }
}
