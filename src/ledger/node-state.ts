/** What a node must not forget and cannot read from the chain file: its durable notes. */
import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { failpoint } from '../failpoint.js'
import { idKey } from '../protocol/cid.js'
import type { Database } from './database.js'
import { createJsonTable, type JsonTable } from './json-table.js'
import { joinKey, keyAfter, readUint64Key, uint64Key } from './keys.js'
import { statePrefix } from './layout.js'
import { createReleaseLog, type ReleaseLog } from './release-log.js'

/** A transaction that waits for a block. */
export interface PendingTransaction {
  readonly id: CID
  readonly bytes: Uint8Array
}

/** Up to where the chain file is acknowledged, and the tip that goes with it. */
export interface DurableChain {
  readonly length: number
  readonly tip: CID
}

/** Changes of what is pending. */
export interface PendingChange {
  /** Transactions that come back from blocks that lost; they go before all others, in this order. */
  readonly restore?: readonly PendingTransaction[]
  /** Ids of transactions that wait no longer; unknown ones are passed over. */
  readonly remove?: readonly CID[]
}

export interface PendingTransactions {
  /**
   * Notes a transaction as the last one. Durable when it resolves; calls at one time share a commit. A
   * transaction that is noted already keeps its place.
   * @throws disk_full, disk_failed; it is not pending then
   */
  putPending(id: CID, bytes: Uint8Array): Promise<void>
  removePending(ids: readonly CID[]): Promise<void>
  /** In arrival order. @throws index_damaged */
  pending(): Iterable<PendingTransaction>
}

export interface NodeState extends PendingTransactions {
  chain(): DurableChain | undefined
  /** Notes length and tip of the chain at once, on this thread: for opening, when nothing else runs yet. */
  beginChain(chain: DurableChain): void
  /** Notes length and tip of the chain together with changes of what is pending, all or nothing. */
  commitChain(chain: DurableChain, change?: PendingChange): Promise<void>
  /** By URL. */
  readonly peers: JsonTable
  /** By name, such as the choice of the file store. */
  readonly settings: JsonTable
  /** By CID: name and size of files that this node was asked to hash. */
  readonly knownFiles: JsonTable
  /** By CID: whether a file is kept, or was deleted on purpose. */
  readonly filePins: JsonTable
  /** Signed receipts of the shares that custodians gave out. */
  readonly releases: ReleaseLog
  close(): Promise<void>
}

const chainKey = Uint8Array.of(statePrefix.chain)
const pendingStart = Uint8Array.of(statePrefix.pending)
const pendingKey = (sequence: number): Uint8Array => joinKey(statePrefix.pending, uint64Key(sequence))
const encodePending = ({ id, bytes }: PendingTransaction): Uint8Array => encode([id.bytes, bytes])

const encodeChain = ({ length, tip }: DurableChain): Uint8Array => encode([length, tip.bytes])

/** Sequence numbers begin in the middle, since restored transactions go before the first. */
const FIRST_SEQUENCE = 2 ** 48

interface Slot {
  readonly sequence: number
  /** Resolves when the transaction is on disk. */
  readonly durable: Promise<void>
}

/** The state in an open, durable database. */
export const createNodeState = (database: Database): NodeState => {
  const slots = new Map<string, Slot>()
  let first = FIRST_SEQUENCE
  let next = FIRST_SEQUENCE

  const rows = function* (): Generator<{ sequence: number; transaction: PendingTransaction }> {
    for (const { key, value } of database.rows({ start: pendingStart, end: keyAfter(pendingStart) })) {
      const [id, bytes] = decode<[Uint8Array, Uint8Array]>(value)
      yield { sequence: readUint64Key(key, 1), transaction: { id: CID.decode(id), bytes } }
    }
  }
  for (const { sequence, transaction } of rows()) {
    slots.set(idKey(transaction.id), { sequence, durable: Promise.resolve() })
    first = Math.min(first, sequence)
    next = Math.max(next, sequence + 1)
  }

  /** The slots of these ids, which are free for new transactions from now on. */
  const takeSlots = (ids: readonly CID[]): { id: string; slot: Slot }[] => {
    // Keys cost time, and a node that catches up takes many ids while nothing waits.
    if (slots.size === 0) return []
    return ids.flatMap((id) => {
      const name = idKey(id)
      const slot = slots.get(name)
      slots.delete(name)
      return slot ? [{ id: name, slot }] : []
    })
  }

  const writeChange = async (chain: DurableChain | undefined, change: PendingChange): Promise<void> => {
    const removed = takeSlots(change.remove ?? [])
    const restored = (change.restore ?? []).filter(({ id }) => !slots.has(idKey(id)))
    first -= restored.length
    const firstRestored = first
    const written = database.write((writes) => {
      for (const { slot } of removed) writes.remove(pendingKey(slot.sequence))
      restored.forEach((transaction, at) => {
        writes.put(pendingKey(firstRestored + at), encodePending(transaction))
      })
      if (chain) writes.put(chainKey, encodeChain(chain))
    })
    restored.forEach(({ id }, at) => {
      slots.set(idKey(id), { sequence: firstRestored + at, durable: written })
    })
    try {
      await written
    } catch (error) {
      for (const { id } of restored) slots.delete(idKey(id))
      for (const { id, slot } of removed) slots.set(id, slot)
      throw error
    }
  }

  return {
    putPending(id, bytes) {
      const name = idKey(id)
      const known = slots.get(name)
      if (known) return known.durable
      const sequence = next++
      failpoint('pending.put.begin')
      const durable = database
        .write((writes) => writes.put(pendingKey(sequence), encodePending({ id, bytes })))
        .then(() => failpoint('pending.put.done'))
      const slot = { sequence, durable }
      slots.set(name, slot)
      return durable.catch((error: unknown) => {
        if (slots.get(name) === slot) slots.delete(name)
        throw error
      })
    },

    removePending: (ids) => writeChange(undefined, { remove: ids }),

    *pending() {
      for (const { transaction } of rows()) yield transaction
    },

    chain() {
      const bytes = database.get(chainKey)
      if (!bytes) return undefined
      const [length, tip] = decode<[number, Uint8Array]>(bytes)
      return { length, tip: CID.decode(tip) }
    },

    beginChain: (chain) => database.writeNow((writes) => writes.put(chainKey, encodeChain(chain))),
    commitChain: (chain, change = {}) => writeChange(chain, change),

    peers: createJsonTable(database, statePrefix.peer),
    settings: createJsonTable(database, statePrefix.setting),
    knownFiles: createJsonTable(database, statePrefix.knownFile),
    filePins: createJsonTable(database, statePrefix.filePin),
    releases: createReleaseLog(database),
    close: () => database.close(),
  }
}
