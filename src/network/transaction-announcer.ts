import { EmrError } from '../errors.js'
import { MAX_ANNOUNCED } from '../protocol/peer-messages.js'

/**
 * How many ids may wait for one peer, and how many announcements to it run at once. When a peer has been told so often
 * in short time (`burst`), the next goes after a `gap` in ms, or as soon as this many ids (`many`) wait.
 */
export const DEFAULT_ANNOUNCER_LIMITS = { waiting: 10_000, atOnce: 4, burst: 10, gap: 200, many: 500 }

/**
 * Tells peers of transactions, in batches. A few go at once; where there is always more to tell, it is gathered and
 * goes together: an announcement costs both sides as much as some twenty transactions.
 */
export interface TransactionAnnouncer {
  /** Resolves when the peer has answered, failed or told of it itself, or when too much waits for it already. */
  tell(peer: string, id: string): Promise<void>
  /** The peer has this: it need not be told, unless that is under way. */
  has(peer: string, id: string): void
}

interface Lane {
  readonly waiting: Map<string, () => void>
  running: number
  timer: NodeJS.Timeout | undefined
  /** How many announcements may begin without a gap, as of `since`. */
  left: number
  since: number
}

/**
 * @param send announces ids to a peer; it does not throw
 * @param now a clock in ms
 */
export function createTransactionAnnouncer(
  send: (peer: string, ids: readonly string[]) => Promise<void>,
  onFailure: (peer: string, error: unknown) => void,
  limits = DEFAULT_ANNOUNCER_LIMITS,
  now: () => number = () => performance.now(),
): TransactionAnnouncer {
  const lanes = new Map<string, Lane>()

  const refill = (lane: Lane): void => {
    const time = now()
    lane.left = Math.min(limits.burst, lane.left + (time - lane.since) / limits.gap)
    lane.since = time
  }
  function laneOf(peer: string): Lane {
    const known = lanes.get(peer)
    if (known) return known
    // Of peers that were not told for a while nothing has to be remembered.
    for (const [other, lane] of lanes) {
      refill(lane)
      if (lane.running + lane.waiting.size === 0 && lane.left === limits.burst) lanes.delete(other)
    }
    const lane = { waiting: new Map(), running: 0, timer: undefined, left: limits.burst, since: now() }
    lanes.set(peer, lane)
    return lane
  }

  async function run(peer: string, lane: Lane): Promise<void> {
    clearTimeout(lane.timer)
    lane.timer = undefined
    lane.running++
    lane.left = Math.max(0, lane.left - 1)
    // What was accepted in one go, such as by one commit, goes together.
    await Promise.resolve()
    const batch = [...lane.waiting].slice(0, MAX_ANNOUNCED)
    for (const [id] of batch) lane.waiting.delete(id)
    const ids = batch.map(([id]) => id)
    if (ids.length > 0) await send(peer, ids)
    for (const [, done] of batch) done()
    lane.running--
    wake(peer, lane)
  }

  /** Begins an announcement, or sees to it that one begins in time. */
  function wake(peer: string, lane: Lane): void {
    if (lane.waiting.size === 0 || lane.running >= limits.atOnce) return
    refill(lane)
    const isFree = lane.running === 0 && lane.left >= 1
    if (isFree || lane.waiting.size >= limits.many) void run(peer, lane)
    else lane.timer ??= setTimeout(() => void run(peer, lane), limits.gap)
  }

  return {
    tell(peer, id) {
      const lane = laneOf(peer)
      if (lane.waiting.size >= limits.waiting) {
        onFailure(peer, new EmrError('peer_timeout', 'Too much waits for it.'))
        return Promise.resolve()
      }
      return new Promise((done) => {
        const others = lane.waiting.get(id)
        lane.waiting.set(id, () => {
          others?.()
          done()
        })
        wake(peer, lane)
      })
    },
    has(peer, id) {
      const waiting = lanes.get(peer)?.waiting
      waiting?.get(id)?.()
      waiting?.delete(id)
    },
  }
}
