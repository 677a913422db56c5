/** How many nonces of one sender are kept, at some 100 bytes each. */
export const MAX_NONCES = 16_384

/** The nonces of requests that came, so that none is taken twice. */
export interface NonceCache {
  /**
   * Notes a nonce. False where it was noted before, or where it is so old that this cannot be told any more.
   *
   * @param created when its request was signed, in seconds
   * @param oldest requests signed before this second are refused anyway; their nonces are forgotten
   */
  take(nonce: string, created: number, oldest: number): boolean
  has(nonce: string, created: number): boolean
  /** The latest second of which there are nonces. */
  newest(): number
}

/**
 * A cache of bounded size. When it is full it forgets the nonces of the oldest second and from then on
 * refuses all that was signed in that second or before: it never lets a request pass twice.
 */
export function createNonceCache(limit = MAX_NONCES): NonceCache {
  const seconds = new Map<number, Set<string>>()
  let size = 0
  let floor = Number.NEGATIVE_INFINITY

  const drop = (second: number): void => {
    size -= seconds.get(second)?.size ?? 0
    seconds.delete(second)
  }

  return {
    has: (nonce, created) => created <= floor || seconds.get(created)?.has(nonce) === true,
    newest: () => Math.max(floor, ...seconds.keys()),

    take(nonce, created, oldest) {
      if (created <= floor) return false
      const known = seconds.get(created) ?? new Set<string>()
      if (known.has(nonce)) return false
      if (known.size === 0) for (const second of [...seconds.keys()]) if (second < oldest) drop(second)
      known.add(nonce)
      seconds.set(created, known)
      size++
      while (size > limit) {
        floor = Math.min(...seconds.keys())
        drop(floor)
      }
      return true
    },
  }
}
