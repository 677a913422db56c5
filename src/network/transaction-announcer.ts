import { EmrError } from '../errors.js'
import { MAX_ANNOUNCED } from '../protocol/peer-messages.js'

/** How many ids may wait for one peer, and how many announcements to it run at once. */
export const DEFAULT_ANNOUNCER_LIMITS = { waiting: 10_000, atOnce: 4 }

/** Tells peers of transactions, in batches: what comes while others are on their way goes together. */
export interface TransactionAnnouncer {
  /** Resolves when the peer has answered or failed, or when too much waits for it already. */
  tell(peer: string, id: string): Promise<void>
}

/** @param send announces ids to a peer; it does not throw */
export function createTransactionAnnouncer(
  send: (peer: string, ids: readonly string[]) => Promise<void>,
  onFailure: (peer: string, error: unknown) => void,
  limits = DEFAULT_ANNOUNCER_LIMITS,
): TransactionAnnouncer {
  const lanes = new Map<string, { waiting: { id: string; done: () => void }[]; running: number }>()

  async function run(peer: string): Promise<void> {
    const lane = lanes.get(peer)
    if (!lane || lane.running >= limits.atOnce) return
    lane.running++
    // What was accepted in one go, such as by one commit, goes together.
    await Promise.resolve()
    while (lane.waiting.length > 0) {
      const batch = lane.waiting.splice(0, MAX_ANNOUNCED)
      await send(
        peer,
        batch.map(({ id }) => id),
      )
      for (const { done } of batch) done()
    }
    if (--lane.running === 0) lanes.delete(peer)
  }

  return {
    tell(peer, id) {
      const lane = lanes.get(peer) ?? { waiting: [], running: 0 }
      lanes.set(peer, lane)
      if (lane.waiting.length >= limits.waiting) {
        onFailure(peer, new EmrError('peer_timeout', 'Too much waits for it.'))
        return Promise.resolve()
      }
      return new Promise((done) => {
        lane.waiting.push({ id, done })
        void run(peer)
      })
    },
  }
}
