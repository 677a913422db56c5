import type { Database } from './database.js'
import { joinKey, keyAfter } from './keys.js'
import { sharesPrefix } from './layout.js'

/** A patient who has named other custodians; `turn` grows whenever that happens again. */
export interface ShareMove {
  readonly patient: Uint8Array
  readonly turn: number
}

/** Patients of whose shares this node may have to tell other custodians. */
export interface ShareMoves {
  /** Durable when it resolves. */
  add(patient: Uint8Array): Promise<void>
  all(): ShareMove[]
  /** Strikes one out, unless it was added again since `all` said so. */
  remove(move: ShareMove): Promise<void>
}

/** Those in an open, durable database. */
export const createShareMoves = (database: Database): ShareMoves => {
  const keyOf = (patient: Uint8Array): Uint8Array => joinKey(sharesPrefix.move, patient)
  const nameOf = (patient: Uint8Array): string => Buffer.from(patient).toString('latin1')
  const start = Uint8Array.of(sharesPrefix.move)
  const rows = database.rows({ start, end: keyAfter(start) })
  let turns = 0
  /** What is there or is being written: a write that waits is not read yet. */
  const moves = new Map<string, ShareMove>()
  for (const { key } of rows) moves.set(nameOf(key.subarray(1)), { patient: key.subarray(1), turn: turns })

  return {
    async add(patient) {
      const isNew = !moves.has(nameOf(patient))
      moves.set(nameOf(patient), { patient, turn: ++turns })
      if (isNew) await database.write((writes) => writes.put(keyOf(patient), new Uint8Array(0)))
    },
    all: () => [...moves.values()],
    async remove({ patient, turn }) {
      if (moves.get(nameOf(patient))?.turn !== turn) return
      moves.delete(nameOf(patient))
      await database.write((writes) => writes.remove(keyOf(patient)))
    },
  }
}
