import { compareBytes } from '../protocol/bodies/fields.js'
import { type ByteMap, createByteMap } from './byte-map.js'

/** The tables of the state by number. docs/protocol.md, "State"; how it is kept is each node's own matter. */
export const tables = {
  network: 1,
  firstAdministrators: 2,
  keys: 3,
  identities: 4,
  classKeys: 5,
  administrators: 6,
  certificates: 7,
  records: 8,
  requests: 9,
  grants: 10,
  denies: 11,
  counters: 12,
  cutoffs: 13,
  uses: 14,
  erasures: 15,
  erasureReceipts: 16,
  miners: 17,
  certified: 18,
} as const

/** What a contract reads: the value of a key in a table. Neither is written to by anybody. */
export interface ReadState {
  get(table: number, key: Uint8Array): Uint8Array | undefined
}

/** The state of the contract: ordered tables of byte strings. The ledger keeps one, tests keep one in memory. */
export interface ContractState extends ReadState {
  put(table: number, key: Uint8Array, value: Uint8Array): void
  delete(table: number, key: Uint8Array): void
}

/** A key and its value; null where it has none. */
export interface Change {
  readonly table: number
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** A state of its own over another one, which it only reads. */
export interface Overlay extends ContractState {
  /** What differs from the state below, by table and key. */
  changes(): Change[]
  /** What to write over the changed state to have the one below again, by table and key. */
  undo(): Change[]
}

const byTableAndKey = (a: Change, b: Change): number => a.table - b.table || compareBytes(a.key, b.key)

/** A map of byte strings for each table. */
function createTables<V>() {
  const maps: (ByteMap<V> | undefined)[] = []
  return {
    of(table: number): ByteMap<V> {
      const found = maps[table]
      if (found) return found
      const begun = createByteMap<V>()
      maps[table] = begun
      return begun
    },
    *entries(): Generator<readonly [table: number, key: Uint8Array, value: V]> {
      for (const [table, map] of maps.entries())
        for (const [key, value] of map?.entries() ?? []) yield [table, key, value]
    },
  }
}

export function createOverlay(below: ReadState): Overlay {
  const changed = createTables<Uint8Array | null>()
  /** A value that was put back as it was is no change. */
  const differing = (): Change[] =>
    Array.from(changed.entries(), ([table, key, value]) => ({ table, key, value }))
      .filter((change) => !isSame(below, change))
      .sort(byTableAndKey)
  return {
    get(table, key) {
      const value = changed.of(table).get(key)
      return value === undefined ? below.get(table, key) : (value ?? undefined)
    },
    put: (table, key, value) => changed.of(table).set(key, value),
    delete: (table, key) => changed.of(table).set(key, null),
    changes: differing,
    undo: () => differing().map(({ table, key }) => ({ table, key, value: below.get(table, key) ?? null })),
  }
}

function isSame(below: ReadState, { table, key, value }: Change): boolean {
  const before = below.get(table, key)
  if (!before || !value) return !before && !value
  return compareBytes(before, value) === 0
}

/** Writes changes into a state, in their order. */
export function writeChanges(state: ContractState, changes: readonly Change[]): void {
  for (const { table, key, value } of changes) {
    if (value) state.put(table, key, value)
    else state.delete(table, key)
  }
}

/** A state in memory. */
export interface MemoryState extends ContractState {
  /** Everything, by table and key: the same for equal states, whatever was written first. */
  entries(): Change[]
}

export function createMemoryState(): MemoryState {
  const all = createTables<Uint8Array>()
  return {
    get: (table, key) => all.of(table).get(key),
    put: (table, key, value) => all.of(table).set(key, value),
    delete: (table, key) => all.of(table).delete(key),
    entries: () => Array.from(all.entries(), ([table, key, value]) => ({ table, key, value })).sort(byTableAndKey),
  }
}
