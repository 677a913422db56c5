/** How many ids are remembered of one peer, and of how many peers. */
export const DEFAULT_INVENTORY_LIMITS = { ids: 20_000, peers: 256 }

/**
 * What each peer is known to have: what it announced, and what it took from this node. Only the newest are
 * remembered; what is forgotten is announced once more than needed.
 */
export interface Inventory {
  has(peer: string, id: string): boolean
  add(peer: string, id: string): void
  /** It does not have this after all. */
  remove(peer: string, id: string): void
}

export function createInventory(limits = DEFAULT_INVENTORY_LIMITS): Inventory {
  const known = new Map<string, Set<string>>()

  return {
    has: (peer, id) => known.get(peer)?.has(id) ?? false,
    add(peer, id) {
      const ids = known.get(peer) ?? new Set()
      known.delete(peer)
      known.set(peer, ids)
      ids.delete(id)
      ids.add(id)
      dropOldest(ids, limits.ids)
      dropOldest(known, limits.peers)
    },
    remove: (peer, id) => void known.get(peer)?.delete(id),
  }
}

/** What is left of a limit that was reached. */
const AFTER_EVICTION = 7 / 8

/**
 * Maps and sets keep their keys in the order in which they were added. Many go at once: to find the first key the engine
 * goes past all that were removed before it.
 */
function dropOldest(
  keys: { readonly size: number; keys(): Iterable<string>; delete(key: string): boolean },
  limit: number,
): void {
  if (keys.size <= limit) return
  for (const oldest of keys.keys()) {
    if (keys.size <= limit * AFTER_EVICTION) return
    keys.delete(oldest)
  }
}
