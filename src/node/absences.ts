import type { CID } from 'multiformats/cid'
import { idKey } from '../protocol/cid.js'

/** How many ids are remembered at most. */
const MOST = 50_000

/**
 * Which transactions no block on disk holds, as far as it was asked: each new one is looked for when it is announced, fetched,
 * taken and found in a block, and a look into the index costs as much as all else that these four do there.
 */
export interface Absences {
  has(id: CID): boolean
  /** No block on disk holds it. */
  add(id: CID): void
  /** Runs the step that writes blocks with these transactions. What is added meanwhile is not remembered. */
  end<T>(ids: Iterable<CID>, write: () => Promise<T>): Promise<T>
}

export function createAbsences(most = MOST): Absences {
  const absent = new Set<string>()
  let writing = 0

  return {
    has: (id) => absent.size > 0 && absent.has(idKey(id)),
    add(id) {
      if (writing > 0) return
      if (absent.size >= most) absent.clear()
      absent.add(idKey(id))
    },
    async end(ids, write) {
      if (absent.size > 0) for (const id of ids) absent.delete(idKey(id))
      writing++
      try {
        return await write()
      } finally {
        writing--
      }
    },
  }
}
