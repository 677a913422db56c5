import { EmrError } from '../errors.js'
import { MAX_ANNOUNCED } from '../protocol/peer-messages.js'

/**
 * How many ids may wait for one peer, how many announcements to it run at once, and when one goes out beside others
 * that run: as soon as this many ids wait, or the first has waited for `patience` ms.
 */
export const DEFAULT_ANNOUNCER_LIMITS = { waiting: 10_000, atOnce: 4, many: 250, patience: 100 }

/**
 * Tells peers of transactions, in batches. The first goes at once; what comes while the peer has not answered goes
 * together, so the more there is to tell the fewer announcements each takes.
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
}

/** @param send announces ids to a peer; it does not throw */
export function createTransactionAnnouncer(
  send: (peer: string, ids: readonly string[]) => Promise<void>,
  onFailure: (peer: string, error: unknown) => void,
  limits = DEFAULT_ANNOUNCER_LIMITS,
): TransactionAnnouncer {
  const lanes = new Map<string, Lane>()

  async function run(peer: string, lane: Lane): Promise<void> {
    clearTimeout(lane.timer)
    lane.timer = undefined
    lane.running++
    // What was accepted in one go, such as by one commit, goes together.
    await Promise.resolve()
    while (lane.waiting.size > 0) {
      const batch = [...lane.waiting].slice(0, MAX_ANNOUNCED)
      for (const [id] of batch) lane.waiting.delete(id)
      await send(
        peer,
        batch.map(([id]) => id),
      )
      for (const [, done] of batch) done()
    }
    clearTimeout(lane.timer)
    lane.timer = undefined
    if (--lane.running === 0) lanes.delete(peer)
  }

  /** Begins an announcement, or sees to it that one begins in time. */
  function wake(peer: string, lane: Lane): void {
    if (lane.running === 0) void run(peer, lane)
    else if (lane.running >= limits.atOnce) return
    else if (lane.waiting.size >= limits.many) void run(peer, lane)
    else lane.timer ??= setTimeout(() => void run(peer, lane), limits.patience)
  }

  return {
    tell(peer, id) {
      const lane = lanes.get(peer) ?? { waiting: new Map(), running: 0, timer: undefined }
      lanes.set(peer, lane)
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
