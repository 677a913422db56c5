/** A map whose keys are byte strings, at most 255 bytes long; it keeps copies of them. */
export interface ByteMap<V> {
  get(key: Uint8Array): V | undefined
  set(key: Uint8Array, value: V): void
  delete(key: Uint8Array): void
  /** Everything, in no order. */
  entries(): Iterable<readonly [key: Uint8Array, value: V]>
}

/** Places in the beginning; always a power of two. */
const FEWEST_PLACES = 8

const MOST_BYTES = 255

/**
 * Keys here are ids one after the other: 8 of their bytes, which are bytes of SHA-256, spread them well. Who searches
 * for ids that fall together makes the searches there longer by a few ns each, and for every one a transaction is due.
 */
function markOf(key: Uint8Array): number {
  const end = key.length
  const first = ((key[4] ?? 0) << 24) | ((key[5] ?? 0) << 16) | ((key[6] ?? 0) << 8) | (key[7] ?? 0)
  const last =
    ((key[end - 1] ?? 0) << 24) | ((key[end - 2] ?? 0) << 16) | ((key[end - 3] ?? 0) << 8) | (key[end - 4] ?? 0)
  return first ^ last
}

/**
 * A hash table with open addressing and linear probing (Knuth, The Art of Computer Programming 3, 6.4, algorithms L
 * and R). A search in a large state takes as long as memory answers, so what it reads is packed: marks and row numbers
 * in one array, the bytes of all keys in another.
 */
export function createByteMap<V>(): ByteMap<V> {
  /** Two numbers a place: the mark of a key and the number of its row, which is 0 where the place is free. */
  let places = new Int32Array(2 * FEWEST_PLACES)
  let lastPlace = FEWEST_PLACES - 1
  /** Rows of equal width, each the length of a key and the key. Row 0 is not used. */
  let keys = new Uint8Array(0)
  let width = 0
  const values: (V | undefined)[] = [undefined]
  const freeRows: number[] = []

  const rowAt = (place: number): number => places[2 * place + 1] ?? 0
  const homeOf = (place: number): number => (places[2 * place] ?? 0) & lastPlace
  const after = (place: number): number => (place + 1) & lastPlace
  function setPlace(place: number, mark: number, row: number): void {
    places[2 * place] = mark
    places[2 * place + 1] = row
  }

  function isInRow(row: number, key: Uint8Array): boolean {
    const { length } = key
    const [bytes, at] = [keys, row * width + 1]
    if (bytes[at - 1] !== length) return false
    let i = 0
    // Four at a time, as in `equalBytes`.
    for (; i + 3 < length; i += 4) {
      const to = at + i
      if (
        bytes[to] !== key[i] ||
        bytes[to + 1] !== key[i + 1] ||
        bytes[to + 2] !== key[i + 2] ||
        bytes[to + 3] !== key[i + 3]
      )
        return false
    }
    for (; i < length; i++) if (bytes[at + i] !== key[i]) return false
    return true
  }

  /** The place of a key, or the free one where it belongs. */
  function placeOf(key: Uint8Array, mark: number): number {
    const [all, last] = [places, lastPlace]
    for (let place = mark & last; ; place = (place + 1) & last) {
      const row = all[2 * place + 1] ?? 0
      if (row === 0 || (all[2 * place] === mark && isInRow(row, key))) return place
    }
  }

  /** Room for twice as many places, so that a third of them stay free and a search ends soon. */
  function spread(): void {
    const old = places
    places = new Int32Array(2 * old.length)
    lastPlace = old.length - 1
    for (let at = 0; at < old.length; at += 2) {
      const [mark, row] = [old[at] ?? 0, old[at + 1] ?? 0]
      if (row === 0) continue
      let place = mark & lastPlace
      while (rowAt(place) !== 0) place = after(place)
      setPlace(place, mark, row)
    }
  }

  /** Room for so many rows, and for keys of this length in each of them. */
  function widen(rows: number, length: number): void {
    const [old, oldWidth] = [keys, width]
    width = Math.max(width, 1 + length)
    keys = new Uint8Array(2 * rows * width)
    if (width === oldWidth) keys.set(old)
    else for (let row = 1; row < rows; row++) keys.set(old.subarray(row * oldWidth, (row + 1) * oldWidth), row * width)
  }

  /** The row of a new key, with the key in it. */
  function rowFor(key: Uint8Array): number {
    if (key.length > MOST_BYTES) throw new Error(`A key of the state is longer than ${MOST_BYTES} bytes.`)
    const row = freeRows.pop() ?? values.length
    if (key.length >= width || (row + 1) * width > keys.length) widen(values.length + 1, key.length)
    keys[row * width] = key.length
    keys.set(key, row * width + 1)
    return row
  }

  return {
    get(key) {
      return values[rowAt(placeOf(key, markOf(key)))]
    },
    set(key, value) {
      const mark = markOf(key)
      const place = placeOf(key, mark)
      let row = rowAt(place)
      if (row === 0) {
        row = rowFor(key)
        setPlace(place, mark, row)
      }
      values[row] = value
      if (3 * (values.length - freeRows.length) > 2 * (lastPlace + 1)) spread()
    },
    delete(key) {
      let hole = placeOf(key, markOf(key))
      const row = rowAt(hole)
      if (row === 0) return
      values[row] = undefined
      freeRows.push(row)
      // What stands behind moves up, else a search for it would end at the hole; nothing moves before its home.
      for (let place = after(hole); rowAt(place) !== 0; place = after(place)) {
        if (((place - homeOf(place)) & lastPlace) < ((place - hole) & lastPlace)) continue
        setPlace(hole, places[2 * place] ?? 0, rowAt(place))
        hole = place
      }
      setPlace(hole, 0, 0)
    },
    *entries() {
      for (let place = 0; place <= lastPlace; place++) {
        const row = rowAt(place)
        if (row === 0) continue
        const at = row * width + 1
        yield [keys.slice(at, at + (keys[at - 1] ?? 0)), values[row] as V]
      }
    },
  }
}
