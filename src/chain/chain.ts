import { EventEmitter } from 'node:events'
import type { CID } from 'multiformats/cid'
import { checkBody } from '../consensus/check-body.js'
import { checkHeader } from '../consensus/check-header.js'
import { rulesWithVerdicts, type SignatureVerdict } from '../consensus/checked-signatures.js'
import { workOf } from '../consensus/difficulty.js'
import { isPreferred } from '../consensus/fork-choice.js'
import { applyAll } from '../contract/apply-block.js'
import { mayMine } from '../contract/may-mine.js'
import { createOverlay, type Overlay } from '../contract/state.js'
import { EmrError, isEmrError } from '../errors.js'
import { type Block, headerClaim, type SignedHeader } from '../protocol/block.js'
import { equalBytes } from '../protocol/canonical.js'
import { cidToHex, idKey } from '../protocol/cid.js'
import { compactToTarget } from '../protocol/compact-target.js'
import type { IdentifiedHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { claimsOfOthers, type SignatureClaim } from '../protocol/signatures-of-others.js'
import {
  MAX_TIME_AHEAD,
  type SignatureRules,
  type SignedTransaction,
  transactionClaims,
} from '../protocol/transaction.js'
import { applyTo, createBranchState } from './branch-state.js'
import { type BranchPlace, createBranches } from './branches.js'
import type { ChainStore, StoredBlock } from './chain-store.js'
import { createEarlyBlocks } from './early-blocks.js'
import { createSerial } from './serial.js'
import { createSideBranch } from './side-branch.js'

/** How many ids of invalid blocks are remembered. */
const MAX_INVALID = 10_000
/** How many signatures are worth the way to another thread. */
const FEW_CLAIMS = 4

/** What a change of the main chain did. */
export interface TipChanged {
  readonly tip: StoredBlock
  /** Blocks that left the main chain, tip first. Their transactions are to be read from disk. */
  readonly disconnected: readonly SignedHeader[]
  /** Blocks that entered it, parents first. */
  readonly connected: readonly SignedHeader[]
  /** Ids of the transactions of these. */
  readonly taken: readonly CID[]
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
  /**
   * Whether this node has found keys and signatures of a transaction good before. An id is the hash of all bytes, the
   * signature's too, so no other bytes pass under it. Without it no transaction was seen before.
   */
  isVerified?(id: CID): boolean
  /** Judges many signatures off this thread; without it they are judged by `rules`, one by one. */
  checkSignatures?(claims: readonly SignatureClaim[]): Promise<readonly SignatureVerdict[]>
}

export interface Chain {
  tip(): StoredBlock
  /**
   * Checks a block whole and takes it in. One call works at a time, in the order of the calls.
   *
   * @throws EmrError with the code of the rule that is broken; the tip stays as it was. A block of which only
   * the clock says that it comes too early is kept for `tryEarly`.
   */
  addBlock(block: Block): Promise<AddOutcome>
  /**
   * The same for many, parents first: those of one line with one append and one move of the tip. After a crash
   * a part of the line from its beginning is there, or nothing. Signatures of blocks whose headers were added
   * before are checked while earlier calls still work, so several calls may be made at once.
   *
   * @returns what became of the last one
   * @throws EmrError as `addBlock`, for the first block that is invalid; those before it are kept
   */
  addBlocks(blocks: readonly Block[]): Promise<AddOutcome>
  /** Whether this key may mine a block of this time on the tip. */
  mayMine(key: Uint8Array, time: number): boolean
  /** Result codes of transactions in a block of this time on the tip, one byte each. */
  resultsOf(transactions: readonly SignedTransaction[], time: number): Uint8Array
  /** Checks headers, parents first. @throws EmrError as `addBlock`; those before the wrong one are kept */
  addHeaders(headers: readonly SignedHeader[]): Promise<void>
  /**
   * The blocks that a branch of headers lacks, parents first, if it is better than the main chain: of the
   * branch that ends in `end`, else of the best. Empty if there is none.
   */
  missing(end?: CID): BranchPlace[]
  /** Summed work of a block whose header is known, on disk or not. */
  workOf(id: CID): bigint | undefined
  isBetter(end: { id: CID; work: bigint }): boolean
  locator(): CID[]
  /** Tries again what came too early and whose time has come. Resolves with whether anything was new. */
  tryEarly(): Promise<boolean>
  /** When `tryEarly` has something to try, in ms since 1970. */
  nextEarly(): number | undefined
  /** Called after the disk holds the change, before `addBlock` resolves. */
  onTipChanged(listener: (change: TipChanged) => void): void
  /** Called when something is kept that came too early. */
  onEarly(listener: () => void): void
}

export function createChain(dependencies: ChainDependencies): Chain {
  const { network, genesis, rules, store, now, isVerified = () => false, checkSignatures } = dependencies
  const branches = createBranches()
  const early = createEarlyBlocks()
  const invalid = new Set<string>()
  const serial = createSerial()
  const side = createSideBranch(store)
  const states = createBranchState(store, side)
  const events = new EventEmitter<{ tipChanged: [TipChanged]; early: [] }>()

  const tipEnd = (): { id: CID; work: bigint } => {
    const { header, work } = store.tip()
    return { id: header.id, work }
  }
  const parentOf = (header: IdentifiedHeader) => branches.get(header.parent) ?? store.stored(header.parent)

  function markInvalid(id: CID): void {
    for (const removed of [id, ...branches.remove(id, { descendants: true })]) {
      if (invalid.size >= MAX_INVALID) {
        const [oldest] = invalid
        if (oldest !== undefined) invalid.delete(oldest)
      }
      invalid.add(idKey(removed))
    }
  }

  /** The rules with what other threads say of these claims. */
  async function checkedAhead(claims: readonly SignatureClaim[]): Promise<SignatureRules> {
    if (!checkSignatures || claims.length < FEW_CLAIMS) return rules
    return rulesWithVerdicts(rules, claims, await checkSignatures(claims))
  }

  /** Checks a header, unless it was checked before, and gives the work of its branch. */
  function admitHeader(signed: SignedHeader, by: SignatureRules): bigint {
    const { header, signature } = signed
    if (invalid.has(idKey(header.id)) || invalid.has(idKey(header.parent))) throw new EmrError('header_invalid_parent')
    const known = branches.get(header.id)
    if (known && equalBytes(known.signature, signature)) return known.work
    const parent = parentOf(header)
    if (!parent) throw new EmrError('header_unknown_parent')
    checkHeader(signed, parent.header, { network, rules: by, now: now() })
    const work = parent.work + workOf(header.target)
    if (!known) branches.add({ header, signature, work })
    return work
  }

  function keepEarly(item: SignedHeader | Block): void {
    early.keep(item, item.header.time - MAX_TIME_AHEAD)
    events.emit('early')
  }

  /** The blocks of a run that are new, up to the first whose header does not hold. */
  function admitHeaders(run: readonly Block[]): { admitted: Block[]; work: bigint; error?: unknown } {
    const admitted: Block[] = []
    let work = 0n
    for (const [at, block] of run.entries()) {
      if (store.stored(block.header.id)) continue
      try {
        work = admitHeader(block, rules)
        admitted.push(block)
      } catch (error) {
        if (isEmrError(error, 'header_time_too_late')) for (const one of run.slice(at)) keepEarly(one)
        return { admitted, work, error }
      }
    }
    return { admitted, work }
  }

  /** The blocks whose bodies hold, up to the first that does not. */
  function checkBodies(
    run: readonly Block[],
    by: SignatureRules,
    state: Overlay,
  ): { checked: Block[]; error?: unknown } {
    const checked: Block[] = []
    const first = run[0]
    if (!first) return { checked }
    const isOnBranch = side.holds(first.header.parent)
    const fresh = new Set<string>()
    for (const block of run) {
      try {
        if (!mayMine(state, block.header.miner, block.header.time)) throw new EmrError('block_miner_not_admitted')
        checkBody(block, {
          network,
          genesis,
          rules: by,
          isVerified,
          isOnBranch: (id) => fresh.has(idKey(id)) || isOnBranch(id),
          resultsOf: (of) => applyTo(state, of),
        })
      } catch (error) {
        if (isEmrError(error)) markInvalid(block.header.id)
        return { checked, error }
      }
      for (const { id } of block.transactions) fresh.add(idKey(id))
      checked.push(block)
    }
    return { checked }
  }

  async function addRun(run: readonly Block[], ahead: Promise<SignatureRules> | undefined): Promise<AddOutcome> {
    const { admitted, work, error } = admitHeaders(run)
    const last = admitted.at(-1)
    if (!last) {
      if (error !== undefined) throw error
      return 'known'
    }
    const outcome = await addBodies(admitted, work, await ahead)
    if (error !== undefined) throw error
    return outcome
  }

  async function addBodies(run: readonly Block[], work: bigint, by: SignatureRules | undefined): Promise<AddOutcome> {
    const [first, last] = [run[0], run.at(-1)]
    if (!first || !last) return 'known'
    // A body is stored only on a branch that is to become the main chain, parents first.
    const isBetter = isPreferred({ id: last.header.id, work }, tipEnd())
    const wanted = isBetter || branches.leadsToBetter(last.header.id, tipEnd())
    if (!wanted || !store.stored(first.header.parent)) return 'header'
    const verdicts = by ?? (await checkedAhead(claimsOf(run, isVerified)))
    const { checked, error } = checkBodies(run, verdicts, await states.after(first.header.parent))
    const end = checked.at(-1)
    let outcome: AddOutcome = 'header'
    if (end) {
      await store.append(checked)
      side.extend(checked)
      if (error === undefined) states.keep(end.header.id)
      for (const { header } of checked) branches.remove(header.id)
      const endWork = store.stored(end.header.id)?.work ?? 0n
      const moves = isPreferred({ id: end.header.id, work: endWork }, tipEnd())
      if (moves) await switchTo(end.header.id, checked)
      outcome = moves ? 'connected' : 'stored'
    }
    if (error !== undefined) throw error
    return outcome
  }

  /** Makes a stored block the tip. `fresh` are the last blocks of its branch, in memory still. */
  async function switchTo(tip: CID, fresh: readonly Block[]): Promise<void> {
    const { line, forkHeight } = side.lineTo(tip)
    const isFresh = new Map(fresh.map((block) => [idKey(block.header.id), block]))
    const disconnected: SignedHeader[] = []
    for (let at = store.tip(); at.header.height > forkHeight; ) {
      disconnected.push({ header: at.header, signature: at.signature })
      const parent = store.stored(at.header.parent)
      if (!parent) break
      at = parent
    }
    const connected: SignedHeader[] = []
    const taken: CID[] = []
    for (const id of line) {
      const block = isFresh.get(idKey(id)) ?? store.stored(id)
      if (block) connected.push({ header: block.header, signature: block.signature })
      const ids = isFresh.get(idKey(id))?.transactions.map((transaction) => transaction.id)
      for (const transaction of ids ?? (await store.transactionIds(id))) taken.push(transaction)
    }
    const returned: SignedTransaction[] = []
    if (disconnected.length > 0) {
      const kept = new Set(taken.map(idKey))
      // One block at a time, oldest first: only what returns stays in memory.
      for (const { header } of [...disconnected].reverse()) {
        const { transactions } = await store.readBlock(header.id)
        for (const transaction of transactions) if (!kept.has(idKey(transaction.id))) returned.push(transaction)
      }
    }
    await store.switchTip({ tip, taken, returned })
    side.forget()
    states.forget()
    events.emit('tipChanged', { tip: store.tip(), disconnected, connected, taken, returned })
  }

  function addLine(line: readonly Block[]): Promise<AddOutcome> {
    const areKnown = line.every(({ header }) => branches.get(header.id))
    // Whoever sends blocks without work shall not make other threads busy: their headers are checked first.
    const ahead = areKnown ? checkedAhead(claimsOf(line, isVerified)) : undefined
    ahead?.catch(() => undefined)
    return serial(() => addRun(line, ahead))
  }

  async function addBlocks(blocks: readonly Block[]): Promise<AddOutcome> {
    let outcome: AddOutcome = 'known'
    for (const line of linesOf(blocks)) outcome = await addLine(line)
    return outcome
  }

  return {
    tip: store.tip,

    addBlock: (block) => addBlocks([block]),
    addBlocks,

    mayMine: (key, time) => mayMine(store.contract, key, time),
    resultsOf(transactions, time) {
      const height = store.tip().header.height + 1
      return applyAll(createOverlay(store.contract), transactions, { height, time })
    },

    addHeaders: (headers) =>
      serial(async () => {
        const fresh = headers.filter(({ header }) => !store.stored(header.id) && !branches.get(header.id))
        for (let from = 0; from < fresh.length; from += HEADERS_AT_ONCE) {
          const some = fresh.slice(from, from + HEADERS_AT_ONCE)
          const by = await checkedAhead(some.filter(hasClaimedWork).map(headerClaim))
          for (const [at, signed] of some.entries()) {
            try {
              admitHeader(signed, by)
            } catch (error) {
              if (isEmrError(error, 'header_time_too_late')) for (const one of fresh.slice(from + at)) keepEarly(one)
              throw error
            }
          }
        }
      }),

    missing(end) {
      const last = end ? branches.better(end, tipEnd()) : branches.best(tipEnd())
      return last ? branches.lineTo(last.header.id) : []
    },
    workOf: (id) => (branches.get(id) ?? store.stored(id))?.work,

    isBetter: (end) => !store.stored(end.id) && !invalid.has(idKey(end.id)) && isPreferred(end, tipEnd()),

    locator() {
      const ids: CID[] = []
      const top = store.tip().header.height
      for (let back = 0, step = 1; back < top; back += step, step = ids.length > 10 ? step * 2 : 1) {
        const id = store.idAt(top - back)
        if (id) ids.push(id)
      }
      return [...ids, genesis]
    },

    async tryEarly() {
      let isNew = false
      for (const item of early.take(now())) {
        try {
          if ('transactions' in item) isNew = (await addBlocks([item])) !== 'known' || isNew
          else {
            await serial(async () => void admitHeader(item, rules))
            isNew = true
          }
        } catch (error) {
          // What it stands on may not be here, or it breaks a rule after all: nobody waits for the answer.
          if (!isEmrError(error)) throw error
        }
      }
      return isNew
    },
    nextEarly: () => early.nextDue(),

    onTipChanged(listener) {
      events.on('tipChanged', listener)
    },
    onEarly(listener) {
      events.on('early', listener)
    },
  }
}

/** How many headers are checked in one go, so that others get their turn in between. */
const HEADERS_AT_ONCE = 256

/** What is claimed by the transactions that nobody has looked at yet. */
function claimsOf(blocks: readonly Block[], isVerified: (id: CID) => boolean): SignatureClaim[] {
  const transactions = blocks.flatMap(({ transactions }) => transactions.filter(({ id }) => !isVerified(id)))
  return [...transactionClaims(transactions), ...transactions.flatMap(claimsOfOthers)]
}

/** Blocks in lines, in which each is the child of the one before. */
function linesOf(blocks: readonly Block[]): Block[][] {
  const lines: Block[][] = []
  for (const block of blocks) {
    const line = lines.at(-1)
    if (line?.at(-1)?.header.id.equals(block.header.parent)) line.push(block)
    else lines.push([block])
  }
  return lines
}

/** Whether a header has the work that it claims. At signatures of those that do not nobody looks. */
function hasClaimedWork({ header }: SignedHeader): boolean {
  try {
    return BigInt(`0x${cidToHex(header.id)}`) <= compactToTarget(header.target)
  } catch {
    return false
  }
}
