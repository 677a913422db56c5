/**
 * Which blocks hold a transaction, and what a block holds. There is a row for each transaction, which has only the first
 * bytes of its id, and rows for each block that have the ids in full with their places: whoever reads the first kind
 * compares with the second, so that two ids that begin alike are not taken for each other.
 */
import type { CID } from 'multiformats/cid'
import { equalBytes } from '../protocol/canonical.js'
import { CHAIN_CID_LENGTH, chainCidAt, cidOfDigest } from '../protocol/cid.js'
import type { IndexedBlock } from './block-entry.js'
import type { Database, Writes } from './database.js'
import { joinKey, keyAfter, shortKey } from './keys.js'
import { indexPrefix } from './layout.js'
import { type ChainPosition, POSITION_LENGTH } from './lookup-table.js'
import type { Place } from './section.js'

/** A transaction of a stored block, with the place of its section. */
export interface Contained extends Place, ChainPosition {
  readonly id: CID
  readonly block: CID
}

const START_LENGTH = 8
const OFFSET_LENGTH = 6

/** Transactions of one row of a block: four such rows fill a page of LMDB. */
const PART = 26
/** CID of the block, its height, offset of the first section from that of the block. */
const HEIGHT_AT = CHAIN_CID_LENGTH
const BEGIN_AT = HEIGHT_AT + 4
/** For each transaction the offset behind its section, from that of the block, and its digest. */
const ITEMS_AT = BEGIN_AT + 4
const DIGEST_LENGTH = 32
const ITEM_LENGTH = 4 + DIGEST_LENGTH

const startOf = (id: CID): Uint8Array => id.multihash.digest.subarray(0, START_LENGTH)

const rowKey = (id: CID, blockOffset: number, position: number): Uint8Array =>
  joinKey(
    indexPrefix.transaction,
    startOf(id),
    shortKey(blockOffset, OFFSET_LENGTH),
    shortKey(position, POSITION_LENGTH),
  )

const partKey = (blockOffset: number, part: number): Uint8Array =>
  joinKey(indexPrefix.contents, shortKey(blockOffset, OFFSET_LENGTH), shortKey(part, 2))

const nothing = new Uint8Array(0)

const encodePart = ({ entry, transactions }: IndexedBlock, from: number): Uint8Array => {
  const items = transactions.slice(from, from + PART)
  const bytes = Buffer.allocUnsafe(ITEMS_AT + items.length * ITEM_LENGTH)
  bytes.set(entry.id.bytes)
  bytes.writeUInt32BE(entry.height, HEIGHT_AT)
  bytes.writeUInt32BE((items[0]?.offset ?? entry.offset) - entry.offset, BEGIN_AT)
  for (const [at, { id, offset, length }] of items.entries()) {
    const item = ITEMS_AT + at * ITEM_LENGTH
    bytes.writeUInt32BE(offset + length - entry.offset, item)
    bytes.set(id.multihash.digest, item + 4)
  }
  return bytes
}

/** Adds the transactions of a block that is new in the chain file: 40,000 at most, whose sections lie side by side. */
export const addTransactions = (writes: Writes, block: IndexedBlock): void => {
  const { entry, transactions } = block
  for (const [position, { id }] of transactions.entries()) writes.put(rowKey(id, entry.offset, position), nothing)
  for (let from = 0; from < transactions.length; from += PART) {
    writes.put(partKey(entry.offset, from / PART), encodePart(block, from))
  }
}

/** Removes the transactions of a block that leaves the chain file. */
export const removeTransactions = (writes: Writes, { entry, transactions }: IndexedBlock): void => {
  for (const [position, { id }] of transactions.entries()) writes.remove(rowKey(id, entry.offset, position))
  for (let from = 0; from < transactions.length; from += PART) writes.remove(partKey(entry.offset, from / PART))
}

/**
 * Gives what reads the transaction at a position of the block that begins at an offset; it throws index_damaged. The row
 * of the one before is not read again, so that what is asked for together costs less. To be dropped before the database changes.
 */
export const readTransactions = (
  database: Pick<Database, 'get' | 'condemn'>,
): ((blockOffset: number, position: number) => Contained) => {
  let last: { readonly blockOffset: number; readonly part: number; readonly row: Uint8Array } | undefined
  const rowOf = (blockOffset: number, part: number): Uint8Array => {
    if (last?.blockOffset !== blockOffset || last.part !== part) {
      const row = database.get(partKey(blockOffset, part))
      if (!row) throw database.condemn()
      last = { blockOffset, part, row }
    }
    return last.row
  }
  return (blockOffset, position) => {
    const row = rowOf(blockOffset, Math.floor(position / PART))
    const at = position % PART
    const item = ITEMS_AT + at * ITEM_LENGTH
    if (item + ITEM_LENGTH > row.length) throw database.condemn()
    const bytes = Buffer.from(row.buffer, row.byteOffset, row.length)
    const begin = bytes.readUInt32BE(at === 0 ? BEGIN_AT : item - ITEM_LENGTH)
    return {
      id: cidOfDigest(row.subarray(item + 4, item + ITEM_LENGTH)),
      block: chainCidAt(row, 0),
      height: bytes.readUInt32BE(HEIGHT_AT),
      position,
      offset: blockOffset + begin,
      length: bytes.readUInt32BE(item) - begin,
    }
  }
}

/** Every block of every branch that holds the transaction. @throws index_damaged */
export const holdersOf = (database: Database, id: CID): Contained[] => {
  const prefix = joinKey(indexPrefix.transaction, startOf(id))
  return database
    .rows({ start: prefix, end: keyAfter(prefix) })
    .map(({ key }) => transactionOfKey(database, key))
    .filter((found) => equalBytes(found.id.bytes, id.bytes))
}

/** The transaction that a row of this key is about. @throws index_damaged */
export const transactionOfKey = (database: Database, key: Uint8Array): Contained => {
  const numbers = Buffer.from(key.buffer, key.byteOffset, key.length)
  const offsetAt = 1 + START_LENGTH
  const positionAt = offsetAt + OFFSET_LENGTH
  return readTransactions(database)(
    numbers.readUIntBE(offsetAt, OFFSET_LENGTH),
    numbers.readUIntBE(positionAt, POSITION_LENGTH),
  )
}
