import type { CID } from 'multiformats/cid'
import type { LookupKey, PlacedTransaction } from './block-entry.js'
import type { Database, Row, Writes } from './database.js'
import { keyDigest } from './digest.js'
import { keyAfter } from './keys.js'
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
  readonly block: CID
  /** Of its block, in ms since 1970. */
  readonly time: number
}

export interface NewestOptions {
  /** At most this many. */
  readonly limit: number
  /** Only what is older than this position: the last match of the page before. */
  readonly before?: ChainPosition
}

const PAGE = 64
/**
 * To make two labels of one digest takes 2^48 tries, and who does finds records of his own under both; to make one with
 * the digest of another's label takes 2^96.
 */
const DIGEST_LENGTH = 12
const HEIGHT_AT = 1 + DIGEST_LENGTH
const POSITION_AT = HEIGHT_AT + 4
/** Bytes of a position in a key. */
export const POSITION_LENGTH = 3
const LAST_POSITION = 2 ** (8 * POSITION_LENGTH) - 1
const ROW_LENGTH = POSITION_AT + POSITION_LENGTH
const LAST_HEIGHT = 2 ** 32 - 1

const nothing = new Uint8Array(0)

/**
 * A row is its key alone: the prefix, a digest of namespace and label, then height and position. These are inverted, so that the
 * rows of one label stand side by side, the newest first, and a page of them is one range. There is a row for each label of a
 * transaction on the main chain, and none for others.
 */
const rowKey = (
  { namespace, key }: LookupKey,
  { height, position }: ChainPosition = { height: LAST_HEIGHT, position: LAST_POSITION },
): Buffer => {
  const row = Buffer.allocUnsafe(ROW_LENGTH)
  row[0] = indexPrefix.lookup
  row.set(keyDigest(namespace, key, DIGEST_LENGTH), 1)
  // A reader may ask for what is before a position that no transaction has.
  row.writeUInt32BE(LAST_HEIGHT - Math.min(height, LAST_HEIGHT), HEIGHT_AT)
  row.writeUIntBE(LAST_POSITION - Math.min(position, LAST_POSITION), POSITION_AT, POSITION_LENGTH)
  return row
}

/** The height and position that a row's key names. */
export const readLookupKey = (key: Uint8Array): ChainPosition => {
  const row = Buffer.from(key.buffer, key.byteOffset, key.length)
  return {
    height: LAST_HEIGHT - row.readUInt32BE(HEIGHT_AT),
    position: LAST_POSITION - row.readUIntBE(POSITION_AT, POSITION_LENGTH),
  }
}

/** Adds the lookups of one transaction of a block that enters the main chain. */
export const addLookups = (writes: Writes, place: ChainPosition, { lookups }: PlacedTransaction): void => {
  for (const label of lookups) writes.put(rowKey(label, place), nothing)
}

/** Removes the lookups of one transaction of a block that leaves the main chain. */
export const removeLookups = (writes: Writes, place: ChainPosition, { lookups }: PlacedTransaction): void => {
  for (const label of lookups) writes.remove(rowKey(label, place))
}

/** Where on the main chain transactions with this label stand, newest first. */
export const newestPositions = (
  database: Pick<Database, 'rows'>,
  label: LookupKey,
  { limit, before }: NewestOptions,
): ChainPosition[] => {
  const first = rowKey(label, before)
  const end = keyAfter(first.subarray(0, HEIGHT_AT))
  const start = before ? keyAfter(first) : first
  return database.rows({ start, end, limit }).map(({ key }: Row) => readLookupKey(key))
}

/** All of them, newest first, read page by page: a change of the main chain may show between two pages. */
export function* allPositions(
  database: Pick<Database, 'rows'>,
  label: LookupKey,
): Generator<ChainPosition, void, void> {
  for (let before: ChainPosition | undefined; ; ) {
    const page: ChainPosition[] = newestPositions(database, label, { limit: PAGE, ...(before ? { before } : {}) })
    yield* page
    before = page.at(-1)
    if (!before || page.length < PAGE) return
  }
}
