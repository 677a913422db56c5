import type { CID } from 'multiformats/cid'
import { type BranchEnd, isPreferred } from '../consensus/fork-choice.js'
import type { SignedHeader } from '../protocol/block.js'

/** How many headers without a stored body are kept. A branch that needs more is taken in pieces. */
export const MAX_LOOSE_HEADERS = 20_000

/** A header that has been checked, whose body is not on disk. */
export interface LooseHeader extends SignedHeader {
  readonly work: bigint
}

/** Headers whose bodies are not on disk: the front of a branch that may win, and ends of those that lost. */
export interface Branches {
  get(id: CID): LooseHeader | undefined
  add(header: LooseHeader): void
  /** Forgets a header, once its body is stored or found invalid; with `descendants`, all that stand on it. */
  remove(id: CID, options?: { descendants: boolean }): CID[]
  /** The best of them that is preferred to `tip`, if any. */
  best(tip: BranchEnd): LooseHeader | undefined
  /** This one, if it is preferred to `tip`. */
  better(id: CID, tip: BranchEnd): LooseHeader | undefined
  /** Whether one that stands on this one is preferred to `tip`. The best may be one whose bodies nobody gives. */
  leadsToBetter(id: CID, tip: BranchEnd): boolean
}

export function createBranches(limit = MAX_LOOSE_HEADERS): Branches {
  const headers = new Map<string, LooseHeader>()
  let best: LooseHeader | undefined

  const end = ({ header, work }: LooseHeader): BranchEnd => ({ id: header.id, work })
  const findBest = (): void => {
    best = undefined
    for (const header of headers.values()) if (!best || isPreferred(end(header), end(best))) best = header
  }

  return {
    get: (id) => headers.get(id.toString()),
    add(header) {
      if (headers.size >= limit) {
        const [oldest] = headers.keys()
        if (oldest !== undefined) headers.delete(oldest)
      }
      headers.set(header.header.id.toString(), header)
      if (!best || isPreferred(end(header), end(best))) best = header
    },
    remove(id, { descendants } = { descendants: false }) {
      const gone = new Set([id.toString()])
      // Headers are added parents first, so one pass in order of insertion finds all descendants.
      if (descendants) {
        for (const [key, { header }] of headers) if (gone.has(header.parent.toString())) gone.add(key)
      }
      const removed = [...gone].flatMap((key) => headers.get(key)?.header.id ?? [])
      for (const key of gone) headers.delete(key)
      if (best && gone.has(best.header.id.toString())) findBest()
      return removed
    },
    best: (tip) => (best && isPreferred(end(best), tip) ? best : undefined),
    better(id, tip) {
      const header = headers.get(id.toString())
      return header && isPreferred(end(header), tip) ? header : undefined
    },
    leadsToBetter(id, tip) {
      const line = new Set([id.toString()])
      // As above, parents come first.
      for (const [key, header] of headers) {
        if (!line.has(header.header.parent.toString())) continue
        if (isPreferred(end(header), tip)) return true
        line.add(key)
      }
      return false
    },
  }
}
