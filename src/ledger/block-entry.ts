import { decode, encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import type { ApplyBlock } from './contract-rows.js'
import type { Place } from './section.js'

/** A record label under which a transaction is found, such as a name or the CID of a file. */
export interface LookupKey {
  readonly namespace: string
  readonly key: Uint8Array
}

/** What the ledger is told about one transaction. */
export interface TransactionFacts {
  readonly id: CID
  /** Where the transaction is found while its block is on the main chain. */
  readonly lookups: readonly LookupKey[]
}

/** What the ledger is told about one chain block. */
export interface BlockFacts {
  readonly id: CID
  /** Id of the parent; for genesis the CID of the network parameters. */
  readonly parent: CID
  readonly height: number
  /** Work of this block alone. */
  readonly work: bigint
  /** Milliseconds since 1970. */
  readonly time: number
  /** In the order of the block. */
  readonly transactions: readonly TransactionFacts[]
  /** What the contract makes of it; left out where all codes are 0 and the state stays as it is. */
  readonly apply?: ApplyBlock | undefined
}

/** A chain block in the index. `offset` and `length` are those of its run of sections in the chain file. */
export interface BlockEntry extends Place {
  readonly id: CID
  readonly parent: CID
  readonly height: number
  /** Work of this block and all its ancestors. */
  readonly totalWork: bigint
  readonly time: number
  readonly transactionCount: number
  /** Bytes of the header. */
  readonly header: Uint8Array
  /** Bytes of the signature's section; null for genesis, which nobody signed. */
  readonly signature: Uint8Array | null
}

/** A transaction of a block with the place of its section. */
export interface PlacedTransaction extends TransactionFacts, Place {}

/** All that the index notes about one chain block. */
export interface IndexedBlock {
  readonly entry: BlockEntry
  readonly transactions: readonly PlacedTransaction[]
  readonly apply?: ApplyBlock | undefined
}

const workToBytes = (work: bigint): Uint8Array => {
  const hex = work.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
}

export const encodeBlockEntry = (entry: BlockEntry): Uint8Array =>
  encode([
    entry.parent.bytes,
    entry.height,
    workToBytes(entry.totalWork),
    entry.time,
    entry.transactionCount,
    entry.offset,
    entry.length,
    entry.header,
    entry.signature,
  ])

type EncodedEntry = [Uint8Array, number, Uint8Array, number, number, number, number, Uint8Array, Uint8Array | null]

/** The bytes are ours: the check of the database says that they are as `encodeBlockEntry` gave them. */
export const decodeBlockEntry = (id: CID, bytes: Uint8Array): BlockEntry => {
  const [parent, height, work, time, transactionCount, offset, length, header, signature] = decode<EncodedEntry>(bytes)
  const totalWork = BigInt(`0x${Buffer.from(work).toString('hex')}`)
  return {
    id,
    parent: CID.decode(parent),
    height,
    totalWork,
    time,
    transactionCount,
    offset,
    length,
    header,
    signature,
  }
}
