/** How many nonces are kept of one signer, and of all of them, at some 100 bytes each. */
export const MOST_NONCES = { ofSigner: 4_096, inAll: 65_536 } as const

/** What is known of one signer: nonces by the second in which their requests were signed. */
interface Signer {
  readonly seconds: Map<number, Set<string>>
  size: number
  /** What was signed in this second or before is refused: its nonces may be forgotten. */
  floor: number
}

/** The nonces of signed requests, each of which is taken once. */
export interface SignerNonces {
  /**
   * Notes a nonce. False where it was noted before, or where it is so old that this cannot be told any more.
   *
   * @param signer whose request it is
   * @param created when it was signed, in seconds
   * @param oldest what was signed before this second is refused anyway; its nonces are forgotten
   */
  take(signer: string, nonce: string, created: number, oldest: number): boolean
}

/**
 * Nonces of bounded number, and each signer pays for his own. Who sends more than fit has his oldest second forgotten, and
 * what he signed then or before refused. Where all together are too many it is the turn of who has most. So one signer
 * loses a request that he signed n-th of those of these minutes only by `ofSigner` of his own after it, or where `inAll / n`
 * others have as many as he.
 */
export function createSignerNonces({
  ofSigner,
  inAll,
}: Record<keyof typeof MOST_NONCES, number> = MOST_NONCES): SignerNonces {
  const signers = new Map<string, Signer>()
  let size = 0
  let cleared = Number.NEGATIVE_INFINITY

  function forget(signer: Signer, second: number): void {
    const count = signer.seconds.get(second)?.size ?? 0
    signer.seconds.delete(second)
    signer.size -= count
    size -= count
  }
  function forgetOldest(signer: Signer): void {
    signer.floor = Math.min(...signer.seconds.keys())
    forget(signer, signer.floor)
  }
  /** At most once a second: what is refused by its time need not be known. */
  function clear(oldest: number): void {
    if (oldest <= cleared) return
    cleared = oldest
    for (const [name, signer] of signers) {
      for (const second of [...signer.seconds.keys()]) if (second < oldest) forget(signer, second)
      if (signer.size === 0 && signer.floor < oldest) signers.delete(name)
    }
  }
  function most(): Signer | undefined {
    let found: Signer | undefined
    for (const signer of signers.values()) if (!found || signer.size > found.size) found = signer
    return found
  }

  return {
    take(name, nonce, created, oldest) {
      clear(oldest)
      const signer = signers.get(name) ?? { seconds: new Map(), size: 0, floor: Number.NEGATIVE_INFINITY }
      if (created <= signer.floor) return false
      const known = signer.seconds.get(created) ?? new Set()
      if (known.has(nonce)) return false
      signers.set(name, signer)
      signer.seconds.set(created, known.add(nonce))
      signer.size++
      size++
      while (signer.size > ofSigner) forgetOldest(signer)
      while (size > inAll) {
        const largest = most()
        if (!largest) break
        forgetOldest(largest)
      }
      return true
    },
  }
}
