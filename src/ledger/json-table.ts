import { failpoint } from '../failpoint.js'
import type { Database } from './database.js'
import { keyDigest } from './digest.js'
import { joinKey, keyAfter } from './keys.js'

/** What JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** Small durable values by name. */
export interface JsonTable {
  get(name: string): Json | undefined
  /** Durable when it resolves. */
  put(name: string, value: Json): Promise<void>
  remove(name: string): Promise<void>
  /** All names and values, in an order that stays the same. */
  entries(): [name: string, value: Json][]
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** A table whose keys begin with `prefix`. Names may be of any length: their digest is the key. */
export const createJsonTable = (database: Database, prefix: number): JsonTable => {
  const keyOf = (name: string): Uint8Array => joinKey(prefix, keyDigest('', encoder.encode(name)))
  const parse = (bytes: Uint8Array): [string, Json] => JSON.parse(decoder.decode(bytes))

  return {
    get(name) {
      const bytes = database.get(keyOf(name))
      return bytes && parse(bytes)[1]
    },
    async put(name, value) {
      failpoint('table.put.begin')
      await database.write((writes) => writes.put(keyOf(name), encoder.encode(JSON.stringify([name, value]))))
      failpoint('table.put.done')
    },
    async remove(name) {
      failpoint('table.remove.begin')
      await database.write((writes) => writes.remove(keyOf(name)))
      failpoint('table.remove.done')
    },
    entries: () => {
      const start = Uint8Array.of(prefix)
      return database.rows({ start, end: keyAfter(start) }).map(({ value }) => parse(value))
    },
  }
}
