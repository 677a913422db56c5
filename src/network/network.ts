import type { CID } from 'multiformats/cid'
import { type ErrorCode, isEmrError } from '../errors.js'
import type { Block } from '../protocol/block.js'
import type { HelloMessage } from '../protocol/peer-messages.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { createBodyDownload } from './body-download.js'
import { DEFAULT_DOWNLOAD_LIMITS, type DownloadLimits } from './download-parts.js'
import { fromAnyPeer } from './fetch-file.js'
import type { PeerClient } from './peer-client.js'
import { createPeers, type Peer, type PeerStore } from './peers.js'
import { createRelay } from './relay.js'
import { readTip, type SyncChain, type SyncMempool, syncWith } from './sync.js'

export interface NetworkOptions {
  /** Pause between two rounds of asking every peer how far it is, in ms. */
  readonly syncInterval: number
  readonly download?: DownloadLimits
}
export const DEFAULT_NETWORK_OPTIONS: NetworkOptions = { syncInterval: 10_000, download: DEFAULT_DOWNLOAD_LIMITS }

export interface NetworkDependencies {
  readonly client: PeerClient
  readonly chain: SyncChain
  readonly mempool: SyncMempool
  readonly store: PeerStore
  hello(): HelloMessage
  now(): number
  /** Hears what went wrong with a peer, for the log. */
  onTrouble(peer: string, error: unknown): void
}

/** The other nodes, as the rest of this node sees them. */
export interface Network {
  peers(): Peer[]
  /** Greets these nodes and takes over what they have. Those that do not fit are named with the reason. */
  connect(addresses: readonly string[]): Promise<{ refused: { node: string; code: ErrorCode; reason: string }[] }>
  /** Takes a greeting and, after this node's own has gone out, what the caller has. */
  greeted(hello: HelloMessage): Promise<HelloMessage>
  /**
   * Tells every peer but the one that it came from. Resolves when each has answered or failed; nobody needs
   * to wait for it.
   */
  announceTransaction(transaction: SignedTransaction, from?: string): Promise<void>
  announceBlock(block: Block, from?: string): Promise<void>
  /** Asks a peer that sent a block which does not fit what else it has. */
  catchUp(peer: string): Promise<void>
  /** Asks every peer how far it is. */
  syncAll(): Promise<void>
  /** The file's blocks from the first peer that has them, through `take`, which checks them. */
  fetchFile<T>(cid: CID, take: (car: AsyncIterable<Uint8Array>) => Promise<T>, signal: AbortSignal): Promise<T>
  /** One block of a file, in the same way. */
  fetchBlock<T>(cid: CID, take: (bytes: Uint8Array) => Promise<T>, signal: AbortSignal): Promise<T>
  start(): void
  close(): Promise<void>
}

/** What a peer that is well may answer: it has the thing already, or catches up by itself, or is full for now. */
const HARMLESS_REFUSALS = new Set(['transaction_known', 'header_unknown_parent', 'mempool_full'])

export function createNetwork(dependencies: NetworkDependencies, options = DEFAULT_NETWORK_OPTIONS): Network {
  const { client, chain, hello, onTrouble } = dependencies
  const bodies = createBodyDownload({ client, chain }, options.download)
  const peers = createPeers(dependencies)
  const running = new Map<string, Promise<void>>()
  const waiting = new Map<string, Promise<void>>()
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const failed = (peer: string, error: unknown): void => {
    if (closed) return
    if (isEmrError(error) && HARMLESS_REFUSALS.has(String(error.facts.refusal))) return
    const code = isEmrError(error) ? error.code : 'internal'
    // A peer that stays away is news once.
    if (peers.get(peer)?.failure !== code) onTrouble(peer, error)
    peers.noteFailure(peer, code)
  }
  const relay = createRelay(failed)
  const others = (from?: string): string[] =>
    peers
      .list()
      .map((peer) => peer.address)
      .filter((address) => address !== from)

  const announce = (block: Block, from?: string): Promise<void> =>
    relay.send(others(from), (peer) => client.sendBlock(peer, block))

  async function sync(peer: string): Promise<void> {
    if (closed || !peers.get(peer)) return
    try {
      const { tip } = await peers.greet(peer)
      const before = chain.tip().id
      await syncWith(peer, tip, { ...dependencies, bodies })
      if (!chain.tip().id.equals(before)) void announce(await chain.tipBlock(), peer)
    } catch (error) {
      failed(peer, error)
    }
  }

  function begin(peer: string): Promise<void> {
    const run = sync(peer).finally(() => running.delete(peer))
    running.set(peer, run)
    return run
  }

  /** One sync with a peer at a time; all who ask for another meanwhile share one that begins after this. */
  function catchUp(peer: string): Promise<void> {
    const now = running.get(peer)
    if (!now) return begin(peer)
    const next =
      waiting.get(peer) ??
      now.then(() => {
        waiting.delete(peer)
        return running.get(peer) ?? begin(peer)
      })
    waiting.set(peer, next)
    return next
  }

  const syncAll = async (): Promise<void> => {
    await Promise.all(others().map((peer) => running.get(peer) ?? catchUp(peer)))
  }

  return {
    peers: peers.list,

    async connect(addresses) {
      const refused: { node: string; code: ErrorCode; reason: string }[] = []
      await Promise.all(
        addresses.map(async (node) => {
          try {
            const { address } = await peers.greet(node)
            await catchUp(address)
          } catch (error) {
            if (!isEmrError(error)) throw error
            if (error.code !== 'peer_is_self') refused.push({ node, code: error.code, reason: error.message })
          }
        }),
      )
      return { refused: refused.sort((a, b) => (a.node < b.node ? -1 : 1)) }
    },

    async greeted(theirs) {
      const isNew = peers.get(theirs.url) === undefined
      const peer = await peers.greeted(theirs)
      if (isNew || (peer.tip && chain.isBetter(readTip(peer.tip)))) {
        queueMicrotask(() => void (running.get(peer.address) ?? catchUp(peer.address)))
      }
      return hello()
    },

    announceTransaction: (transaction, from) =>
      relay.send(others(from), (peer) => client.sendTransaction(peer, transaction)),
    announceBlock: announce,

    catchUp,
    syncAll,

    fetchFile: (cid, take, signal) =>
      fromAnyPeer(
        others(),
        { ask: (peer) => client.file(peer, cid, signal), take, onFailure: failed },
        { cid, signal },
      ),
    fetchBlock: (cid, take, signal) =>
      fromAnyPeer(
        others(),
        { ask: (peer) => client.fileBlock(peer, cid, signal), take, onFailure: failed },
        { cid, signal },
      ),

    start() {
      timer = setInterval(() => void syncAll(), options.syncInterval)
      timer.unref()
    },
    async close() {
      closed = true
      clearInterval(timer)
      bodies.close()
      await client.close()
      await Promise.allSettled([relay.idle(), ...running.values(), ...waiting.values()])
    },
  }
}
