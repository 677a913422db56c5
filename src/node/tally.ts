import type { Chain, TipChanged } from '../chain/chain.js'
import { type ErrorCode, isEmrError } from '../errors.js'
import type { Mempool } from '../mempool/mempool.js'
import type { SignedTransaction } from '../protocol/transaction.js'

/** What a node has seen happen since it was opened. Counts only grow. */
export interface Tally {
  readonly reorganisations: {
    readonly count: number
    /** Blocks that left the main chain in all of them, and in the deepest one. */
    readonly blocks: number
    readonly deepest: number
  }
  readonly blocks: {
    readonly connected: number
    readonly mined: number
    /** Blocks and runs of headers that broke a rule, by the code of the rule. */
    readonly refused: ReadonlyMap<ErrorCode, number>
  }
  readonly transactions: {
    /** Those of connected blocks. */
    readonly connected: number
    /** Those that were taken in to wait for a block. */
    readonly accepted: number
    readonly refused: ReadonlyMap<ErrorCode, number>
  }
}

/** Counts what passes through the parts of a node; it changes nothing of what they do. */
export interface TallyKeeper {
  /** The same chain; its refusals are counted. */
  ofChain(chain: Chain): Chain
  /** The same mempool; what it takes and refuses is counted. */
  ofMempool(mempool: Mempool): Mempool
  tipChanged(change: Pick<TipChanged, 'connected' | 'disconnected' | 'taken'>): void
  blockMined(): void
  /** How it stands. */
  read(): Tally
}

export function createTally(): TallyKeeper {
  const reorganisations = { count: 0, blocks: 0, deepest: 0 }
  const blocks = { connected: 0, mined: 0, refused: new Map<ErrorCode, number>() }
  const transactions = { connected: 0, accepted: 0, refused: new Map<ErrorCode, number>() }

  const counting =
    (refused: Map<ErrorCode, number>) =>
    (error: unknown): never => {
      const code = isEmrError(error) ? error.code : 'internal'
      refused.set(code, (refused.get(code) ?? 0) + 1)
      throw error
    }

  return {
    ofChain: (chain) => ({
      ...chain,
      addBlock: (block) => chain.addBlock(block).catch(counting(blocks.refused)),
      addBlocks: (run) => chain.addBlocks(run).catch(counting(blocks.refused)),
      addHeaders: (headers) => chain.addHeaders(headers).catch(counting(blocks.refused)),
    }),
    ofMempool(mempool) {
      const count = async (adding: Promise<SignedTransaction>): Promise<SignedTransaction> => {
        const transaction = await adding.catch(counting(transactions.refused))
        transactions.accepted++
        return transaction
      }
      return {
        ...mempool,
        add: (given, source) => count(mempool.add(given, source)),
        addOwn: (transaction) => count(mempool.addOwn(transaction)),
      }
    },
    tipChanged({ connected, disconnected, taken }) {
      blocks.connected += connected.length
      transactions.connected += taken.length
      if (disconnected.length === 0) return
      reorganisations.count++
      reorganisations.blocks += disconnected.length
      reorganisations.deepest = Math.max(reorganisations.deepest, disconnected.length)
    },
    blockMined() {
      blocks.mined++
    },
    read: () => ({
      reorganisations: { ...reorganisations },
      blocks: { ...blocks, refused: new Map(blocks.refused) },
      transactions: { ...transactions, refused: new Map(transactions.refused) },
    }),
  }
}
