import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import type { LookupKey, PlacedTransaction } from './block-entry.js'
import type { Database, Writes } from './database.js'
import { KEY_DIGEST_LENGTH, keyDigest } from './digest.js'
import { joinKey, keyAfter } from './keys.js'
import { indexPrefix } from './layout.js'
import type { Place } from './section.js'

/** Where on the main chain a transaction stands. */
export interface ChainPosition {
  readonly height: number
  /** Number of transactions before it in its block. */
  readonly position: number
}

/** A transaction on the main chain that was found under a lookup key; the place is that of its section. */
export interface Match extends ChainPosition, Place {
  readonly id: CID
}

export interface NewestOptions {
  /** At most this many. */
  readonly limit: number
  /** Only what is older than this position: the last match of the page before. */
  readonly before?: ChainPosition
}

const PAGE = 64
const INVERT = 0xffff_ffff

const labelPrefix = ({ namespace, key }: LookupKey): Uint8Array =>
  joinKey(indexPrefix.lookup, keyDigest(namespace, key))

/** Height and position are inverted, so that the newest match is the first key. */
const rowKey = ({ namespace, key }: LookupKey, height: number, position: number): Uint8Array => {
  const row = Buffer.allocUnsafe(1 + KEY_DIGEST_LENGTH + 8)
  row[0] = indexPrefix.lookup
  row.set(keyDigest(namespace, key), 1)
  row.writeUInt32BE(INVERT - height, 1 + KEY_DIGEST_LENGTH)
  row.writeUInt32BE(INVERT - position, 1 + KEY_DIGEST_LENGTH + 4)
  return row
}

/** Adds the lookups of one transaction of a block that enters the main chain. */
export const addLookups = (writes: Writes, height: number, position: number, transaction: PlacedTransaction): void => {
  const value = encode([transaction.id.bytes, transaction.offset, transaction.length])
  for (const label of transaction.lookups) writes.put(rowKey(label, height, position), value)
}

/** Removes the lookups of one transaction of a block that leaves the main chain. */
export const removeLookups = (
  writes: Writes,
  height: number,
  position: number,
  transaction: PlacedTransaction,
): void => {
  for (const label of transaction.lookups) writes.remove(rowKey(label, height, position))
}

const toMatch = (key: Uint8Array, value: Uint8Array): Match => {
  const numbers = Buffer.from(key).subarray(1 + KEY_DIGEST_LENGTH)
  const [id, offset, length] = decode<[Uint8Array, number, number]>(value)
  return {
    height: INVERT - numbers.readUInt32BE(0),
    position: INVERT - numbers.readUInt32BE(4),
    id: CID.decode(id),
    offset,
    length,
  }
}

/** Matches on the main chain, newest first. */
export const newestMatches = (database: Database, label: LookupKey, { limit, before }: NewestOptions): Match[] => {
  const prefix = labelPrefix(label)
  const start = before ? Buffer.concat([rowKey(label, before.height, before.position), Uint8Array.of(0)]) : prefix
  return database.rows({ start, end: keyAfter(prefix), limit }).map(({ key, value }) => toMatch(key, value))
}

/** All matches, newest first, read page by page: a change of the main chain may show between two pages. */
export function* allMatches(database: Database, label: LookupKey): Generator<Match, void, void> {
  for (let before: ChainPosition | undefined; ; ) {
    const page: Match[] = newestMatches(database, label, { limit: PAGE, ...(before ? { before } : {}) })
    yield* page
    before = page.at(-1)
    if (!before || page.length < PAGE) return
  }
}
