import { EventEmitter } from 'node:events'
import type { CID } from 'multiformats/cid'
import { checkBody } from '../consensus/check-body.js'
import { checkHeader } from '../consensus/check-header.js'
import { workOf } from '../consensus/difficulty.js'
import { isPreferred } from '../consensus/fork-choice.js'
import { applyTransactions } from '../contract/apply.js'
import { EmrError, isEmrError } from '../errors.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import type { IdentifiedHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import type { SignatureRules, SignedTransaction } from '../protocol/transaction.js'
import { createBranches } from './branches.js'
import type { ChainStore, StoredBlock } from './chain-store.js'
import { createSerial } from './serial.js'

/** How many ids of invalid blocks are remembered. */
const MAX_INVALID = 10_000

/** What a change of the main chain did. */
export interface TipChanged {
  readonly tip: StoredBlock
  readonly disconnected: readonly Block[]
  readonly connected: readonly Block[]
  /** Transactions of lost blocks that the main chain no longer holds. */
  readonly returned: readonly SignedTransaction[]
}

/** `connected`: the tip moved. `stored`: on disk, on a branch. `header`: only its header is of use. `known`: nothing new. */
export type AddOutcome = 'connected' | 'stored' | 'header' | 'known'

export interface ChainDependencies {
  readonly network: NetworkParameters
  readonly genesis: CID
  readonly rules: SignatureRules
  readonly store: ChainStore
  /** Clock of this node, in ms since 1970. */
  now(): number
}

export interface Chain {
  tip(): StoredBlock
  /**
   * Checks a block whole and takes it in. One call works at a time, in the order of the calls.
   *
   * @throws EmrError with the code of the rule that is broken; the tip stays as it was
   */
  addBlock(block: Block): Promise<AddOutcome>
  /** Checks headers, parents first. @throws EmrError as `addBlock` */
  addHeaders(headers: readonly SignedHeader[]): Promise<void>
  /**
   * Heights of the blocks that a branch of headers lacks, if it is better than the main chain: of the branch
   * that ends in `end`, else of the best.
   */
  missing(end?: CID): { from: number; to: number } | undefined
  isBetter(end: { id: CID; work: bigint }): boolean
  locator(): CID[]
  /** Called after the disk holds the change, before `addBlock` resolves. */
  onTipChanged(listener: (change: TipChanged) => void): void
}

export function createChain({ network, genesis, rules, store, now }: ChainDependencies): Chain {
  const branches = createBranches()
  const invalid = new Set<string>()
  const serial = createSerial()
  const events = new EventEmitter<{ tipChanged: [TipChanged] }>()

  const tipEnd = (): { id: CID; work: bigint } => {
    const { header, work } = store.tip()
    return { id: header.id, work }
  }
  const parentOf = (header: IdentifiedHeader) => store.stored(header.parent) ?? branches.get(header.parent)
  const isOnMainChain = (header: IdentifiedHeader): boolean => store.idAt(header.height)?.equals(header.id) ?? false

  function markInvalid(id: CID): void {
    for (const removed of [id, ...branches.remove(id, { descendants: true })]) {
      if (invalid.size >= MAX_INVALID) {
        const [oldest] = invalid
        if (oldest !== undefined) invalid.delete(oldest)
      }
      invalid.add(removed.toString())
    }
  }

  /** Checks a header and gives the work of its branch. */
  function checkedWork(signed: SignedHeader): bigint {
    const { header } = signed
    if (invalid.has(header.id.toString()) || invalid.has(header.parent.toString())) {
      throw new EmrError('header_invalid_parent')
    }
    const parent = parentOf(header)
    if (!parent) throw new EmrError('header_unknown_parent')
    checkHeader(signed, parent.header, { network, rules, now: now() })
    return parent.work + workOf(header.target)
  }

  /** The stored blocks from `id` back to the main chain, newest first, and where they leave it. */
  function branchOf(id: CID): { ids: CID[]; forkHeight: number } {
    const ids: CID[] = []
    for (let at = store.stored(id); at; at = store.stored(at.header.parent)) {
      if (isOnMainChain(at.header)) return { ids, forkHeight: at.header.height }
      ids.push(at.header.id)
    }
    throw new EmrError('block_unknown', undefined, { id: id.toString() })
  }

  /** Whether the branch that ends in `parent` holds a transaction: below the fork, or in its own blocks. */
  async function transactionsOfBranch(parent: CID): Promise<(id: CID) => boolean> {
    const { ids, forkHeight } = branchOf(parent)
    const own = new Set<string>()
    for (const id of ids) {
      for (const transaction of (await store.readBlock(id)).transactions) own.add(transaction.id.toString())
    }
    return (id) => {
      const place = store.placeOf(id)
      return own.has(id.toString()) || (place !== undefined && place.height <= forkHeight)
    }
  }

  async function storeChecked(block: Block, work: bigint): Promise<void> {
    const isOnBranch = await transactionsOfBranch(block.header.parent)
    try {
      const resultsOf = (of: Block): Uint8Array => applyTransactions(of.transactions)
      checkBody(block, { network, genesis, rules, isOnBranch, resultsOf })
    } catch (error) {
      if (isEmrError(error)) markInvalid(block.header.id)
      throw error
    }
    await store.append(block, work)
    branches.remove(block.header.id)
  }

  /** Makes a block the tip that was stored a moment ago. */
  async function switchTo(block: Block): Promise<void> {
    const { ids, forkHeight } = branchOf(block.header.parent)
    const disconnected: Block[] = []
    for (let height = store.tip().header.height; height > forkHeight; height--) {
      const leaving = store.idAt(height)
      if (leaving) disconnected.push(await store.readBlock(leaving))
    }
    const connected: Block[] = []
    for (const entering of ids.reverse()) connected.push(await store.readBlock(entering))
    connected.push(block)
    const kept = new Set(connected.flatMap((block) => block.transactions.map(({ id }) => id.toString())))
    const returned = [...disconnected]
      .reverse()
      .flatMap((block) => block.transactions)
      .filter((transaction) => !kept.has(transaction.id.toString()))
    await store.switchTip({ disconnect: disconnected.map(({ header }) => header.id), connect: connected, returned })
    events.emit('tipChanged', { tip: store.tip(), disconnected, connected, returned })
  }

  return {
    tip: store.tip,

    addBlock: (block) =>
      serial(async () => {
        const { header } = block
        if (store.stored(header.id)) return 'known'
        const work = checkedWork(block)
        const end = { id: header.id, work }
        if (!branches.get(header.id)) branches.add({ header, signature: block.signature, work })
        // A body is stored only on a branch that is to become the main chain, parents first.
        const wanted = isPreferred(end, tipEnd()) || branches.leadsToBetter(header.id, tipEnd())
        if (!wanted || !store.stored(header.parent)) return 'header'
        await storeChecked(block, work)
        if (!isPreferred(end, tipEnd())) return 'stored'
        await switchTo(block)
        return 'connected'
      }),

    addHeaders: (headers) =>
      serial(async () => {
        for (const signed of headers) {
          const { header, signature } = signed
          if (store.stored(header.id) || branches.get(header.id)) continue
          branches.add({ header, signature, work: checkedWork(signed) })
        }
      }),

    missing(end) {
      const last = end ? branches.better(end, tipEnd()) : branches.best(tipEnd())
      if (!last) return undefined
      let first = last
      for (let parent = branches.get(first.header.parent); parent; parent = branches.get(parent.header.parent)) {
        first = parent
      }
      return { from: first.header.height, to: last.header.height }
    },

    isBetter: (end) => !store.stored(end.id) && !invalid.has(end.id.toString()) && isPreferred(end, tipEnd()),

    locator() {
      const ids: CID[] = []
      const top = store.tip().header.height
      for (let back = 0, step = 1; back < top; back += step, step = ids.length > 10 ? step * 2 : 1) {
        const id = store.idAt(top - back)
        if (id) ids.push(id)
      }
      return [...ids, genesis]
    },

    onTipChanged(listener) {
      events.on('tipChanged', listener)
    },
  }
}
