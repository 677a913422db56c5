import { errors, isEmrError, type Verdict } from '../errors.js'

/** At how many points a peer is banned, for how long in ms, and in what time half of its points are forgiven. */
export const BAN_POINTS = 100
export const BAN_TIME = 3_600_000
export const HALF_LIFE = 600_000

/** Points as they stood at a time. */
export interface Points {
  readonly points: number
  /** ms since 1970. */
  readonly at: number
}
export const NO_POINTS: Points = { points: 0, at: 0 }

/** What is left of points. */
export const pointsNow = ({ points, at }: Points, now: number): number =>
  points * 2 ** (-Math.max(0, now - at) / HALF_LIFE)

/**
 * What an error costs the peer that it came from, in points. What no honest node sends costs all at once, a
 * lesser fault little; what the peer cannot help, or what is a failure of this node, nothing.
 */
export function costOf(error: unknown): number {
  if (!isEmrError(error)) return 0
  // This node lacks a certificate, or the other has not heard of it yet: nobody is to blame.
  if (error.code === 'reader_not_certified') return 0
  // It refused in the form of the protocol, or its own server failed: a nuisance, not a lie.
  if ('refusal' in error.facts || 'status' in error.facts) return 5
  // A peer that changed its branch meanwhile does this once; one that has no blocks does it every time.
  if ('withheld' in error.facts) return BAN_POINTS / 4
  // It runs another network, which it does not hide.
  if (error.code === 'other_network') return 5
  const { verdict }: { verdict?: Verdict } = errors[error.code]
  if (verdict === 'penalise') return BAN_POINTS
  return verdict === 'reject' || error.code === 'peer_timeout' ? 5 : 0
}
