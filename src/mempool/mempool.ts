import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { bytesText } from '../protocol/bytes-text.js'
import { idKey } from '../protocol/cid.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { checkTerms, decodeTransaction, MAX_TIME_AHEAD, type SignedTransaction } from '../protocol/transaction.js'
import { createRecent, DEFAULT_RECENT_LIMITS } from './recent.js'
import { createShares } from './shares.js'

/**
 * How many transactions, and how many of their bytes, may wait for a block: in all, by one author, and from one
 * source, so that nobody takes the room of all others.
 */
export const DEFAULT_MEMPOOL_LIMITS = {
  transactions: 100_000,
  bytes: 128 * 1024 * 1024,
  ofKey: 25_000,
  ofSource: 50_000,
}
/** The source of what did not come from a peer, and of what was here before a start or came back from a lost block. */
const LOCAL = 'local'
const RETURNED = 'returned'

/** What the mempool needs of the disk: an ordered, durable set. */
export interface PendingStore {
  /** Resolves once the transaction is on disk. Calls at one time share a commit. */
  putPending(id: CID, bytes: Uint8Array): Promise<void>
  /** What is pending on disk, oldest first. */
  pending(): Iterable<Uint8Array>
}

export interface MempoolDependencies {
  readonly network: NetworkParameters
  readonly genesis: CID
  readonly store: PendingStore
  /**
   * Looks at every key and signature of a transaction, wherever that is done.
   *
   * @throws EmrError `transaction_bad_key`, `transaction_bad_signature`
   */
  checkSignatures(transaction: SignedTransaction): Promise<void>
  isOnChain(id: CID): boolean
  /** Clock of this node, in ms since 1970. */
  now(): number
}

/** The transactions that wait for a block, in the order in which they came. */
export interface Mempool {
  /**
   * Checks a transaction and keeps it. When this resolves it is on disk and will not be forgotten
   * before it is in a block.
   *
   * @param given its bytes, or what `decodeTransaction` made of them: its form is not read again
   * @param source address of the peer that it came from, if one
   * @throws EmrError with the code of the rule that is broken, `transaction_known`, `mempool_full`,
   * `mempool_key_full`, `mempool_source_full`
   */
  add(given: Uint8Array | SignedTransaction, source?: string): Promise<SignedTransaction>
  /** The same for what this node has signed a moment ago: its form and signature are not looked at again. */
  addOwn(transaction: SignedTransaction): Promise<SignedTransaction>
  has(id: CID): boolean
  /**
   * Whether a transaction waits here, is about to, or did so a moment ago, whose keys and signatures were found good by
   * this process. Its id covers its signature, so what has the same id needs no second look.
   */
  isVerified(id: CID): boolean
  get(id: CID): SignedTransaction | undefined
  /** One that waits, or that a block took in a moment ago. It is on disk: whoever is given it may count on it. */
  recall(id: CID): SignedTransaction | undefined
  /**
   * The same, or one that is being looked at or on its way to the disk: a block may hold it, but nobody is to be told that
   * it is here.
   */
  known(id: CID): SignedTransaction | undefined
  /** All of them, oldest first. */
  all(): Iterable<SignedTransaction>
  /** Number of transactions, and the sum of their bytes. */
  size(): { transactions: number; bytes: number }
  /** The oldest ones that together fit a block of this time, in order. */
  selectFor(blockTime: number): SignedTransaction[]
  /**
   * Follows a change of the chain that is on disk already: drops what a block took in and takes back
   * what a lost branch gave up.
   */
  follow(change: { taken: readonly CID[]; returned: readonly SignedTransaction[] }): void
}

/** A look at signatures that is under way. */
interface Check {
  readonly transaction: SignedTransaction
  readonly isGood: Promise<void>
  /** Whether a block has taken the transaction meanwhile. */
  isTaken: boolean
}

/** A mempool with what the disk says is pending. */
export function createMempool(
  dependencies: MempoolDependencies,
  limits = DEFAULT_MEMPOOL_LIMITS,
  recentLimits = DEFAULT_RECENT_LIMITS,
): Mempool {
  const { network, genesis, store, checkSignatures, isOnChain, now } = dependencies
  const waiting = new Map<string, SignedTransaction>()
  /** Those whose signatures are being looked at: what is made up takes no room of others, and counts as nothing yet. */
  const checking = new Map<string, Check>()
  /** Accepted, but not on disk yet: known, so that a second copy is refused, yet in no block. */
  const arriving = new Map<string, { transaction: SignedTransaction; isTaken: boolean }>()
  /** Those that wait and came from the disk or a lost block: this process may never have looked at their signatures. */
  const unverified = new Set<string>()
  /** Each was checked here, by itself or in the block that took it. */
  const recent = createRecent(recentLimits)
  const shares = createShares()
  let bytesWaiting = 0

  /** Whatever the limits: what was acknowledged once is never sent away. */
  const keep = (transaction: SignedTransaction): void => {
    const id = idKey(transaction.id)
    if (waiting.has(id)) return
    shares.claim(id, bytesText(transaction.from), RETURNED)
    waiting.set(id, transaction)
    bytesWaiting += transaction.bytes.length
  }
  const keepUnverified = (transaction: SignedTransaction): void => {
    const id = idKey(transaction.id)
    if (waiting.has(id) || isOnChain(transaction.id)) return
    unverified.add(id)
    keep(transaction)
  }
  const drop = (id: string): void => {
    const transaction = waiting.get(id)
    if (!transaction) return
    waiting.delete(id)
    unverified.delete(id)
    shares.release(id)
    bytesWaiting -= transaction.bytes.length
    recent.add(id, transaction)
  }
  const takeIn = (id: string): void => {
    drop(id)
    const check = checking.get(id)
    if (check) check.isTaken = true
    const arrival = arriving.get(id)
    if (!arrival) return
    arrival.isTaken = true
    recent.add(id, arrival.transaction)
  }
  const knows = (id: string): boolean => waiting.has(id) || arriving.has(id)

  const assertSize = ({ length }: Uint8Array): void => {
    if (length > network.maxTransactionBytes) {
      throw new EmrError('transaction_too_large', undefined, { limit: network.maxTransactionBytes })
    }
  }
  /** Throws what is wrong with a transaction on its own, but for its signatures. */
  const assertFit = (transaction: SignedTransaction): void => {
    assertSize(transaction.bytes)
    if (knows(idKey(transaction.id)) || isOnChain(transaction.id)) throw new EmrError('transaction_known')
    if (transaction.at > now() + MAX_TIME_AHEAD) throw new EmrError('transaction_from_future')
    checkTerms(transaction, network, genesis)
  }
  /** Has its signatures looked at, once for all copies: the same id is the same signature. */
  async function takeChecked(transaction: SignedTransaction, source: string): Promise<SignedTransaction> {
    const id = idKey(transaction.id)
    const check = checking.get(id) ?? { transaction, isGood: checkSignatures(transaction), isTaken: false }
    checking.set(id, check)
    try {
      await check.isGood
    } finally {
      if (checking.get(id) === check) checking.delete(id)
    }
    // No wait from here until it is noted as arriving: what a block takes in between would be missed.
    if (check.isTaken || knows(id)) throw new EmrError('transaction_known')
    return keepDurably(transaction, source)
  }
  async function keepDurably(transaction: SignedTransaction, source: string): Promise<SignedTransaction> {
    const id = idKey(transaction.id)
    if (waiting.size + arriving.size >= limits.transactions || bytesWaiting + transaction.bytes.length > limits.bytes) {
      throw new EmrError('mempool_full')
    }
    const key = bytesText(transaction.from)
    if (shares.ofKey(key) >= limits.ofKey) throw new EmrError('mempool_key_full')
    if (shares.ofSource(source) >= limits.ofSource) throw new EmrError('mempool_source_full')
    const arrival = { transaction, isTaken: false }
    arriving.set(id, arrival)
    shares.claim(id, key, source)
    try {
      await store.putPending(transaction.id, transaction.bytes)
      if (!arrival.isTaken) keep(transaction)
    } finally {
      arriving.delete(id)
      if (!waiting.has(id)) shares.release(id)
    }
    return transaction
  }

  for (const bytes of store.pending()) keepUnverified(decodeTransaction(bytes))

  return {
    async add(given, source = LOCAL) {
      if (given instanceof Uint8Array) assertSize(given)
      const transaction = given instanceof Uint8Array ? decodeTransaction(given) : given
      assertFit(transaction)
      return takeChecked(transaction, source)
    },
    async addOwn(transaction) {
      assertFit(transaction)
      return keepDurably(transaction, LOCAL)
    },

    has: (id) => knows(idKey(id)),
    isVerified(id) {
      const key = idKey(id)
      return knows(key) ? !unverified.has(key) : recent.get(key) !== undefined
    },
    get: (id) => waiting.get(idKey(id)),
    recall(id) {
      const key = idKey(id)
      return waiting.get(key) ?? recent.get(key)
    },
    known(id) {
      const key = idKey(id)
      return waiting.get(key) ?? (arriving.get(key) ?? checking.get(key))?.transaction ?? recent.get(key)
    },
    all: () => waiting.values(),
    size: () => ({ transactions: waiting.size, bytes: bytesWaiting }),

    selectFor(blockTime) {
      const selected: SignedTransaction[] = []
      let bytes = 0
      for (const transaction of waiting.values()) {
        if (selected.length === network.maxBlockTransactions) break
        if (bytes + transaction.bytes.length > network.maxBlockBytes) break
        if (transaction.at > blockTime + MAX_TIME_AHEAD) continue
        selected.push(transaction)
        bytes += transaction.bytes.length
      }
      return selected
    },

    follow({ taken, returned }) {
      if (waiting.size + arriving.size + checking.size > 0) for (const id of taken) takeIn(idKey(id))
      for (const transaction of returned) keepUnverified(transaction)
    },
  }
}
