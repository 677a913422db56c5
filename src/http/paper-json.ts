import { base32 } from 'multiformats/bases/base32'
import { base58btc } from 'multiformats/bases/base58'
import type { CID } from 'multiformats/cid'
import type { BlockPlace, RecordOnChain } from '../node/record-on-chain.js'
import type { Block } from '../protocol/block.js'
import { decodeFileCid } from '../protocol/cid.js'
import { clearLabelOf, fileOf, type SignedTransaction } from '../protocol/transaction.js'
import { type Static, Type } from '../typebox.js'

/** The shapes of the paper's API: its names, its order of keys, and our additions beside them. */

export const PaperTransaction = Type.Object({
  EHR_name: Type.Union([Type.String(), Type.Null()], { description: 'null where the record carries no clear label' }),
  file_name: Type.Union([Type.String(), Type.Null()]),
  id: Type.String({ description: 'CID of the signed transaction' }),
  ipfs_hash: Type.Union([Type.String(), Type.Null()], { description: 'null of what is no record' }),
  signer: Type.String({ description: 'Ed25519 key, hexadecimal' }),
  size: Type.Union([Type.String(), Type.Null()], { description: 'cumulative size of the DAG, as IPFS prints it' }),
  user_id: Type.Union([Type.String(), Type.Null()]),
})
export type PaperTransaction = Static<typeof PaperTransaction>

export const PaperBlock = Type.Object({
  hash: Type.String({ description: 'SHA-256 of the header, 64 hexadecimal digits' }),
  index: Type.Integer({ description: 'genesis has 1' }),
  miner: Type.String({ description: 'Ed25519 key, hexadecimal' }),
  nonce: Type.Integer(),
  previous_hash: Type.String({ description: '"0" for genesis' }),
  timestamp: Type.String({ description: 'UTC, as in 2020-09-02 23:31:41.258000' }),
  transactions: Type.Array(PaperTransaction),
})
export type PaperBlock = Static<typeof PaperBlock>

export const FileInfo = Type.Object({
  Hash: Type.String(),
  Name: Type.String(),
  Size: Type.String({ description: 'cumulative size of the DAG in bytes' }),
})
export type FileInfo = Static<typeof FileInfo>

/** A record that was found by name, with the block that says so. */
export const RecordMatch = Type.Object({
  'File info': FileInfo,
  EHR_name: Type.String(),
  user_id: Type.String(),
  block: Type.Object({ index: Type.Integer(), hash: Type.String(), timestamp: Type.String() }),
  confirmations: Type.Integer({ minimum: 1 }),
  transaction: Type.String(),
})
export type RecordMatch = Static<typeof RecordMatch>

/** By Buffer, which makes no text for each byte: an answer may be full of these. */
const hexOf = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString('hex')

/** As `CID.toString` has it, without the note of each text that it keeps beside its CID: nobody asks these twice. */
const textOf = ({ version, bytes }: CID): string => (version === 0 ? base58btc.baseEncode(bytes) : base32.encode(bytes))

/** Index of a block in the paper's count, which begins with 1. */
export const paperIndex = (header: { height: number }): number => header.height + 1

/** A time as Python prints it: UTC, with microseconds. */
export function paperTimestamp(ms: number): string {
  const iso = new Date(ms).toISOString()
  const date = iso.indexOf('T')
  return `${iso.slice(0, date)} ${iso.slice(date + 1, -1)}000`
}

export function paperTransaction(transaction: SignedTransaction): PaperTransaction {
  const { id, from } = transaction
  const [label, file] = [clearLabelOf(transaction), fileOf(transaction)]
  return {
    EHR_name: label?.EHR_name ?? null,
    file_name: label?.file_name ?? null,
    id: textOf(id),
    ipfs_hash: file ? textOf(decodeFileCid(file)) : null,
    signer: hexOf(from),
    size: label ? String(label.size) : null,
    user_id: label?.user_id ?? null,
  }
}

export function paperBlock({ header, transactions }: Pick<Block, 'header' | 'transactions'>): PaperBlock {
  return {
    hash: hexOf(header.id.multihash.digest),
    index: paperIndex(header),
    miner: hexOf(header.miner),
    nonce: header.nonce,
    previous_hash: header.height === 0 ? '0' : hexOf(header.parent.multihash.digest),
    timestamp: paperTimestamp(header.time),
    transactions: transactions.map(paperTransaction),
  }
}

/** Only records with a label are found by name. */
export function recordMatch({ transaction, block, confirmations }: RecordOnChain): RecordMatch | undefined {
  const [label, file] = [clearLabelOf(transaction), fileOf(transaction)]
  if (!label || !file) return undefined
  return {
    'File info': { Hash: textOf(decodeFileCid(file)), Name: label.file_name, Size: String(label.size) },
    EHR_name: label.EHR_name,
    user_id: label.user_id,
    block: blockPlace(block.header),
    confirmations,
    transaction: textOf(transaction.id),
  }
}

export const blockPlace = (header: BlockPlace['header']): RecordMatch['block'] => ({
  index: paperIndex(header),
  hash: hexOf(header.id.multihash.digest),
  timestamp: paperTimestamp(header.time),
})
