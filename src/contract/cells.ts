import { equalBytes } from '../protocol/canonical.js'
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
const bytes = (length: number, keep = (value: Uint8Array): Uint8Array => value): Cell<Uint8Array> =>
  fixed(
    length,
    (row, at) => keep(copyOf(row, at, length)),
    (row, at, value) => row.set(value, at),
  )

/** Small arrays of their own are read faster than views, and by hand they are plain ones, whatever kind `row` is of. */
function copyOf(row: Uint8Array, at: number, length: number): Uint8Array {
  const copy = new Uint8Array(length)
  for (let i = 0; i < length; i++) copy[i] = row[at + i] ?? 0
  return copy
}

export const key = bytes(32)

/** Ids that were read of late, each at a place by 14 of its bits: most rows name the same few, and share them so. */
const recent = new Map<number, Uint8Array>()
function shared(id: Uint8Array): Uint8Array {
  const place = (((id[4] ?? 0) << 8) | (id[5] ?? 0)) & 0x3fff
  const known = recent.get(place)
  if (known && equalBytes(known, id)) return known
  recent.set(place, id)
  return id
}
export const id = bytes(CHAIN_CID_LENGTH, shared)

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

/** Bytes of a row as a state in memory keeps them, again and again the same: beside them what they say, once it was asked. */
class KeptRow extends Uint8Array {
  fields: unknown = undefined
}

export function createRow<C extends Cells>(cells: C): Row<FieldsOf<C>> {
  const columns = Object.entries(cells)
  const read = (row: Uint8Array): FieldsOf<C> => {
    // A copy of an object with these names is faster to read than one to which they are added.
    const fields: Record<string, unknown> = { ...cells }
    let at = 0
    for (const [name, cell] of columns) {
      fields[name] = cell.read(row, at)
      at += cell.width(row, at)
    }
    return fields as FieldsOf<C>
  }
  return {
    encode(fields) {
      const row = new KeptRow(columns.reduce((sum, [name, cell]) => sum + cell.size(fields[name]), 0))
      let at = 0
      for (const [name, cell] of columns) {
        cell.write(row, at, fields[name])
        at += cell.size(fields[name])
      }
      return row
    },
    decode(row) {
      if (!(row instanceof KeptRow)) return read(row)
      row.fields ??= read(row)
      return row.fields as FieldsOf<C>
    },
  }
}
