import type { CID } from 'multiformats/cid'
import type { ChainStore } from '../chain/chain-store.js'
import { type VerifyDependencies, verifyChain } from '../chain/verify-chain.js'
import { isEmrError } from '../errors.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Block, Section, SignedHeader } from '../protocol/block.js'
import { encodeCarHeader } from '../protocol/car.js'
import { BLOCKS_PER_ANSWER_BYTES } from '../protocol/peer-messages.js'
import { storedBlockFrom } from './block-facts.js'
import type { EmrNode } from './emr-node.js'

/** What people and peers read of the main chain. */
export type ChainReads = Pick<
  EmrNode,
  | 'tip'
  | 'storedBlock'
  | 'isOnMainChain'
  | 'blockAt'
  | 'blocks'
  | 'block'
  | 'blocksAsCar'
  | 'headersAfter'
  | 'checkChain'
>

export function createChainReads(
  store: ChainStore,
  ledger: Pick<Ledger, 'blockAt' | 'streamBlocks' | 'readMainChain'>,
  rules: Omit<VerifyDependencies, 'onBlock'>,
): ChainReads {
  const isOnMainChain = (id: CID): boolean => {
    const stored = store.stored(id)
    return stored !== undefined && (store.idAt(stored.header.height)?.equals(id) ?? false)
  }

  async function* blocks(from: number, to: number): AsyncGenerator<Iterable<Block>, void, void> {
    for await (const runs of ledger.readMainChain(from, to)) yield readBlocks(runs)
  }
  function* readBlocks(runs: Iterable<readonly Section[]>): Generator<Block, void, void> {
    for (const sections of runs) yield storedBlockFrom(sections)
  }
  async function* allBlocks(signal: AbortSignal): AsyncGenerator<Block> {
    for (let height = 1; height <= store.tip().header.height; height++) {
      signal.throwIfAborted()
      const id = store.idAt(height)
      if (id) yield await store.readBlock(id)
    }
  }

  return {
    tip: store.tip,
    storedBlock: store.stored,
    isOnMainChain,
    async blockAt(height) {
      const id = store.idAt(height)
      return id && store.readBlock(id)
    },
    blocks,
    block: async (id) => (store.stored(id) ? store.readBlock(id) : undefined),

    async *blocksAsCar(from, to) {
      let last = from - 1
      for (let bytes = 0; last < to && bytes < BLOCKS_PER_ANSWER_BYTES; last++) {
        const entry = ledger.blockAt(last + 1)
        if (!entry) break
        bytes += entry.length
      }
      yield encodeCarHeader([])
      yield* ledger.streamBlocks(from, last)
    },

    headersAfter(locator, limit) {
      const start = locator.find(isOnMainChain)
      const first = start ? (store.stored(start)?.header.height ?? 0) + 1 : 1
      const headers: SignedHeader[] = []
      for (let height = first; headers.length < limit; height++) {
        const id = store.idAt(height)
        const stored = id && store.stored(id)
        if (!stored) break
        headers.push(stored)
      }
      return headers
    },

    async checkChain(signal) {
      let height = 0
      const onBlock = (checked: number): void => {
        height = checked
      }
      try {
        await verifyChain(allBlocks(signal), { ...rules, onBlock })
        return { valid: true }
      } catch (error) {
        if (!isEmrError(error) || error.code === 'cancelled') throw error
        return { valid: false, code: error.code, height: height + 1 }
      }
    },
  }
}
