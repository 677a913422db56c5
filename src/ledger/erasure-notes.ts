import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { failpoint } from '../failpoint.js'
import type { Database } from './database.js'
import { joinKey, keyAfter } from './keys.js'
import { sharesPrefix } from './layout.js'

/** How far this node is with an erasure: it knows of it, has begun to destroy, has destroyed, or its receipt is on the chain. */
export type ErasureStep = 'noted' | 'destroying' | 'destroyed' | 'receipted'

/** What this node has done for the erasure of a record. */
export interface ErasureNote {
  /** Id of the record. */
  readonly record: Uint8Array
  /** Id of the erasure. */
  readonly erasure: Uint8Array
  /** Id of the record's deposit, whether it is kept here or not. */
  readonly deposit: Uint8Array
  /** Bytes of the CID of the record's file. */
  readonly file: Uint8Array
  readonly step: ErasureStep
  /** What was here to be destroyed (a mask of docs/protocol.md), from `destroying` on. */
  readonly parts: number
}

/** A block up to which the chain has been read. */
export interface ReadBlock {
  readonly height: number
  readonly id: CID
}

/** Erasures on the chain and what was done for them; no secrets. */
export interface ErasureNotes {
  /** That of a record. */
  get(record: Uint8Array): ErasureNote | undefined
  /** Durable when it resolves. */
  put(note: ErasureNote): Promise<void>
  all(): ErasureNote[]
  /** The record that was erased and whose deposit this is. */
  recordOf(deposit: Uint8Array): Uint8Array | undefined
  /** Blocks of the main chain that have been read, the newest first. */
  progress(): readonly ReadBlock[]
  setProgress(blocks: readonly ReadBlock[]): Promise<void>
}

const steps: readonly ErasureStep[] = ['noted', 'destroying', 'destroyed', 'receipted']
const PROGRESS_KEY = Uint8Array.of(sharesPrefix.progress)
type Row = [erasure: Uint8Array, deposit: Uint8Array, file: Uint8Array, step: number, parts: number]

const noteOf = (record: Uint8Array, row: Uint8Array): ErasureNote => {
  const [erasure, deposit, file, step, parts] = decode<Row>(row)
  return { record, erasure, deposit, file, step: steps[step] ?? 'noted', parts }
}

/** The notes in an open, durable database. */
export const createErasureNotes = (database: Database): ErasureNotes => {
  const keyOf = (record: Uint8Array): Uint8Array => joinKey(sharesPrefix.erasure, record)
  const start = Uint8Array.of(sharesPrefix.erasure)
  return {
    get(record) {
      const row = database.get(keyOf(record))
      return row && noteOf(record, row)
    },

    async put({ record, erasure, deposit, file, step, parts }) {
      const row: Row = [erasure, deposit, file, steps.indexOf(step), parts]
      await database.write((writes) => {
        writes.put(keyOf(record), encode(row))
        writes.put(joinKey(sharesPrefix.erased, deposit), record)
      })
      failpoint('shares.note.done')
    },

    all: () =>
      database.rows({ start, end: keyAfter(start) }).map(({ key, value }) => noteOf(key.subarray(start.length), value)),

    recordOf: (deposit) => database.get(joinKey(sharesPrefix.erased, deposit)),

    progress() {
      const row = database.get(PROGRESS_KEY)
      if (!row) return []
      return decode<[number, Uint8Array][]>(row).map(([height, id]) => ({ height, id: CID.decode(id) }))
    },
    setProgress: (blocks) =>
      database.write((writes) => writes.put(PROGRESS_KEY, encode(blocks.map(({ height, id }) => [height, id.bytes])))),
  }
}
