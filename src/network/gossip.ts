import { setTimeout } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { isEmrError } from '../errors.js'
import { announcedBlock, readAnnouncedBlock } from '../protocol/announced-block.js'
import type { Block } from '../protocol/block.js'
import { parseChainId } from '../protocol/cid.js'
import type { Announcement, AnnouncementAnswer } from '../protocol/peer-messages.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { type BlockFetcherDependencies, createBlockFetcher } from './block-fetcher.js'
import { idText } from './id-text.js'
import { createInventory } from './inventory.js'
import type { PeerClient } from './peer-client.js'
import { createRelay } from './relay.js'
import { createTransactionAnnouncer } from './transaction-announcer.js'
import { createTransactionFetcher } from './transaction-fetcher.js'

/** Longest time before an announcement is answered, in ms, whatever is still on its way. */
const ANSWER_TIME = 5_000

export interface GossipDependencies
  extends Pick<
    BlockFetcherDependencies,
    'chain' | 'findTransaction' | 'addBlock' | 'catchUp' | 'countLow' | 'countEmpty'
  > {
  readonly client: Pick<PeerClient, 'announce' | 'transactions' | 'block'>
  /** Addresses of the peers that are told of things. */
  peers(): string[]
  /** Whether a transaction is pending or on the chain. */
  knowsTransaction(id: CID): boolean
  hasBlock(id: CID): boolean
  addTransaction(transaction: SignedTransaction, from: string): Promise<unknown>
  /** Hears of what a peer did wrong, did not do, or could not be told. */
  onFailure(peer: string, error: unknown): void
}

/** What is new goes from node to node by its id; who lacks it fetches it, once. */
export interface Gossip {
  /**
   * Tells every peer but the one that it came from, and those that have it. Resolves when each has fetched it,
   * refused it or failed; nobody needs to wait for it.
   */
  announceTransaction(transaction: SignedTransaction, from?: string): Promise<void>
  announceBlock(block: Block, from?: string): Promise<void>
  /**
   * Takes what a peer announced. Resolves when what was lacking has been fetched, from that peer or from
   * another that announced it too, or is given up, at the latest after 5 s.
   *
   * @throws EmrError `malformed_cid`, `block_wrong_list` and those of a malformed header
   */
  announced(from: string, announcement: Announcement): Promise<AnnouncementAnswer>
  /** Fetches those of these transactions that are not here, as if this peer had announced them. */
  wantTransactions(ids: readonly CID[], from: string): Promise<void>
  /** Resolves when all that waited has been announced or has failed. */
  idle(): Promise<void>
}

export function createGossip(dependencies: GossipDependencies): Gossip {
  const { client, peers, knowsTransaction, hasBlock, addTransaction, countEmpty, onFailure } = dependencies
  const inventory = createInventory()
  const blockRelay = createRelay(onFailure)
  const transactions = createTransactionFetcher({
    knows: knowsTransaction,
    fetch: client.transactions,
    take: addTransaction,
    countEmpty,
    onFailure,
  })
  const blocks = createBlockFetcher({
    ...dependencies,
    fetchTransactions: client.transactions,
    fetchBlock: client.block,
  })
  const announcer = createTransactionAnnouncer(
    (peer, ids) => tell(peer, { transactions: [...ids], blocks: [] }, ids).catch((error) => onFailure(peer, error)),
    onFailure,
  )

  async function tell(peer: string, announcement: Announcement, ids: readonly string[]): Promise<void> {
    const forget = (those: readonly string[]): void => {
      for (const id of those) inventory.remove(peer, id)
    }
    try {
      forget((await client.announce(peer, announcement)).lacking)
    } catch (error) {
      forget(ids)
      throw error
    }
  }

  let hearers: readonly string[] | undefined
  /** The peers that are told of things. What one commit brought is told in one turn, and they are looked up once. */
  function hearersNow(): readonly string[] {
    if (!hearers) {
      hearers = peers()
      queueMicrotask(() => {
        hearers = undefined
      })
    }
    return hearers
  }

  /** The peers that are to hear of it. It counts as told from now on. */
  function unaware(id: string, from: string | undefined): string[] {
    const all = hearersNow()
    if (from !== undefined && all.includes(from)) inventory.add(from, id)
    const told = all.filter((peer) => peer !== from && !inventory.has(peer, id))
    for (const peer of told) inventory.add(peer, id)
    return told
  }

  return {
    async announceTransaction({ id }, from) {
      const name = idText(id)
      await Promise.all(unaware(name, from).map((peer) => announcer.tell(peer, name)))
    },

    async announceBlock(block, from) {
      const id = idText(block.header.id)
      const told = unaware(id, from)
      if (told.length === 0) return
      const announcement = { transactions: [], blocks: [announcedBlock(block)] }
      await blockRelay.send(told, (peer) => tell(peer, announcement, [id]))
    },

    async announced(from, announcement) {
      // All of it is read before any of it is fetched: what is malformed is refused whole.
      const ids = announcement.transactions.map(parseChainId)
      const offered = announcement.blocks.map(readAnnouncedBlock)
      const blockIds = offered.map(({ header }) => header.id)
      for (const id of blockIds) inventory.add(from, idText(id))
      for (const name of ids.map(idText)) {
        inventory.add(from, name)
        announcer.has(from, name)
      }
      const fetched = [transactions.want(ids, from), ...offered.map((block) => blocks.want(block, from))]
      await atMost(ANSWER_TIME, Promise.all(fetched))
      const lacking = [...ids.filter((id) => !knowsTransaction(id)), ...blockIds.filter((id) => !hasBlock(id))]
      return { lacking: lacking.map(idText) }
    },

    wantTransactions: transactions.want,
    idle: blockRelay.idle,
  }
}

/** Whether an error says that a peer does not know this node any more: it has to be greeted again. */
export const isStranger = (error: unknown): boolean => isEmrError(error) && error.facts.refusal === 'peer_unknown'

async function atMost(time: number, work: Promise<unknown>): Promise<void> {
  const end = new AbortController()
  await Promise.race([work, setTimeout(time, undefined, { signal: end.signal }).catch(() => undefined)])
  end.abort()
}
