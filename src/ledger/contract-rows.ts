import { decode, encode } from '@ipld/dag-cbor'
import { joinKey, uint32Key } from './keys.js'
import { indexPrefix } from './layout.js'

/** What the contract reads: the value of a key in one of its tables. */
export interface StateReader {
  get(table: number, key: Uint8Array): Uint8Array | undefined
}

/** A key of a table and its new value; null where it has none. */
export interface StateChange {
  readonly table: number
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** What the contract makes of a block's transactions. */
export interface BlockEffects {
  /** One code for each transaction. */
  readonly results: Uint8Array
  readonly changes: readonly StateChange[]
}

/** Computes the effects of a block on the state after its parent. */
export type ApplyBlock = (state: StateReader) => BlockEffects

type Effects = [results: Uint8Array, undo: [table: number, key: Uint8Array, value: Uint8Array | null][]]

const stateKey = (table: number, key: Uint8Array): Uint8Array =>
  joinKey(indexPrefix.contract, Uint8Array.of(table), key)
const effectsKey = (height: number): Uint8Array => joinKey(indexPrefix.effects, uint32Key(height))

interface Rows {
  get(key: Uint8Array): Uint8Array | undefined
}

/** The state of the contract as the index has it. */
export const readState = (rows: Rows): StateReader => ({ get: (table, key) => rows.get(stateKey(table, key)) })

const readEffects = (rows: Rows, height: number): Effects | undefined => {
  const row = rows.get(effectsKey(height))
  return row && decode<Effects>(row)
}

/** Result codes of the main chain's block at this height; undefined only where all of them are 0. */
export const resultsAt = (rows: Rows, height: number): Uint8Array | undefined => readEffects(rows, height)?.[0]

/** What to write over the state after the main chain's block at this height to have the state before it. */
export const undoAt = (rows: Rows, height: number): StateChange[] =>
  (readEffects(rows, height)?.[1] ?? []).map(([table, key, value]) => ({ table, key, value }))

/** Changes of the state by blocks that leave and enter the main chain, before they are written. */
export interface StagedState {
  disconnect(height: number): void
  connect(height: number, apply: ApplyBlock): void
  /** What differs from the database. */
  writes(): { key: Uint8Array; value: Uint8Array | null }[]
}

export function stageState(below: Rows): StagedState {
  const staged = new Map<string, { key: Uint8Array; value: Uint8Array | null }>()
  const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('latin1')
  const rows: Rows = {
    get(key) {
      const change = staged.get(nameOf(key))
      return change ? (change.value ?? undefined) : below.get(key)
    },
  }
  const set = (key: Uint8Array, value: Uint8Array | null): void => void staged.set(nameOf(key), { key, value })
  const state = readState(rows)
  return {
    disconnect(height) {
      for (const { table, key, value } of undoAt(rows, height)) set(stateKey(table, key), value)
      if (rows.get(effectsKey(height))) set(effectsKey(height), null)
    },
    connect(height, apply) {
      const { results, changes } = apply(state)
      if (changes.length === 0 && results.every((code) => code === 0)) return
      const undo: Effects[1] = changes.map(({ table, key }) => [table, key, state.get(table, key) ?? null])
      for (const { table, key, value } of changes) set(stateKey(table, key), value)
      set(effectsKey(height), encode([results, undo] satisfies Effects))
    },
    writes: () => [...staged.values()],
  }
}
