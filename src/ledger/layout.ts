/**
 * The one map of the disk: every path under the data folder, every key prefix of the databases and
 * the version of it all. Whoever changes the meaning of a path, key or value raises FORMAT_VERSION, or INDEX_VERSION
 * where it is one of index/.
 */
import { join } from 'node:path'

/** Version of everything below. A folder with another version is refused with `data_folder_version`. */
export const FORMAT_VERSION = 1

/** Version of the rows of index/. An index of another version is made anew from the chain file; no folder is refused. */
export const INDEX_VERSION = 2

export interface DataFolder {
  /** The data folder itself. */
  readonly folder: string
  /** The truth: network parameters, then every connected block, as one append-only CARv1. */
  readonly chain: string
  /** LMDB, rebuilt from the chain file at any time. */
  readonly index: string
  /** LMDB, durable: pending transactions, peers, settings, durable length and tip of the chain. */
  readonly state: string
  /** LMDB and epoch keys: shares that this node keeps for others. Never in a backup. */
  readonly shares: string
  /** Ciphertexts of the embedded file store. */
  readonly files: string
  /** The node's Ed25519 seed, mode 0600. */
  readonly nodeKey: string
  /** The operator's token in hex, mode 0600. */
  readonly token: string
  /** `{"format": FORMAT_VERSION, "id": random}`; the id ties both databases to this folder. */
  readonly version: string
  /** Socket or lock file of the process that uses the folder. */
  readonly lock: string
}

/** The paths under `folder`; touches nothing. */
export const dataFolderPaths = (folder: string): DataFolder => ({
  folder,
  chain: join(folder, 'chain.car'),
  index: join(folder, 'index'),
  state: join(folder, 'state'),
  shares: join(folder, 'shares'),
  files: join(folder, 'files'),
  nodeKey: join(folder, 'node.key'),
  token: join(folder, 'token'),
  version: join(folder, 'version.json'),
  lock: join(folder, 'lock'),
})

/** Files of one LMDB folder. */
export const databasePaths = (folder: string) => ({
  folder,
  pages: join(folder, 'data.mdb'),
  /** How the database was left: see database-session.ts. */
  session: join(folder, 'session'),
  /** Written and removed again to see whether there is room. */
  probe: join(folder, 'probe'),
  /** A new database is made here and renamed when it is whole. */
  fresh: `${folder}.new`,
})

const prefix = (letter: string): number => letter.charCodeAt(0)

/** Key of every database: the id of the data folder that it belongs to. It names the version of a database that has its own. */
export const ownerKey = (version?: number): Uint8Array =>
  version === undefined ? Uint8Array.of(prefix('o')) : Uint8Array.of(prefix('o'), version)

/**
 * First byte of the keys of index/. Numbers are big-endian; a CID stands with all its bytes. A block is known by its offset
 * in the chain file. What there is for each transaction is short: there are millions of it.
 */
export const indexPrefix = {
  /** b + block CID -> block entry. */
  block: prefix('b'),
  /** h + height(4) -> offset(8), time(8), length(4) and CID of the main-chain block at this height. */
  height: prefix('h'),
  /** s + block CID -> nothing; a block in the chain file that is not on the main chain. */
  stale: prefix('s'),
  /** t + first bytes of the transaction's digest(8) + offset of the block(6) + position(3) -> nothing; one for each block that holds it. */
  transaction: prefix('t'),
  /**
   * x + offset of a block(6) + part(2) -> CID and height of the block, ids and places of some of its transactions. The last
   * letter: LMDB fills its pages only where a new key is the last of all.
   */
  contents: prefix('x'),
  /** l + digest of namespace and key(12) + inverted height(4) + inverted position(3) -> nothing; main chain only. */
  lookup: prefix('l'),
  /** c + table(1) + key -> value: the state of the contract after the tip: contract/rows.ts. */
  contract: prefix('c'),
  /** e + height(4) -> result codes and undo of a main-chain block; only where a code is not 0 or the state changed. */
  effects: prefix('e'),
  /** m -> end and tip of the index. */
  progress: prefix('m'),
} as const

/** First byte of the keys of state/. */
export const statePrefix = {
  /** c -> durable length of the chain file and CID of the tip. */
  chain: prefix('c'),
  /** p + sequence(8) -> pending transaction, in arrival order. */
  pending: prefix('p'),
  /** n + digest of the URL(20) -> peer. */
  peer: prefix('n'),
  /** s + digest of the name(20) -> setting. */
  setting: prefix('s'),
  /** k + digest of the CID(20) -> known file. */
  knownFile: prefix('k'),
  /** f + digest of the CID(20) -> what the operator decided about a file. */
  filePin: prefix('f'),
  /** r + record(36) + access(36) + custodian(36) -> signed receipt of a release. */
  release: prefix('r'),
} as const

/** First byte of the keys of shares/. A deposit is named by the SHA-256 of what its receipt signs. */
export const sharesPrefix = {
  /** e -> number(4) of the epoch under whose key deposits are written. */
  epoch: prefix('e'),
  /** d + deposit(32) -> epoch(4), nonce(12), deposit under the key of that epoch. */
  deposit: prefix('d'),
  /** w + key of the author(32) + deposit(32) -> time(8); a deposit of which no record is on the chain yet. */
  waiting: prefix('w'),
  /** x + deposit(32) -> nothing; it is being destroyed and is not read any more. */
  doomed: prefix('x'),
  /** h + patient(36) -> nothing; the patient has named other custodians, and shares may have to be handed to them. */
  move: prefix('h'),
  /** n + record(36) -> what this node has done for its erasure. */
  erasure: prefix('n'),
  /** t + deposit(32) -> record(36); the record is erased, and the deposit is not taken again. */
  erased: prefix('t'),
  /** p -> heights and ids of blocks up to which the chain has been read for records and erasures. */
  progress: prefix('p'),
} as const

/** The file of an epoch key in shares/, and the number in such a name. */
export const epochKeyName = (epoch: number): string => `epoch-${epoch}.key`
