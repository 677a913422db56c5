import type { CID } from 'multiformats/cid'
import { EmrError, type ErrorCode, isEmrError } from '../errors.js'
import type { Block } from '../protocol/block.js'
import type {
  Announcement,
  AnnouncementAnswer,
  DaemonAnswer,
  DaemonMessage,
  HelloMessage,
} from '../protocol/peer-messages.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import type { AddressPolicy } from './address-policy.js'
import { createBodyDownload } from './body-download.js'
import {
  createDaemonIntroductions,
  type DaemonIntroductions,
  type DaemonIntroductionsDependencies,
} from './daemon-introductions.js'
import { DEFAULT_DOWNLOAD_LIMITS, type DownloadLimits } from './download-parts.js'
import { fromAnyPeer } from './fetch-file.js'
import { askHolders, type FileHolders } from './file-holders.js'
import { createFloodGuard, EMPTY_WORDS, LOW_HEADERS } from './flood-guard.js'
import { createGossip, type GossipDependencies, isStranger } from './gossip.js'
import { parsePeerAddress } from './peer-address.js'
import type { GreetedPeer, Peer, PeerBook, Sender } from './peer-book.js'
import type { PeerClient } from './peer-client.js'
import { createPeers } from './peers.js'
import { readTip, type SyncChain, syncWith } from './sync.js'

export interface NetworkOptions {
  /** Pause between two rounds of asking every peer how far it is, in ms. */
  readonly syncInterval: number
  readonly download?: DownloadLimits
}
export const DEFAULT_NETWORK_OPTIONS: NetworkOptions = { syncInterval: 10_000, download: DEFAULT_DOWNLOAD_LIMITS }

export interface NetworkDependencies {
  readonly client: PeerClient
  readonly chain: SyncChain
  readonly book: PeerBook
  readonly policy: AddressPolicy
  /** What gossip needs of this node beside its chain. */
  readonly gossip: Pick<
    GossipDependencies,
    'findTransaction' | 'knowsTransaction' | 'hasBlock' | 'addTransaction' | 'addBlock'
  >
  /** The IPFS daemon of this node, and who hears how the daemons of peers were met. */
  readonly introductions: Pick<DaemonIntroductionsDependencies, 'daemon' | 'onDialled' | 'onTrouble'>
  /** Whether a peer may be told what is new here. */
  mayHear(peer: Peer): boolean
  hello(): HelloMessage
  now(): number
  /** Hears what went wrong with a peer, for the log. */
  onTrouble(peer: string, error: unknown): void
}

/** The other nodes, as the rest of this node sees them. */
export interface Network {
  peers(): Peer[]
  /** Notes nodes that the configuration names: they are tried again and again, also where they are down now. */
  expect(addresses: readonly string[]): void
  /** Greets these nodes and takes over what they have. Those that do not fit are named with the reason. */
  connect(addresses: readonly string[]): Promise<{ refused: { node: string; code: ErrorCode; reason: string }[] }>
  /** Takes the greeting of who signed it and, after this node's own has gone out, what the caller has. */
  greeted(hello: HelloMessage, sender: Sender): Promise<HelloMessage>
  /** Ends all traffic with these nodes, both ways, until `unblock`. @throws EmrError `peer_bad_address` */
  block(addresses: readonly string[]): Promise<void>
  /** Takes blocks and bans back, and meets the nodes again. @throws EmrError `peer_bad_address` */
  unblock(addresses: readonly string[]): Promise<void>
  /**
   * Tells every peer but the one that it came from. Resolves when each has answered or failed; nobody needs
   * to wait for it.
   */
  announceTransaction(transaction: SignedTransaction, from?: string): Promise<void>
  announceBlock(block: Block, from?: string): Promise<void>
  /**
   * Takes what a peer announced: resolves when what was lacking has been fetched, or was given up.
   *
   * @throws EmrError `peer_unknown` where the sender was never greeted, and those of malformed ids and headers
   */
  announced(announcement: Announcement, from: string | undefined): Promise<AnnouncementAnswer>
  /**
   * Takes what a peer told of its IPFS daemon, and makes the own one dial it.
   *
   * @throws EmrError `peer_unknown` where the sender was never greeted
   */
  daemonTold(message: DaemonMessage, from: string | undefined): DaemonAnswer
  /** Whether the IPFS daemon of any peer was reached by the own one. */
  readonly hasReachedDaemons: DaemonIntroductions['hasReached']
  /** Counts new headers that a peer sent and that lead to no better chain. @throws EmrError `peer_flooded` */
  countLow(peer: string, many: number): void
  /** Asks a peer that sent a block which does not fit what else it has. */
  catchUp(peer: string): Promise<void>
  /** Asks every peer how far it is, those too that are left alone for a while. */
  syncAll(): Promise<void>
  /** The file's blocks from the first peer that has them, through `take`, which checks them. */
  fetchFile<T>(cid: CID, take: (car: AsyncIterable<Uint8Array>) => Promise<T>, signal: AbortSignal): Promise<T>
  /** One block of a file, in the same way. */
  fetchBlock<T>(cid: CID, take: (bytes: Uint8Array) => Promise<T>, signal: AbortSignal): Promise<T>
  /** Which peers say that they keep which of these files (at most 64). Who is left alone for a while counts as silent. */
  holdersOf(cids: readonly CID[], signal: AbortSignal): Promise<FileHolders>
  /** One block of a file from this peer, unchecked; undefined where it does not give it. */
  blockFrom(peer: string, cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined>
  start(): void
  close(): Promise<void>
}

/** What a peer that is well may answer: it has forgotten this node, which then greets it again. */
const HARMLESS_REFUSALS = new Set(['peer_unknown'])

/** What the disk of this node did, not the peer. */
const isOwnTrouble = (error: unknown): boolean => isEmrError(error, 'disk_full') || isEmrError(error, 'disk_failed')

/** This node did not call: the peer has not failed. What a peer answers comes with facts. */
const isOwnRefusal = (error: unknown): boolean =>
  isEmrError(error) && (error.code === 'peer_banned' || error.code === 'peer_blocked') && !('refusal' in error.facts)

/** The peer refused because its operator has blocked this node, or it has banned it. */
const isBarredThere = (error: unknown): boolean =>
  isEmrError(error) && (error.facts.refusal === 'peer_blocked' || error.facts.refusal === 'peer_banned')

export function createNetwork(dependencies: NetworkDependencies, options = DEFAULT_NETWORK_OPTIONS): Network {
  const { client, chain, book, mayHear, hello, now, onTrouble } = dependencies
  const bodies = createBodyDownload({ client, chain }, options.download)
  const peers = createPeers({ ...dependencies, onMet: met })
  const retries = new Map<string, { readonly timer: NodeJS.Timeout; readonly until: number }>()
  /** Who greeted this node while it was calling that one itself. */
  const calledMeanwhile = new Set<string>()
  const running = new Map<string, Promise<void>>()
  const waiting = new Map<string, Promise<void>>()
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const failed = (peer: string, error: unknown): void => {
    // Lists of nodes name this one too.
    if (closed || isOwnRefusal(error) || isEmrError(error, 'peer_is_self')) return
    if (isOwnTrouble(error)) {
      onTrouble(peer, error)
      return
    }
    if (isEmrError(error) && HARMLESS_REFUSALS.has(String(error.facts.refusal))) return
    const code = isEmrError(error) ? error.code : 'internal'
    // A peer that stays away is news once.
    if (book.get(peer)?.failure !== code) onTrouble(peer, error)
    book.noteFailure(peer, error)
    retryLater(peer)
  }
  /** Calls a peer again when its pause is over. */
  function retryLater(peer: string): void {
    const { state, until = 0 } = book.get(peer) ?? {}
    if (timer === undefined || state !== 'backing_off') return
    const planned = retries.get(peer)
    // A pause that was taken back may have been longer than the new one.
    if (planned && planned.until <= until) return
    clearTimeout(planned?.timer)
    const retry = setTimeout(
      () => {
        retries.delete(peer)
        if (book.isDue(peer)) void (running.get(peer) ?? catchUp(peer))
        else retryLater(peer)
      },
      Math.max(1, until - now()),
    )
    retry.unref()
    retries.set(peer, { timer: retry, until })
  }
  /** A node that called has shown who it is. */
  function met(peer: GreetedPeer, isNew: boolean): void {
    if (peer.state === 'backing_off') book.endPause(peer.address)
    if (running.has(peer.address)) calledMeanwhile.add(peer.address)
    const wanted = isNew || peer.state === 'backing_off' || chain.isBetter(readTip(peer.tip))
    if (wanted) queueMicrotask(() => void (running.get(peer.address) ?? catchUp(peer.address)))
  }

  const isBarred = ({ state }: Peer): boolean => state === 'banned' || state === 'blocked'
  /** Who is well. Who was not catches up when it is called again. */
  const others = (): string[] => addressesOf(book.list())
  /** Whom things are told. */
  const hearers = (): string[] => addressesOf(book.list().filter(mayHear))
  const addressesOf = (peers: readonly Peer[]): string[] =>
    peers.map(({ address }) => address).filter((address) => book.isDue(address))
  /** Who may have a file: who is well goes first. */
  const holders = (): string[] => {
    const callable = book.list().filter((peer) => !isBarred(peer))
    return [true, false].flatMap((due) =>
      callable.map(({ address }) => address).filter((address) => book.isDue(address) === due),
    )
  }

  const lowHeaders = createFloodGuard(now, LOW_HEADERS)
  const emptyWords = createFloodGuard(now, EMPTY_WORDS)
  const introductions = createDaemonIntroductions({ ...dependencies, ...dependencies.introductions })
  /** The daemon of a node gives to any that it is connected to, so only who may have the files is told of it. */
  const isTrusted = (address: string): boolean => {
    const peer = book.get(address)
    return peer !== undefined && !isBarred(peer) && mayHear(peer)
  }
  const gossip = createGossip({
    ...dependencies.gossip,
    client,
    chain,
    peers: hearers,
    catchUp: (peer) => catchUp(peer),
    countLow: lowHeaders.count,
    countEmpty: emptyWords.count,
    onFailure(peer, error) {
      failed(peer, error)
      if (isStranger(error)) void catchUp(peer)
    },
  })

  async function sync(peer: string): Promise<void> {
    if (closed || !book.get(peer)) return
    try {
      const { tip } = await peers.greet(peer, { chosen: false })
      const before = chain.tip().id
      await syncWith(peer, tip, {
        client,
        chain,
        bodies,
        wantTransactions: gossip.wantTransactions,
        isWell: book.isDue,
      })
      book.noteSuccess(peer)
      if (isTrusted(peer)) void introductions.tell(peer)
      if (!chain.tip().id.equals(before)) void gossip.announceBlock(await chain.tipBlock(), peer)
    } catch (error) {
      if (isEmrError(error, 'peer_is_self')) await book.forget(peer)
      failed(peer, error)
      if (!calledMeanwhile.delete(peer) || !isBarredThere(error)) return
      // It refused this node, and by now it calls by itself: it has taken its block or ban back.
      book.endPause(peer)
      void catchUp(peer)
    }
  }

  function begin(peer: string): Promise<void> {
    calledMeanwhile.delete(peer)
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

  const syncWithAll = async (addresses: readonly string[]): Promise<void> => {
    await Promise.all(addresses.map((peer) => running.get(peer) ?? catchUp(peer)))
  }
  const syncAll = (): Promise<void> => syncWithAll(holders())

  return {
    peers: book.list,

    expect(addresses) {
      for (const text of addresses) {
        try {
          book.expect(peers.allowed(text))
        } catch (error) {
          if (!isEmrError(error)) throw error
        }
      }
    },

    async connect(addresses) {
      const refused: { node: string; code: ErrorCode; reason: string }[] = []
      await Promise.all(
        addresses.map(async (node) => {
          try {
            const { address } = await peers.greet(node, { chosen: true })
            await catchUp(address)
          } catch (error) {
            if (!isEmrError(error)) throw error
            if (URL.canParse(node)) failed(new URL(node).origin, error)
            if (error.code !== 'peer_is_self') refused.push({ node, code: error.code, reason: error.message })
          }
        }),
      )
      return { refused: refused.sort((a, b) => (a.node < b.node ? -1 : 1)) }
    },

    async greeted(theirs, sender) {
      await peers.greeted(theirs, sender)
      return hello()
    },

    async block(addresses) {
      for (const address of addresses.map(parsePeerAddress)) await book.block(address)
    },
    async unblock(addresses) {
      for (const address of addresses.map(parsePeerAddress)) {
        await book.unblock(address)
        // A call that runs already was made under the block, and may have failed for it.
        if (book.get(address)) void catchUp(address)
      }
    },

    announceTransaction: gossip.announceTransaction,
    announceBlock: gossip.announceBlock,
    async announced(announcement, from) {
      if (from === undefined || !book.get(from)) throw new EmrError('peer_unknown')
      return gossip.announced(from, announcement)
    },

    daemonTold(message, from) {
      if (from === undefined || !book.get(from)) throw new EmrError('peer_unknown')
      return isTrusted(from) ? introductions.told(from, message) : { taken: false }
    },
    hasReachedDaemons: introductions.hasReached,

    catchUp,
    countLow: lowHeaders.count,
    syncAll,

    fetchFile: (cid, take, signal) =>
      fromAnyPeer(
        holders(),
        { ask: (peer) => client.file(peer, cid, signal), take, onFailure: failed },
        { cid, signal },
      ),
    async holdersOf(cids, signal) {
      const asked = others()
      const { holders: found, silent } = await askHolders(asked, client, { cids, signal })
      return { holders: found, silent: [...silent, ...holders().filter((peer) => !asked.includes(peer))].sort() }
    },
    blockFrom: client.fileBlock,
    fetchBlock: (cid, take, signal) =>
      fromAnyPeer(
        holders(),
        { ask: (peer) => client.fileBlock(peer, cid, signal), take, onFailure: failed },
        { cid, signal },
      ),

    start() {
      timer = setInterval(() => void syncWithAll(others()), options.syncInterval)
      timer.unref()
    },
    async close() {
      closed = true
      clearInterval(timer)
      bodies.close()
      for (const { timer: retry } of retries.values()) clearTimeout(retry)
      await client.close()
      await Promise.allSettled([
        gossip.idle(),
        peers.idle(),
        introductions.close(),
        ...running.values(),
        ...waiting.values(),
      ])
    },
  }
}
