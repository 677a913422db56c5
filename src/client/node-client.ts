import { concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import { verifyZip215 } from '../crypto/ed25519.js'
import type { Sealed } from '../crypto/hpke.js'
import { EmrError } from '../errors.js'
import type { Kind } from '../protocol/bodies/decode-body.js'
import { equalBytes } from '../protocol/canonical.js'
import { parseChainId } from '../protocol/cid.js'
import { decodeReleaseReceipt, type ReleaseReceipt } from '../protocol/release.js'
import { decodeTransaction, type SignedTransaction } from '../protocol/transaction.js'
import { Value } from '../typebox.js'
import type { ByteRange } from './byte-range.js'
import { toStream } from './byte-streams.js'
import type { Receipt } from './consent/receipts.js'
import { multipartFile } from './multipart-file.js'
import {
  ChainAnswer,
  type ChainBlock,
  ConnectAnswer,
  DecideAnswer,
  DepositAnswer,
  FindAnswer,
  HistoryAnswer,
  type HistoryEntry,
  IdentityAnswer,
  MineAnswer,
  type PeerEntry,
  PeersAnswer,
  PendingAnswer,
  PendingEntriesAnswer,
  type PendingEntry,
  ReleaseAnswer,
  ReleasesAnswer,
  StatusAnswer,
  SubmitAnswer,
  TipEvent,
  TransactionAnswer,
  UploadAnswer,
} from './node-answers.js'
import { createNodeFiles, type NodeFiles } from './node-files.js'
import { createNodeRequester, type Fetch } from './node-request.js'
import type { RequestSigner } from './request-signer.js'
import { readEvents } from './server-sent-events.js'

/** A file as the node stored it. `size` is the cumulative size of its DAG in bytes, `sent` the bytes of the file. */
export interface UploadedFile {
  readonly cid: string
  readonly name: string
  readonly size: number
  readonly sent: number
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

export interface TransferOptions extends CallOptions {
  /** Called with the bytes that have gone over so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
}

export interface DownloadOptions extends TransferOptions {
  readonly range?: ByteRange | undefined
}

/**
 * A node, seen from outside. Each call throws the EmrError that the node answered with, or `node_unreachable`,
 * `node_broke_off`, `node_unexpected`, `cancelled`.
 */
export interface NodeClient extends NodeFiles {
  status(options?: CallOptions): Promise<StatusAnswer>
  /** The newest blocks, oldest of them first, and the length of the whole chain. */
  newestBlocks(limit: number, options?: CallOptions): Promise<ChainAnswer>
  /** Blocks by index, 1 being genesis, both ends counted and both cut to what there is; fetched in pages. */
  blocks(range: { from: number; to: number }, options?: CallOptions): AsyncGenerator<ChainBlock, void, undefined>
  /** @throws EmrError `file_unknown` if no record on the chain has this name */
  findFile(query: { name: string; user_id?: string }, options?: CallOptions): Promise<FindAnswer>
  /** Stores a file of any size, in constant memory; what `source` throws is thrown on. */
  uploadFile(source: AsyncIterable<Uint8Array>, name: string, options?: TransferOptions): Promise<UploadedFile>
  /** The bytes of a file or of a range of it, in constant memory. @throws EmrError `range_unsatisfiable` */
  downloadFile(cid: string, options?: DownloadOptions): AsyncGenerator<Uint8Array, void, undefined>
  /** The id of the transaction, once it is on the node's disk. */
  submitTransaction(bytes: Uint8Array, options?: CallOptions): Promise<string>
  transaction(id: string, options?: CallOptions): Promise<TransactionAnswer>
  /** A transaction as it was signed, checked against its id. */
  signedTransaction(id: string, options?: CallOptions): Promise<SignedTransaction>
  /** @throws EmrError `identity_unknown` */
  identity(id: string, options?: CallOptions): Promise<IdentityAnswer>
  /** Whose key this is, or was; 64 hexadecimal digits. @throws EmrError `identity_unknown` */
  identityOfKey(key: string, options?: CallOptions): Promise<IdentityAnswer>
  /** What consent says to a question now, by the chain of the node. */
  decide(question: DecideQuestion, options?: CallOptions): Promise<DecideAnswer>
  /** Transactions that name an id, or that a key signed, all or of one kind, newest first, fetched in pages. */
  history(
    about: ({ about: string } | { author: string }) & { kind?: Kind },
    options?: CallOptions,
  ): AsyncGenerator<HistoryEntry, void, undefined>
  /** Transactions that wait for a block and name an id, oldest first. */
  pendingAbout(id: string, options?: CallOptions): Promise<PendingEntry[]>
  /** Has this node, a custodian, keep a share: its signed receipt (`signPersonRequest`, kind `deposit`). */
  deposit(request: Uint8Array, options?: CallOptions): Promise<Receipt>
  /** Gets the share of a record from this custodian, sealed (`signPersonRequest`, kind `release`). It may take 40 s. */
  release(record: string, request: Uint8Array, options?: CallOptions): Promise<Released>
  /**
   * Receipts of all releases of a record that this node knows of, their signatures checked. Whether `key` is that of the
   * custodian, and `chain` the network, is for the caller to say; another node may know of more.
   */
  releases(record: string, options?: CallOptions): Promise<ReleaseReceipt[]>
  /** Ids of the transactions that wait for a block, oldest first. */
  pendingTransactions(options?: CallOptions): Promise<string[]>
  /** Mines one block. Takes as long as it takes; `signal` ends the search. */
  mine(options?: CallOptions): Promise<ChainBlock>
  peers(options?: CallOptions): Promise<PeerEntry[]>
  /** Ends traffic between the node and these others, or takes blocks and bans back. Gives the peers after it. */
  blockPeers(nodes: readonly string[], options?: CallOptions): Promise<PeerEntry[]>
  unblockPeers(nodes: readonly string[], options?: CallOptions): Promise<PeerEntry[]>
  connect(nodes: readonly string[], options?: CallOptions): Promise<ConnectAnswer>
  /** Changes of the main chain as they come, until the node closes. `onListening` is called when none can be missed. */
  events(options?: CallOptions & { onListening?: () => void }): AsyncGenerator<TipEvent, void, undefined>
}

/** May `accessor` do this with this record, in the role of this certificate, under this grant? Ids as text. */
export interface DecideQuestion {
  readonly accessor: string
  readonly record: string
  readonly certificate?: string | undefined
  readonly grant?: string | undefined
  readonly action: string
  readonly purpose: string
}

/** What a custodian gives out, sealed to who asked; ids as bytes. */
export interface Released {
  readonly custodian: Uint8Array
  readonly access: Uint8Array
  readonly sealed: Sealed
}

export interface NodeClientOptions {
  /** The platform's by default. Its time limits hold for `mine` and `events`, which may be silent for long. */
  readonly fetch?: Fetch
  /** Signs requests where the network lets only certified keys read, and only there. */
  readonly signer?: RequestSigner
}

/** Blocks fetched in one go. */
const PAGE = 256
/** Entries of a history fetched in one go, the most that a node gives. */
const HISTORY_PAGE = 100
/** Receipts fetched in one go, the most that a node gives. */
const RELEASES_PAGE = 100

/** @throws EmrError `peer_bad_address` if `url` is not one of http or https */
export function createNodeClient(
  url: string,
  { fetch = globalThis.fetch, signer }: NodeClientOptions = {},
): NodeClient {
  const node = createNodeRequester(url, fetch, signer)
  const post = (body: object, { signal }: CallOptions) =>
    ({ method: 'POST', type: 'application/json', body: JSON.stringify(body), signal }) as const

  return {
    ...createNodeFiles(node),
    status: (options = {}) => node.json('/status', StatusAnswer, options),

    newestBlocks: (limit, options = {}) => node.json(`/get_chain?limit=${limit}`, ChainAnswer, options),

    async *blocks({ from, to }, options = {}) {
      for (let index = Math.max(1, from); index <= to; index += PAGE) {
        const last = Math.min(to, index + PAGE - 1)
        const { chain, length } = await node.json(`/get_chain?from=${index}&to=${last}`, ChainAnswer, options)
        yield* chain
        if (last >= length) return
      }
    },

    findFile: (query, options = {}) => node.json('/get_file_hash', FindAnswer, post(query, options)),

    async uploadFile(source, name, { onProgress, signal } = {}) {
      let sent = 0
      let sourceError: { readonly error: unknown } | undefined
      async function* watched(): AsyncGenerator<Uint8Array, void, undefined> {
        try {
          for await (const piece of source) {
            yield piece
            sent += piece.length
            onProgress?.(sent)
          }
        } catch (error) {
          sourceError = { error }
          throw error
        }
      }
      const { contentType, body } = multipartFile(watched(), name)
      const request = { method: 'POST', type: contentType, body: toStream(body), signal } as const
      try {
        const { 'IPFS Hash': file } = await node.json('/create_hash', UploadAnswer, request)
        return { cid: file.Hash, name: file.Name, size: Number(file.Size), sent }
      } catch (error) {
        // Of a source that fails, fetch tells no more than that it failed.
        throw sourceError ? sourceError.error : error
      }
    },

    async *downloadFile(cid, { onProgress, range, signal } = {}) {
      let received = 0
      for await (const piece of await node.bytes(`/files/${encodeURIComponent(cid)}`, { range, signal })) {
        received += piece.length
        onProgress?.(received)
        yield piece
      }
    },

    async submitTransaction(bytes, { signal } = {}) {
      const request = { method: 'POST', type: 'application/vnd.ipld.dag-cbor', body: bytes, signal } as const
      return (await node.json('/transactions', SubmitAnswer, request)).id
    },
    transaction: (id, options = {}) => node.json(`/transactions/${encodeURIComponent(id)}`, TransactionAnswer, options),
    async signedTransaction(id, { signal } = {}) {
      const parts: Uint8Array[] = []
      for await (const part of await node.bytes(`/transactions/${encodeURIComponent(id)}?format=raw`, { signal })) {
        parts.push(part)
      }
      const transaction = decodeTransaction(concatBytes(...parts))
      if (transaction.id.toString() !== parseChainId(id).toString()) {
        throw new EmrError('node_unexpected', 'It sent another transaction.')
      }
      return transaction
    },
    identity: (id, options = {}) => node.json(`/identities/${encodeURIComponent(id)}`, IdentityAnswer, options),
    identityOfKey: (key, options = {}) =>
      node.json(`/identities?key=${encodeURIComponent(key)}`, IdentityAnswer, options),
    decide(question, options = {}) {
      const asked = new URLSearchParams()
      for (const [name, value] of Object.entries(question)) if (value !== undefined) asked.set(name, value)
      return node.json(`/decide?${asked}`, DecideAnswer, options)
    },
    async *history(about, options = {}) {
      const asked = new URLSearchParams({ ...about, limit: String(HISTORY_PAGE) })
      for (;;) {
        const { entries, next } = await node.json(`/history?${asked}`, HistoryAnswer, options)
        yield* entries
        if (next === undefined) return
        asked.set('before', next)
      }
    },
    async pendingAbout(id, options = {}) {
      const found: PendingEntry[] = []
      for (;;) {
        const asked = new URLSearchParams({ about: id, limit: String(HISTORY_PAGE), offset: String(found.length) })
        const { entries } = await node.json(`/history/pending?${asked}`, PendingEntriesAnswer, options)
        found.push(...entries)
        if (entries.length < HISTORY_PAGE) return found
      }
    },
    async deposit(request, { signal } = {}) {
      const asked = { method: 'POST', type: 'application/vnd.ipld.dag-cbor', body: request, signal } as const
      const { node: id, key, sig } = await node.json('/shares', DepositAnswer, asked)
      return { node: parseChainId(id).bytes, key: hexToBytes(key), sig: hexToBytes(sig) }
    },
    async release(record, request, { signal } = {}) {
      const asked = { method: 'POST', type: 'application/vnd.ipld.dag-cbor', body: request, signal } as const
      const answer = await node.json(`/shares/${encodeURIComponent(record)}/release`, ReleaseAnswer, asked)
      const { custodian, access, enc, ct } = answer
      const ids = { custodian: parseChainId(custodian).bytes, access: parseChainId(access).bytes }
      return { ...ids, sealed: { enc: hexToBytes(enc), ct: hexToBytes(ct) } }
    },
    async releases(record, options = {}) {
      const { bytes } = parseChainId(record)
      const asked = new URLSearchParams({ limit: String(RELEASES_PAGE) })
      const receipts: ReleaseReceipt[] = []
      for (;;) {
        const path = `/shares/${encodeURIComponent(record)}/releases?${asked}`
        const { releases } = await node.json(path, ReleasesAnswer, options)
        receipts.push(...releases.map(({ receipt }) => checkedReceipt(hexToBytes(receipt), bytes)))
        const last = releases.at(-1)
        if (!last || releases.length < RELEASES_PAGE) return receipts
        asked.set('after', last.next)
      }
    },
    pendingTransactions: async (options = {}) => (await node.json('/transactions', PendingAnswer, options)).pending,

    async mine({ signal } = {}) {
      const { message: _, ...block } = await node.json('/mine_block', MineAnswer, { method: 'POST', signal })
      return block
    },

    peers: async (options = {}) => (await node.json('/peers', PeersAnswer, options)).peers,
    blockPeers: async (nodes, options = {}) =>
      (await node.json('/peers/block', PeersAnswer, post({ nodes }, options))).peers,
    unblockPeers: async (nodes, options = {}) =>
      (await node.json('/peers/unblock', PeersAnswer, post({ nodes }, options))).peers,
    connect: (nodes, options = {}) => node.json('/connect_node', ConnectAnswer, post({ nodes }, options)),

    async *events({ signal, onListening } = {}) {
      const bytes = await node.bytes('/events', { signal })
      for await (const { event, data } of readEvents(announcing(bytes, onListening))) {
        if (event === 'tip') yield tipEvent(data)
      }
    },
  }
}

/** A receipt of a release of this record. @throws EmrError `node_unexpected` unless it is one, signed by the key that it names */
function checkedReceipt(encoded: Uint8Array, record: Uint8Array): ReleaseReceipt {
  try {
    const { fields, claim } = decodeReleaseReceipt(encoded)
    if (equalBytes(fields.record, record) && verifyZip215(claim.signature, claim.message, claim.key)) return fields
  } catch (cause) {
    throw new EmrError('node_unexpected', 'It sent a receipt of another form.', {}, { cause })
  }
  throw new EmrError('node_unexpected', 'It sent a receipt that is not signed, or of another record.')
}

/** The node speaks as soon as it listens, before anything has happened. */
async function* announcing(bytes: AsyncIterable<Uint8Array>, onListening?: () => void): AsyncGenerator<Uint8Array> {
  let first = true
  for await (const piece of bytes) {
    if (first) onListening?.()
    first = false
    yield piece
  }
}

function tipEvent(data: string): TipEvent {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    // Falls through to the check.
  }
  if (!Value.Check(TipEvent, value)) throw new EmrError('node_unexpected', 'It sent an event of another form.')
  return value
}
