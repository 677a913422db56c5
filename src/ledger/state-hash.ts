import { createHash, type Hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { encode } from '@ipld/dag-cbor'
import type { CID } from 'multiformats/cid'
import type { BlockEntry } from './block-entry.js'
import type { Database, Row } from './database.js'
import { keyAfter } from './keys.js'
import { indexPrefix } from './layout.js'
import { type ChainPosition, type Match, readLookupKey } from './lookup-table.js'
import { idOfMainChainBlock } from './main-chain-row.js'
import { transactionOfKey } from './transaction-table.js'

export interface StateHashParts {
  readonly database: Database
  tip(): BlockEntry | undefined
  block(id: CID): BlockEntry | undefined
  isOnMainChain(block: Pick<BlockEntry, 'id' | 'height'>): boolean
  matchAt(place: ChainPosition): Match
}

const PAGE = 1_000

/**
 * SHA-256, in hexadecimal, of all that an index says of the main chain: each height with its block, each
 * transaction with its place, each row under which a record is found, the state of the contract. Where bytes lie in the chain file and
 * what is known of other branches do not count, so two indexes with one tip agree, however they came there.
 */
export async function stateHashOf({ database, tip, block, isOnMainChain, matchAt }: StateHashParts): Promise<string> {
  for (;;) {
    const before = tip()
    const hash = createHash('sha256')
    for await (const { key, value } of allRows(database, indexPrefix.height)) {
      const entry = block(idOfMainChainBlock(value))
      add(hash, ['height', key, entry ? factsOf(entry) : null])
    }
    for await (const { key } of allRows(database, indexPrefix.transaction)) {
      const { id, block: holder, height, position } = transactionOfKey(database, key)
      if (isOnMainChain({ id: holder, height })) add(hash, ['transaction', id.bytes, height, position])
    }
    for await (const { key } of allRows(database, indexPrefix.lookup)) {
      add(hash, ['lookup', key, matchAt(readLookupKey(key)).id.bytes])
    }
    for (const [name, prefix] of [
      ['contract', indexPrefix.contract] as const,
      ['effects', indexPrefix.effects] as const,
    ]) {
      for await (const { key, value } of allRows(database, prefix)) add(hash, [name, key, value])
    }
    add(hash, ['tip', before ? factsOf(before) : null])
    const after = tip()
    if (before === after || (before && after?.id.equals(before.id))) return hash.digest('hex')
  }
}

const factsOf = ({ id, parent, height, totalWork, time, transactionCount }: BlockEntry): unknown[] => [
  id.bytes,
  parent.bytes,
  height,
  totalWork.toString(16),
  time,
  transactionCount,
]

/** Each item delimits itself, so no two lists of them have the same bytes. */
const add = (hash: Hash, item: unknown[]): void => void hash.update(encode(item))

/** Rows page by page, so that others get their turn in between. */
async function* allRows(database: Pick<Database, 'rows'>, prefix: number): AsyncGenerator<Row> {
  const end = keyAfter(Uint8Array.of(prefix))
  for (let start: Uint8Array = Uint8Array.of(prefix); ; ) {
    const rows = database.rows({ start, end, limit: PAGE })
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return
    start = Buffer.concat([last.key, Uint8Array.of(0)])
    await nextTurn()
  }
}
