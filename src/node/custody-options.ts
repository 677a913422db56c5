import { DEFAULT_ERASURE_RULES, type ErasureRules } from './erasure-sweep.js'
import { DEFAULT_EXPIRY_RULES, type ExpiryRules } from './expire-deposits.js'
import type { KeeperLimits } from './share-keeper.js'

/** The limits of a custodian, and when it destroys something. */
export interface CustodyOptions extends KeeperLimits {
  readonly erasure: ErasureRules
  readonly expiry: ExpiryRules
  /** Releases that are under way: in all, of one key, and of the records of one patient (release-slots.ts). */
  readonly maxReleases: number
  readonly maxReleasesOfKey: number
  readonly maxReleasesOfPatient: number
}

export const DEFAULT_CUSTODY_OPTIONS: CustodyOptions = {
  erasure: DEFAULT_ERASURE_RULES,
  expiry: DEFAULT_EXPIRY_RULES,
  maxShares: 1_000_000,
  maxWaiting: 256,
  maxReleases: 64,
  maxReleasesOfKey: 4,
  maxReleasesOfPatient: 8,
}
