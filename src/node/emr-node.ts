import type { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'
import type { CID } from 'multiformats/cid'
import type { StoredBlock } from '../chain/chain-store.js'
import type { ErrorCode } from '../errors.js'
import type { CarShape } from '../files/file-store.js'
import type { Peer, Sender } from '../network/peer-book.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import type {
  Announcement,
  AnnouncementAnswer,
  DaemonAnswer,
  DaemonMessage,
  HelloMessage,
} from '../protocol/peer-messages.js'
import type { SignedRequest, WholeSignature } from '../protocol/request-signature.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import type { ConsentReads } from './consent-reads.js'
import type { CustodyService } from './custody-service.js'
import type { FileKeeping } from './file-keeping.js'
import type { NodeStatus } from './node-status.js'
import type { Readers } from './readers.js'
import type { RecordOnChain, TransactionStatus } from './record-on-chain.js'

/** A file as the node knows it. `size` is the cumulative size of its DAG in bytes. */
export interface NamedFile {
  readonly cid: CID
  readonly name: string
  readonly size: number
}

/** The bytes of a file, piece by piece, each checked. */
export interface FileBytes extends AsyncIterable<Uint8Array> {
  /** Whoever is done with a piece may say so; its memory is then filled again, and nobody may read it any more. */
  giveBack(piece: Uint8Array): void
}

/** A file that this node holds. */
export interface OpenFile {
  /** Its bytes. */
  readonly size: number
  /** All of it, or the bytes from `start` to `end`, not included. */
  read(range?: { readonly start: number; readonly end: number }): FileBytes
}

/** What can be asked of a node: the one face that http/ sees. */
export interface EmrNode {
  readonly network: NetworkParameters
  readonly genesis: CID
  readonly maxUploadBytes: number

  /** Stores a file of the node's file root, or an upload, durably. */
  createHash(file: { path: string } | { name: string; source: Readable }, signal: AbortSignal): Promise<NamedFile>
  /** Signs a record with the node's own key and keeps it for a block. */
  addRecord(
    record: { user_id: string; EHR_name: string; file: CID },
    signal: AbortSignal,
  ): Promise<{ transaction: SignedTransaction; nextIndex: number }>
  /** Takes a signed transaction, from a person or a peer. */
  submitTransaction(bytes: Uint8Array, from?: string): Promise<SignedTransaction>
  submitBlocks(blocks: readonly Block[], from?: string): Promise<void>
  /** Mines one block of what is pending. A new tip starts the search again. */
  mine(signal: AbortSignal): Promise<Block>
  /** Records by EHR_name or file name, the newest of each user, newest first. */
  findFiles(query: { name: string; user_id?: string }): Promise<RecordOnChain[]>
  /** Writes a file into the download folder, fetched from peers where this node lacks it. */
  getFile(cid: CID, signal: AbortSignal): Promise<{ path: string; size: number }>
  /**
   * A file of this node's own store as a CAR, of which the root has been read and checked, or one block of it; both
   * throw `file_unavailable` and `record_erased`. The bytes must be read to their end, or be let go by `return`.
   */
  fileAsCar(cid: CID, shape?: CarShape): Promise<FileBytes>
  fileBlock(cid: CID): Promise<Uint8Array>
  /** The contents of a file, fetched from peers where this node lacks it. */
  readFile(cid: CID, signal: AbortSignal): Promise<FileBytes>
  /** The same, a part at a time. */
  openFile(cid: CID, signal: AbortSignal): Promise<OpenFile>
  /** Which files this node keeps. */
  readonly keeping: Omit<FileKeeping, 'finish'>

  tip(): StoredBlock
  blockAt(height: number): Promise<Block | undefined>
  /**
   * Blocks of the main chain from one height to another, both included, as far as it goes, some at a time; each is read
   * when it is taken. A change of the main chain meanwhile may give blocks of both branches.
   *
   * @throws EmrError `chain_damaged`, also while they are taken
   */
  blocks(from: number, to: number): AsyncIterable<Iterable<Block>>
  block(id: CID): Promise<Block | undefined>
  storedBlock(id: CID): StoredBlock | undefined
  isOnMainChain(id: CID): boolean
  /** Blocks of the main chain from one height to another, both included, as many as one answer takes, unchecked. */
  blocksAsCar(from: number, to: number): AsyncIterable<Uint8Array>
  headersAfter(locator: readonly CID[], limit: number): SignedHeader[]
  transaction(id: CID): Promise<TransactionStatus | undefined>
  readonly consent: ConsentReads
  readonly readers: Readers
  /** What this node does as a custodian of patients. */
  readonly custody: Pick<CustodyService, 'deposit' | 'release' | 'view' | 'takeOver' | 'takeReceipt' | 'releasesOf'>
  pendingTransactions(): Iterable<SignedTransaction>
  /** Those of these transactions that this node has, as many as one answer takes. @throws EmrError `transaction_unknown` */
  transactionsAsCar(ids: readonly CID[]): Promise<Uint8Array>
  /** Checks the whole chain again from genesis. */
  checkChain(signal: AbortSignal): Promise<{ valid: true } | { valid: false; code: ErrorCode; height: number }>

  hello(): HelloMessage
  greeted(hello: HelloMessage, sender: Sender): Promise<HelloMessage>
  /** Who signed a request, before its body is read. `claimed`: where the sender says that it answers. */
  authenticate(request: SignedRequest, claimed?: string): Promise<Sender>
  /** Signs the answer to a request with this signature by the key of the node. */
  signAnswer(answer: { status: number; body: string; request: string }): WholeSignature
  /** Notes that what a peer sent was refused with this error. */
  judge(sender: Sender, error: unknown): void
  /** Takes what a peer announced. Resolves when what was lacking has been fetched. @throws EmrError `peer_unknown` */
  announced(announcement: Announcement, from: string | undefined): Promise<AnnouncementAnswer>
  /** Takes what a peer told of its IPFS daemon. @throws EmrError `peer_unknown` */
  daemonTold(message: DaemonMessage, from: string | undefined): DaemonAnswer
  blockPeers(addresses: readonly string[]): Promise<void>
  unblockPeers(addresses: readonly string[]): Promise<void>
  connect(addresses: readonly string[]): Promise<{ refused: { node: string; code: ErrorCode; reason: string }[] }>
  syncAll(): Promise<void>
  peers(): Peer[]
  /** Addresses of the nodes that this one knows, its own included, as `host:port`, sorted. */
  nodeAddresses(): string[]

  status(): Promise<NodeStatus>
  readonly events: EventEmitter<NodeEvents>
}

export interface NodeEvents {
  /** The main chain changed; once for each change. */
  tip: [{ tip: StoredBlock; connected: readonly SignedHeader[]; disconnected: readonly SignedHeader[] }]
  /** A transaction was accepted and waits for a block. */
  transaction: [SignedTransaction]
}
