import type { CID } from 'multiformats/cid'
import { isEmrError } from '../errors.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import { idKey } from '../protocol/cid.js'
import { MAX_ANNOUNCED } from '../protocol/peer-messages.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { EMPTY_BLOCK } from './flood-guard.js'
import type { SyncChain } from './sync.js'

/** What a peer answers that does not have what it announced. */
const NOT_THERE = new Set(['transaction_unknown', 'block_unknown'])

/** How many bodies may be on their way at once. What exceeds it comes with the next sync. */
export const MAX_BLOCKS_AT_ONCE = 64

export interface BlockFetcherDependencies {
  readonly chain: Pick<SyncChain, 'addHeaders' | 'missing' | 'workOf'>
  /** A transaction that this node has. */
  findTransaction(id: CID): Promise<SignedTransaction | undefined>
  fetchTransactions(peer: string, ids: readonly CID[]): Promise<SignedTransaction[]>
  fetchBlock(peer: string, id: CID): Promise<Block>
  /** Checks a block whole and takes it in. */
  addBlock(block: Block, from: string): Promise<unknown>
  catchUp(peer: string): Promise<void>
  /** Counts new headers that lead to no better chain. @throws EmrError `peer_flooded` */
  countLow(peer: string, many: number): void
  /** Counts what a peer announced and says that it does not have. @throws EmrError `peer_flooded` */
  countEmpty(peer: string, many: number): void
  onFailure(peer: string, error: unknown): void
}

/** A header and, where they were told, the ids that it commits to. */
export type NewBlock = SignedHeader & { readonly ids: readonly CID[] | undefined }

/** Fetches announced blocks, each once, once their work has been checked. */
export interface BlockFetcher {
  /** Resolves when the block is here, is not wanted, or no peer that announced it gave it. */
  want(block: NewBlock, from: string): Promise<void>
}

export function createBlockFetcher(dependencies: BlockFetcherDependencies): BlockFetcher {
  const { chain, findTransaction, fetchTransactions, fetchBlock, addBlock, catchUp, countLow, countEmpty, onFailure } =
    dependencies
  const wants = new Map<string, { readonly sources: string[]; readonly ended: Promise<void> }>()

  async function want(block: NewBlock, from: string): Promise<void> {
    const id = block.header.id.toString()
    const known = wants.get(id)
    if (known) {
      if (!known.sources.includes(from)) known.sources.push(from)
      return known.ended
    }
    const isNew = chain.workOf(block.header.id) === undefined
    try {
      await chain.addHeaders([block])
      if (isNew && chain.missing(block.header.id).length === 0) countLow(from, 1)
    } catch (error) {
      if (isEmrError(error, 'header_unknown_parent')) return catchUp(from)
      // Too late for the clock of this node: it comes with a later sync.
      if (!isEmrError(error) || error.verdict !== 'ignore') onFailure(from, error)
      return
    }
    // Others may have announced it while this header waited for its turn.
    if (wants.has(id)) return want(block, from)
    const [first] = chain.missing(block.header.id)
    if (!first) return
    if (first.height < block.header.height) {
      const parent = wants.get(block.header.parent.toString())
      if (!parent) return catchUp(from)
      await parent.ended
      return want(block, from)
    }
    if (wants.size >= MAX_BLOCKS_AT_ONCE) return
    const sources = [from]
    const ended = fetchFrom(sources, block).finally(() => wants.delete(id))
    wants.set(id, { sources, ended })
    return ended
  }

  /** Asks one source after another; more may come in meanwhile. */
  async function fetchFrom(sources: readonly string[], wanted: NewBlock): Promise<void> {
    for (const source of sources) {
      let block: Block
      try {
        block = wanted.ids ? await assemble(wanted, wanted.ids, source) : await fetchBlock(source, wanted.header.id)
      } catch (error) {
        onFailure(source, error)
        if (isEmrError(error) && NOT_THERE.has(String(error.facts.refusal))) countNothing(source)
        continue
      }
      try {
        await addBlock(block, source)
      } catch (error) {
        // All of it is what the header commits to: no other source has a better one.
        if (!isEmrError(error) || error.verdict !== 'ignore') onFailure(source, error)
      }
      return
    }
  }

  function countNothing(source: string): void {
    try {
      countEmpty(source, EMPTY_BLOCK)
    } catch (error) {
      onFailure(source, error)
    }
  }

  /** A block from what is here and the transactions that are not; whole from there where these are many. */
  async function assemble(signed: SignedHeader, ids: readonly CID[], source: string): Promise<Block> {
    const found = new Map<string, SignedTransaction>()
    const lacking = new Map<string, CID>()
    for (const id of ids) {
      const transaction = await findTransaction(id)
      if (transaction) found.set(idKey(id), transaction)
      else lacking.set(idKey(id), id)
      if (lacking.size > MAX_ANNOUNCED) return fetchBlock(source, signed.header.id)
    }
    while (lacking.size > 0) {
      for (const transaction of await fetchTransactions(source, [...lacking.values()])) {
        found.set(idKey(transaction.id), transaction)
        lacking.delete(idKey(transaction.id))
      }
    }
    const transactions = ids.flatMap((id) => found.get(idKey(id)) ?? [])
    return { header: signed.header, signature: signed.signature, transactions }
  }

  return { want }
}
