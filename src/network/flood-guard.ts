import { EmrError } from '../errors.js'

/** What a peer may cost this node for nothing: so much at once, and so much more a second. */
export interface FloodLimits {
  readonly atOnce: number
  readonly perSecond: number
}

/**
 * Headers that lead to no better chain. A node that has been on another branch announces some such; what it
 * gives when it is asked for headers has a limit of its own.
 */
export const LOW_HEADERS: FloodLimits = { atOnce: 1_000, perSecond: 2 }
/** Transactions that a peer announced and, asked for them, does not have. A block counts for a hundred. */
export const EMPTY_WORDS: FloodLimits = { atOnce: 2_000, perSecond: 10 }
export const EMPTY_BLOCK = 100
/** Of how many peers it is remembered. */
const MAX_PEERS = 1_000

/** Counts what peers do that an honest one does seldom, and that costs this node work each time. */
export interface FloodGuard {
  /** @throws EmrError `peer_flooded` where this peer did it too often */
  count(peer: string, many: number): void
}

/** A token bucket for each peer. @param now clock in ms since 1970 */
export function createFloodGuard(now: () => number, { atOnce, perSecond }: FloodLimits): FloodGuard {
  const spent = new Map<string, { amount: number; at: number }>()

  return {
    count(peer, many) {
      const before = spent.get(peer) ?? { amount: 0, at: now() }
      const forgiven = (Math.max(0, now() - before.at) / 1000) * perSecond
      const amount = Math.max(0, before.amount - forgiven) + many
      // Set anew, it moves behind the others; the first is the one unheard of for longest.
      spent.delete(peer)
      spent.set(peer, { amount, at: now() })
      const [oldest] = spent.keys()
      if (spent.size > MAX_PEERS && oldest !== undefined) spent.delete(oldest)
      if (amount <= atOnce) return
      // Whoever comes back after a ban begins anew.
      spent.delete(peer)
      throw new EmrError('peer_flooded', `More than ${atOnce} in a short time.`)
    },
  }
}
