import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { normalCid } from '../files/file-block.js'
import type { JsonTable } from '../ledger/json-table.js'

/**
 * What the operator decided about a file:
 * - `kept`: it was taken from a peer, or pinned, and is to stay
 * - `unpinning`: it is to go, and may not be gone yet
 * - `unpinned`: it was deleted on purpose
 */
export type Pin = 'kept' | 'unpinning' | 'unpinned'

const PINS: readonly unknown[] = ['kept', 'unpinning', 'unpinned'] satisfies Pin[]
const isPin = (value: unknown): value is Pin => PINS.includes(value)

/** Durable notes of which files this node is to keep and which not. A CID may come in either version. */
export interface FilePins {
  get(cid: CID): Pin | undefined
  /** Durable when it resolves. */
  put(cid: CID, pin: Pin): Promise<void>
  /** Whether the file was deleted on purpose, or is on its way out. */
  isUnwanted(cid: CID): boolean
  /** @throws EmrError `file_unpinned` where the file was deleted on purpose, so that nothing fetches it back */
  assertWanted(cid: CID): void
  /** Runs what changes a note and the store together, one at a time for each file. */
  exclusive<T>(cid: CID, change: () => Promise<T>): Promise<T>
  /** Normal CIDs, as text, of all notes. */
  all(): [cid: string, pin: Pin][]
}

export function createFilePins(table: JsonTable): FilePins {
  /** The last change of each file that is under way. */
  const changes = new Map<string, Promise<unknown>>()
  const get = (cid: CID): Pin | undefined => {
    const value = table.get(normalCid(cid).toString())
    return isPin(value) ? value : undefined
  }
  const isUnwanted = (cid: CID): boolean => get(cid) === 'unpinning' || get(cid) === 'unpinned'
  return {
    get,
    isUnwanted,
    put: (cid, pin) => table.put(normalCid(cid).toString(), pin),
    assertWanted(cid) {
      if (isUnwanted(cid)) throw new EmrError('file_unpinned', undefined, { cid: cid.toString() })
    },
    async exclusive(cid, change) {
      const name = normalCid(cid).toString()
      const before = changes.get(name) ?? Promise.resolve()
      const run = before.then(change)
      const settled = run.then(
        () => undefined,
        () => undefined,
      )
      changes.set(name, settled)
      try {
        return await run
      } finally {
        if (changes.get(name) === settled) changes.delete(name)
      }
    },
    all: () => table.entries().flatMap(([cid, pin]) => (isPin(pin) ? [[cid, pin] as [string, Pin]] : [])),
  }
}
