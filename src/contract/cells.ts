import { CHAIN_CID_LENGTH } from '../protocol/cid.js'

/** One field of a row in the state: how many bytes, and how they are read and written. */
export interface Cell<T> {
  size(value: T): number
  read(row: Uint8Array, at: number): T
  write(row: Uint8Array, at: number, value: T): void
  /** How far the next field is from this one, read from the row. */
  width(row: Uint8Array, at: number): number
}

const fixed = <T>(length: number, read: Cell<T>['read'], write: Cell<T>['write']): Cell<T> => ({
  size: () => length,
  width: () => length,
  read,
  write,
})

/** A big-endian integer of so many bytes. */
const integer = (length: number): Cell<number> =>
  fixed(
    length,
    (row, at) => {
      let value = 0
      for (let i = 0; i < length; i++) value = value * 256 + (row[at + i] ?? 0)
      return value
    },
    (row, at, value) => {
      let rest = value
      for (let i = length - 1; i >= 0; i--) {
        row[at + i] = rest % 256
        rest = Math.floor(rest / 256)
      }
    },
  )

export const u8 = integer(1)
export const u16 = integer(2)
export const u32 = integer(4)
/** A time in ms: 8 bytes, below 2^53. */
export const ms = integer(8)
const bytes = (length: number): Cell<Uint8Array> =>
  fixed(
    length,
    (row, at) => row.subarray(at, at + length),
    (row, at, value) => row.set(value, at),
  )
export const key = bytes(32)
export const id = bytes(CHAIN_CID_LENGTH)

/** Null is all zeros, which is no id and no valid key. */
const orZeros = (cell: Cell<Uint8Array>): Cell<Uint8Array | null> => ({
  size: () => cell.size(new Uint8Array(0)),
  width: cell.width,
  read(row, at) {
    const value = cell.read(row, at)
    return value.some((byte) => byte !== 0) ? value : null
  },
  write: (row, at, value) => value && cell.write(row, at, value),
})
export const keyOrNull = orZeros(key)
/** The first byte of an id is 1, so one look is enough. */
export const idOrNull: Cell<Uint8Array | null> = {
  ...orZeros(id),
  read: (row, at) => (row[at] === 0 ? null : id.read(row, at)),
}

/** Ids behind a byte that counts them. */
export const ids: Cell<readonly Uint8Array[]> = {
  size: (value) => 1 + value.length * CHAIN_CID_LENGTH,
  width: (row, at) => 1 + (row[at] ?? 0) * CHAIN_CID_LENGTH,
  read: (row, at) =>
    Array.from({ length: row[at] ?? 0 }, (_, index) => id.read(row, at + 1 + index * CHAIN_CID_LENGTH)),
  write(row, at, value) {
    row[at] = value.length
    for (const [index, item] of value.entries()) id.write(row, at + 1 + index * CHAIN_CID_LENGTH, item)
  },
}

/** A row of fixed order: how a value of a table is written and read. */
export interface Row<T> {
  encode(fields: T): Uint8Array
  decode(row: Uint8Array): T
}

type Cells = Readonly<Record<string, Cell<unknown>>>
type FieldsOf<C extends Cells> = { readonly [K in keyof C]: C[K] extends Cell<infer T> ? T : never }

export function createRow<C extends Cells>(cells: C): Row<FieldsOf<C>> {
  const columns = Object.entries(cells)
  /** A state in memory gives the same bytes again and again, and nobody writes to them. */
  const decoded = new WeakMap<Uint8Array, FieldsOf<C>>()
  return {
    encode(fields) {
      const row = new Uint8Array(columns.reduce((sum, [name, cell]) => sum + cell.size(fields[name]), 0))
      let at = 0
      for (const [name, cell] of columns) {
        cell.write(row, at, fields[name])
        at += cell.size(fields[name])
      }
      return row
    },
    decode(row) {
      const known = decoded.get(row)
      if (known) return known
      const fields: Record<string, unknown> = {}
      let at = 0
      for (const [name, cell] of columns) {
        fields[name] = cell.read(row, at)
        at += cell.width(row, at)
      }
      decoded.set(row, fields as FieldsOf<C>)
      return fields as FieldsOf<C>
    },
  }
}
