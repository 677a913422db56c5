import { compareBytes } from '../protocol/bodies/fields.js'

/** The tables of the state by number. How it is kept is each node's own matter: only result codes are agreed on. */
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

/** The bytes of a key as text, a character a byte. */
const textOf = (key: Uint8Array): string => String.fromCharCode(...key)
const byTableAndKey = (a: Change, b: Change): number => a.table - b.table || compareBytes(a.key, b.key)

export function createOverlay(below: ReadState): Overlay {
  const changed = new Map<string, Change>()
  const place = (table: number, key: Uint8Array): string => String.fromCharCode(table) + textOf(key)
  const set = (table: number, key: Uint8Array, value: Uint8Array | null): void => {
    changed.set(place(table, key), { table, key, value })
  }
  /** A value that was put back as it was is no change. */
  const differing = (): Change[] => [...changed.values()].filter((change) => !isSame(below, change)).sort(byTableAndKey)
  return {
    get(table, key) {
      const change = changed.get(place(table, key))
      return change ? (change.value ?? undefined) : below.get(table, key)
    },
    put: (table, key, value) => set(table, key, value),
    delete: (table, key) => set(table, key, null),
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
  const tablesOf = new Map<number, Map<string, Change>>()
  const rows = (table: number): Map<string, Change> => {
    const found = tablesOf.get(table) ?? new Map<string, Change>()
    tablesOf.set(table, found)
    return found
  }
  return {
    get: (table, key) => tablesOf.get(table)?.get(textOf(key))?.value ?? undefined,
    put: (table, key, value) => void rows(table).set(textOf(key), { table, key, value }),
    delete: (table, key) => void rows(table).delete(textOf(key)),
    entries: () => [...tablesOf.values()].flatMap((found) => [...found.values()]).sort(byTableAndKey),
  }
}
