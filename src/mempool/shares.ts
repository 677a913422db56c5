/** Who takes how much of the room of a mempool: how many transactions by each author, and from each source. */
export interface Shares {
  /** Notes a transaction; one that is noted already stays as it was. */
  claim(id: string, key: string, source: string): void
  /** Forgets it, if it is noted. */
  release(id: string): void
  ofKey(key: string): number
  ofSource(source: string): number
}

export function createShares(): Shares {
  const claims = new Map<string, { key: string; source: string }>()
  const keys = new Map<string, number>()
  const sources = new Map<string, number>()

  return {
    claim(id, key, source) {
      if (claims.has(id)) return
      claims.set(id, { key, source })
      change(keys, key, 1)
      change(sources, source, 1)
    },
    release(id) {
      const claim = claims.get(id)
      if (!claim) return
      claims.delete(id)
      change(keys, claim.key, -1)
      change(sources, claim.source, -1)
    },
    ofKey: (key) => keys.get(key) ?? 0,
    ofSource: (source) => sources.get(source) ?? 0,
  }
}

/** Names without any are forgotten: there is no end of names. */
function change(counts: Map<string, number>, name: string, by: number): void {
  const count = (counts.get(name) ?? 0) + by
  if (count === 0) counts.delete(name)
  else counts.set(name, count)
}
