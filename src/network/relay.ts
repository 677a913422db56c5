/** How much may wait for one peer, and how many calls to it run at once. */
export const DEFAULT_RELAY_LIMITS = { waiting: 10_000, atOnce: 4 }

/** Sends things on to peers, each peer at its own pace, so that a slow one holds up nobody. */
export interface Relay {
  /**
   * Queues one call for each of these peers. Where too much waits the call is left out: the peer then
   * catches up at the next sync. Resolves when every call has been made or has failed.
   */
  send(peers: Iterable<string>, call: (peer: string) => Promise<void>): Promise<void>
  /** Resolves when all that waited has been sent or has failed. */
  idle(): Promise<void>
}

/** @param onFailure hears of every call that failed or was left out */
export function createRelay(onFailure: (peer: string, error: unknown) => void, limits = DEFAULT_RELAY_LIMITS): Relay {
  const lanes = new Map<string, { waiting: (() => Promise<void>)[]; running: Set<Promise<void>> }>()

  const pump = (peer: string): void => {
    const lane = lanes.get(peer)
    while (lane && lane.running.size < limits.atOnce) {
      const next = lane.waiting.shift()
      if (!next) break
      const run: Promise<void> = next().finally(() => {
        lane.running.delete(run)
        pump(peer)
      })
      lane.running.add(run)
    }
  }

  const enqueue = (peer: string, call: (peer: string) => Promise<void>): Promise<void> => {
    const lane = lanes.get(peer) ?? { waiting: [], running: new Set() }
    lanes.set(peer, lane)
    if (lane.waiting.length >= limits.waiting) {
      onFailure(peer, new Error('too much waits for this peer'))
      return Promise.resolve()
    }
    return new Promise((done) => {
      lane.waiting.push(() =>
        call(peer)
          .catch((error: unknown) => onFailure(peer, error))
          .then(done),
      )
      pump(peer)
    })
  }

  return {
    async send(peers, call) {
      await Promise.all(Array.from(peers, (peer) => enqueue(peer, call)))
    },
    async idle() {
      for (;;) {
        const running = [...lanes.values()].flatMap((lane) => [...lane.running])
        if (running.length === 0) return
        await Promise.all(running)
      }
    },
  }
}
