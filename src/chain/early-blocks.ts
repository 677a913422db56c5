import type { Block, SignedHeader } from '../protocol/block.js'
import { idKey } from '../protocol/cid.js'

/** How much is kept that is dated too far ahead of the clock. What is beyond this has to be asked for again. */
export const DEFAULT_EARLY_LIMITS = { headers: 2_000, blockBytes: 32 * 1024 * 1024 }

/** Headers and blocks of which only the clock says that they come too early; kept until it has caught up. */
export interface EarlyBlocks {
  /** @param due clock at which it may be tried, in ms since 1970 */
  keep(item: SignedHeader | Block, due: number): void
  /** When the first may be tried, in ms since 1970. */
  nextDue(): number | undefined
  /** Takes out those whose time has come, parents before children. */
  take(now: number): (SignedHeader | Block)[]
}

interface Kept {
  readonly item: SignedHeader | Block
  readonly due: number
  readonly bytes: number
}

export function createEarlyBlocks(limits = DEFAULT_EARLY_LIMITS): EarlyBlocks {
  const kept = new Map<string, Kept>()

  const bytesOf = (item: SignedHeader | Block): number =>
    'transactions' in item ? item.transactions.reduce((sum, { bytes }) => sum + bytes.length, 0) : 0
  const blockBytes = (): number => [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0)

  return {
    keep(item, due) {
      const key = idKey(item.header.id)
      const known = kept.get(key)
      if (known && 'transactions' in known.item) return
      const bytes = bytesOf(item)
      if (blockBytes() + bytes > limits.blockBytes) return
      kept.set(key, { item, due, bytes })
      while (kept.size > limits.headers) {
        // The one that is due last is of least use.
        const [last] = [...kept].sort(([, a], [, b]) => b.due - a.due)
        if (last) kept.delete(last[0])
      }
    },
    nextDue() {
      if (kept.size === 0) return undefined
      return Math.min(...Array.from(kept.values(), ({ due }) => due))
    },
    take(now) {
      const ready = [...kept].filter(([, { due }]) => due <= now)
      for (const [key] of ready) kept.delete(key)
      return ready.map(([, { item }]) => item).sort((a, b) => a.header.height - b.header.height)
    },
  }
}
