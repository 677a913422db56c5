import type { CID } from 'multiformats/cid'
import type { BlockBuffers } from './block-buffers.js'

/** What a store knows about a file that it holds. */
export interface StoredFile {
  /** The CID in its normal form: CIDv0 for dag-pb, CIDv1 for a raw block. */
  readonly cid: CID
  /** Bytes of the whole DAG as Kubo prints them in `Size`: the root block and the `Tsize` of each of its links. */
  readonly size: number
  /** Bytes of the file itself. */
  readonly fileSize: number
}

/** How well a store works: `degraded` says what is wrong in `detail`. */
export interface FileStoreHealth {
  readonly state: 'ok' | 'degraded'
  readonly detail?: string
}

export interface FileStoreCall {
  /** Ends the call with EmrError `cancelled`, or with the signal's reason if that is an EmrError. */
  readonly signal?: AbortSignal | undefined
}

export interface ReadCall extends FileStoreCall {
  /** Where the bytes come to lie, for a reader that gives them back; without it each piece is fresh memory. */
  readonly buffers?: BlockBuffers | undefined
}

/** Bytes of a file from one position to another, both included; negative ones count from its end, -1 is the last byte. */
export interface AskedBytes {
  readonly from: number
  /** Undefined is the end of the file. */
  readonly to: number | undefined
}

/** Which blocks of a file a CAR has, and how often. By default all, each once. */
export interface CarShape {
  /** Only the root. */
  readonly onlyRoot?: boolean
  /** Only what is needed to check and read these bytes; the root always. */
  readonly bytes?: AskedBytes | undefined
  /** A block comes each time that the file has it. */
  readonly dups?: boolean
}

/** A part of a file. */
export interface ReadRange extends ReadCall {
  /** Bytes from `start` to `end`, not included; those behind the end of the file are not there. */
  readonly range?: { readonly start: number; readonly end: number } | undefined
}

export interface ImportLimits extends FileStoreCall {
  /** Greatest number of bytes, of the CAR and of the file in it. */
  readonly maxBytes?: number | undefined
}

/** An inner block is looked up in the file of which it is a part; without `within` only roots are found everywhere. */
export interface BlockCall extends FileStoreCall {
  readonly within?: CID | undefined
}

/** An IPFS daemon as others reach it. */
export interface DaemonAddresses {
  /** Its libp2p peer id, as text. */
  readonly id: string
  /** Multiaddresses at which it says that it answers, without its id. */
  readonly addresses: readonly string[]
}

/**
 * The daemon behind a store, as one among other daemons: they give each other blocks by bitswap. Each call can also
 * end with the store's own failures.
 */
export interface Swarm {
  /** Whether the daemon runs on this machine, so that loopback means the same to it. */
  readonly isLocal: boolean

  /** What the daemon announces of itself. */
  self(call?: FileStoreCall): Promise<DaemonAddresses>

  /** Makes the daemon dial another at one of these addresses, unless they are connected; true when they are. */
  connect(daemon: DaemonAddresses, call?: FileStoreCall): Promise<boolean>

  /**
   * Takes a file from the daemons that this one is connected to, block by block, each checked. Then it is
   * pinned as by `importCar`. Undefined where blocks do not come in time.
   *
   * @throws EmrError `not_a_file`, `file_too_large`, `file_damaged`, `cancelled`
   */
  fetch(cid: CID, limits?: ImportLimits): Promise<StoredFile | undefined>
}

/** How many copies a store that keeps them on several machines has of a file, and how each machine stands. */
export interface Replication {
  /** Machines that have pinned it whole. */
  readonly pinned: number
  /** Least and most copies that are wanted; -1 is one on every machine. */
  readonly wanted: { readonly least: number; readonly most: number }
  /** Each machine of the store, by name; `state` as IPFS Cluster calls it, such as `pinned`, `pinning`, `remote`. */
  readonly machines: readonly { readonly name: string; readonly state: string; readonly error?: string }[]
}

/**
 * A content store: files as UnixFS by Kubo's profile `unixfs-v0-2015`, named by CID. Whatever it answers was checked
 * against that CID: right bytes or an error, never wrong bytes, never silently short. A CID may be given as CIDv0 or
 * CIDv1; other forms than dag-pb or raw with SHA-256 are `malformed_cid`. It asks no other node for anything, but by
 * `swarm`.
 *
 * Every call can also end with the store's own failures: `disk_full`, `disk_failed`, `file_store_unreachable`,
 * `file_store_timeout`, `file_store_failed`, and with `closing` after `close`.
 */
export interface FileStore {
  readonly kind: 'embedded' | 'kubo'

  /** The daemon behind the store among other daemons; absent in a store without one. */
  readonly swarm?: Swarm

  /**
   * Stores the bytes of `source`; when it answers, the file is durable and pinned. On failure the file is not there; only
   * a daemon that stalled after it had taken all of it may keep it when it goes on. An error of `source` comes out
   * unchanged. The source may write over a chunk once it is asked for the next one.
   *
   * @throws EmrError `cancelled`, `file_store_mismatch`
   */
  add(source: AsyncIterable<Uint8Array>, call?: FileStoreCall): Promise<StoredFile>

  /** Whether the whole file is kept here and pinned, as far as is known without reading it. */
  has(cid: CID, call?: FileStoreCall): Promise<boolean>

  /** @throws EmrError `file_unavailable` if the file is not here, `file_damaged`, `not_a_file` */
  stat(cid: CID, call?: FileStoreCall): Promise<StoredFile>

  /**
   * The bytes of the file, or of a range of it; blocks without a byte of the range are not read.
   *
   * @throws EmrError `file_unavailable`, `file_damaged`, `not_a_file`, `cancelled`
   */
  read(cid: CID, call?: ReadRange): AsyncIterable<Uint8Array>

  /**
   * The file as CARv1 with `cid` as its root, depth first: the body of `GET /ipfs/{cid}?format=car`
   * (specs.ipfs.tech/http-gateways/trustless-gateway). The first piece comes when the root has been checked.
   *
   * @throws EmrError as `read`
   */
  exportCar(cid: CID, call?: ReadCall, shape?: CarShape): AsyncIterable<Uint8Array>

  /** One block as it is hashed: the body of `GET /ipfs/{cid}?format=raw`. @throws EmrError `file_unavailable`, `file_damaged` */
  getBlock(cid: CID, call?: BlockCall): Promise<Uint8Array>

  /**
   * Stores the file `cid` from a CARv1 of which nothing is believed: its root must be `cid`, its blocks must match
   * their CIDs, come depth first, all belong to the file and make it complete. Then the file is durable and pinned as
   * by `add`; on any failure it is not there.
   *
   * @throws EmrError `malformed_car`, `wrong_cid`, `car_foreign_block`, `car_incomplete`, `not_a_file`,
   * `file_too_large`, `cancelled`
   */
  importCar(cid: CID, source: AsyncIterable<Uint8Array>, limits?: ImportLimits): Promise<StoredFile>

  /**
   * All files that lie here, whole or damaged, where the store is this node's alone; undefined where others may use it
   * too, whose files are none of the node's business: it is asked about one file at a time then, with `has`.
   */
  list(call?: FileStoreCall): Promise<CID[] | undefined>

  /**
   * Lets go of the file: it is not held any more when this resolves. The embedded store has deleted it then, and what
   * `setAside` kept; a Kubo deletes what is not pinned at its next collection. A file that is not here is passed over.
   */
  remove(cid: CID, call?: FileStoreCall): Promise<void>

  /**
   * Where the copies of a file are; absent in a store that does not know. Undefined for a file that it does not keep.
   *
   * @throws EmrError `file_store_unreachable`, `file_store_timeout`, `file_store_failed`, `cancelled`
   */
  replication?(cid: CID, call?: FileStoreCall): Promise<Replication | undefined>

  /**
   * Prepares for a whole copy of a file that is damaged here, so that `importCar` mends it. Until then the file stays
   * where it is.
   *
   * @returns the path under which the damaged one stays beside the whole one, until `remove`; undefined where the store
   * keeps none
   */
  setAside(cid: CID, call?: FileStoreCall): Promise<string | undefined>

  /**
   * Has the store delete at once what is not pinned, whoever put it there, and gives the CID of each block that it
   * deletes. The embedded store never has any.
   */
  collect(call?: FileStoreCall): AsyncIterable<CID>

  health(): Promise<FileStoreHealth>

  /** Ends what is under way with `closing` and releases everything. */
  close(): Promise<void>
}
