import { equalBytes } from '../protocol/canonical.js'

/** A map whose keys are byte strings; it keeps them, and nobody may write to them after. */
export interface ByteMap<V> {
  get(key: Uint8Array): V | undefined
  set(key: Uint8Array, value: V): void
  delete(key: Uint8Array): void
  entries(): Iterable<readonly [key: Uint8Array, value: V]>
}

interface Entry<V> {
  readonly key: Uint8Array
  value: V
  next: Entry<V> | undefined
}

/**
 * Keys here are ids one after the other: 8 of their bytes, which are bytes of SHA-256, spread them well, and 32 bits
 * of work for each that is to fall into the same place are more than it is worth to slow down a search.
 */
function placeOf(key: Uint8Array): number {
  const end = key.length
  const first = ((key[4] ?? 0) << 24) | ((key[5] ?? 0) << 16) | ((key[6] ?? 0) << 8) | (key[7] ?? 0)
  const last =
    ((key[end - 1] ?? 0) << 24) | ((key[end - 2] ?? 0) << 16) | ((key[end - 3] ?? 0) << 8) | (key[end - 4] ?? 0)
  return first ^ last
}

export function createByteMap<V>(): ByteMap<V> {
  const places = new Map<number, Entry<V>>()
  const find = (key: Uint8Array): Entry<V> | undefined => {
    let entry = places.get(placeOf(key))
    while (entry && !equalBytes(entry.key, key)) entry = entry.next
    return entry
  }
  return {
    get: (key) => find(key)?.value,
    set(key, value) {
      const known = find(key)
      if (known) known.value = value
      else places.set(placeOf(key), { key, value, next: places.get(placeOf(key)) })
    },
    delete(key) {
      const place = placeOf(key)
      const rest: Entry<V>[] = []
      for (let entry = places.get(place); entry; entry = entry.next) if (!equalBytes(entry.key, key)) rest.push(entry)
      let chain: Entry<V> | undefined
      for (const entry of rest) chain = { ...entry, next: chain }
      if (chain) places.set(place, chain)
      else places.delete(place)
    },
    *entries() {
      for (const first of places.values()) {
        for (let entry: Entry<V> | undefined = first; entry; entry = entry.next) yield [entry.key, entry.value]
      }
    },
  }
}
