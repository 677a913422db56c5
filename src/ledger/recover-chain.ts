/**
 * What happens between opening the files and using them: the tail that nobody was promised is cut,
 * the index is brought to the end of the chain file, the last blocks are checked. What was promised is
 * never cut: if it is not readable the ledger does not open.
 */
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { BlockEntry, IndexedBlock } from './block-entry.js'
import { type BlockReader, blockRuns, readRun } from './chain-blocks.js'
import { chainDamaged } from './chain-damaged.js'
import type { ChainFile } from './chain-file.js'
import type { ChainIndex } from './chain-index.js'
import type { DurableChain, NodeState } from './node-state.js'
import { equalCids } from './section.js'
import { pathToTip, readIndexedBlock } from './tip-path.js'

export interface RecoveryRules extends BlockReader {
  /** Whether `a` is the better tip of the two. Asked only when the durable tip is lost with the state. */
  prefer(a: BlockEntry, b: BlockEntry): boolean
  /** How many blocks below the tip are read and checked. */
  readonly checkBlocks: number
}

/** What was found and done at opening, for the log. */
export interface Recovery {
  /** Bytes of the chain file that were cut: a tail that was never acknowledged. */
  cutBytes: number
  /** Why the index was made anew; null if it was not. */
  indexRebuilt: string | null
  /** Whether the durable state was missing: pending transactions, peers and settings are gone then. */
  stateLost: boolean
  /** Blocks that were read from the chain file into the index. */
  indexedBlocks: number
  /** Blocks that were read and checked below the tip. */
  checkedBlocks: number
}

export interface RecoveryParts {
  readonly file: ChainFile
  readonly state: Pick<NodeState, 'chain' | 'beginChain'>
  /** The index as it was left, or the error that makes it useless. */
  readonly index: ChainIndex | EmrError
  /** An empty index in the place of the one that was given. */
  renewIndex(): Promise<ChainIndex>
}

/** Blocks and bytes of the chain file that go into one transaction of the index. */
const BATCH = { blocks: 256, bytes: 4 * 1024 * 1024 }

/**
 * Brings the index to `to`, the end of what counts in the chain file, or to the last whole block before it.
 * @returns the best block by `prefer` among those that were read
 * @throws chain_damaged at bytes that a crash does not leave
 */
const catchUp = async (
  index: ChainIndex,
  file: ChainFile,
  rules: RecoveryRules,
  recovery: Recovery,
  to: number,
): Promise<BlockEntry | undefined> => {
  let best: BlockEntry | undefined
  let tip = index.tip()
  let add: IndexedBlock[] = []
  let connect: IndexedBlock[] = []
  let fresh = new Map<string, BlockEntry>()
  let end = index.end

  const flush = (): void => {
    if (add.length > 0) {
      index.switchTo({ add, connect, end })
      failpoint('recovery.index.batch')
    }
    add = []
    connect = []
    fresh = new Map()
  }
  const scan = file.scan(index.end, to)
  for await (const run of blockRuns(scan, rules.isHeader)) {
    const block = readRun(run, rules, (id) => fresh.get(id.toString()) ?? index.block(id))
    const { entry } = block
    add.push(block)
    fresh.set(entry.id.toString(), entry)
    if (tip ? equalCids(entry.parent, tip.id) : entry.height === 0) {
      connect.push(block)
      tip = entry
    }
    if (!best || rules.prefer(entry, best)) best = entry
    end = entry.offset + entry.length
    recovery.indexedBlocks++
    if (add.length >= BATCH.blocks || end - index.end >= BATCH.bytes) flush()
  }
  flush()
  if (scan.end?.kind === 'damaged') throw chainDamaged(scan.end.offset)
  return best
}

const moveIndex = async (index: ChainIndex, target: BlockEntry, file: ChainFile, rules: BlockReader): Promise<void> => {
  const path = await pathToTip(target, index, (entry) => readIndexedBlock(entry, index, file, rules))
  if (path.connect.length + path.disconnect.length > 0) index.switchTo({ ...path, end: index.end })
}

const checkLast = async (index: ChainIndex, file: ChainFile, rules: RecoveryRules): Promise<number> => {
  let checked = 0
  for (let at = index.tip(); at && checked < rules.checkBlocks; at = index.blockAt(at.height - 1)) {
    await readIndexedBlock(at, index, file, rules)
    checked++
  }
  return checked
}

/** Takes blocks out of the index that lie behind the durable end; false if the index cannot be kept. */
const forgetTail = async (index: ChainIndex, file: ChainFile, length: number, rules: BlockReader): Promise<boolean> => {
  const isBehindEnd = (entry: BlockEntry): boolean => entry.offset + entry.length > length
  const tip = index.tip()
  if (tip && isBehindEnd(tip)) return false
  const blocks: IndexedBlock[] = []
  for (const entry of index.staleBlocks().filter(isBehindEnd)) {
    blocks.push(await readIndexedBlock(entry, index, file, rules))
  }
  index.forget(blocks, length)
  failpoint('recovery.index.forgotten')
  return true
}

const isDamage = (error: unknown): error is EmrError =>
  isEmrError(error, 'chain_damaged') || isEmrError(error, 'index_damaged')

/** The index as it was left, ready for `attempt`, or why it is not. */
const keepIndex = async (
  { file, index }: RecoveryParts,
  durable: DurableChain | undefined,
  rules: RecoveryRules,
): Promise<ChainIndex | string> => {
  if (index instanceof EmrError) return index.message
  try {
    // Without the state the whole file is read anyway, to find its verified length and its best tip.
    if (!durable) return 'The durable state is missing.'
    if (index.end > durable.length && !(await forgetTail(index, file, durable.length, rules)))
      return 'It knows more than the chain file.'
    return index
  } catch (error) {
    if (isDamage(error)) return error.message
    throw error
  }
}

/** Brings an index to the durable tip, or to the best one if that is not known. */
const attempt = async (
  index: ChainIndex,
  { file }: RecoveryParts,
  durable: DurableChain | undefined,
  rules: RecoveryRules,
  recovery: Recovery,
): Promise<void> => {
  const best = await catchUp(index, file, rules, recovery, durable?.length ?? file.length)
  if (durable && index.end !== durable.length) throw chainDamaged(index.end)
  const tip = durable ? index.block(durable.tip) : best
  if (!tip) throw chainDamaged(index.end, 'It does not hold the block that is the tip.')
  failpoint('recovery.index.filled')
  await moveIndex(index, tip, file, rules)
  failpoint('recovery.index.moved')
  recovery.checkedBlocks = await checkLast(index, file, rules)
}

/**
 * Makes chain file, state and index agree.
 * @throws chain_damaged if acknowledged bytes are missing or altered; nothing was cut then
 */
export const recoverChain = async (
  parts: RecoveryParts,
  rules: RecoveryRules,
): Promise<{ index: ChainIndex; recovery: Recovery }> => {
  const { file, state } = parts
  failpoint('recovery.begin')
  const durable = state.chain()
  const recovery: Recovery = {
    cutBytes: 0,
    indexRebuilt: null,
    stateLost: durable === undefined,
    indexedBlocks: 0,
    checkedBlocks: 0,
  }
  if (durable && file.length < durable.length)
    throw chainDamaged(file.length, 'It is shorter than what was acknowledged.')

  const kept = await keepIndex(parts, durable, rules)
  const rebuild = async (reason: string): Promise<ChainIndex> => {
    recovery.indexRebuilt = reason
    recovery.indexedBlocks = 0
    const index = await parts.renewIndex()
    await attempt(index, parts, durable, rules, recovery)
    return index
  }
  const index = await (async (): Promise<ChainIndex> => {
    if (typeof kept === 'string') return rebuild(kept)
    try {
      await attempt(kept, parts, durable, rules, recovery)
      return kept
    } catch (error) {
      // An index can point at the wrong bytes; the chain file has the last word when it is read whole.
      if (!isDamage(error)) throw error
      return rebuild(error.message)
    }
  })()

  if (!durable) await acknowledge(index, parts, recovery)
  else if (file.length > durable.length) {
    // Only now is it known that this is the file of this state: that of another node is never cut.
    recovery.cutBytes = file.length - durable.length
    failpoint('recovery.cut.begin')
    await file.truncate(durable.length)
    failpoint('recovery.cut.done')
  }
  return { index, recovery }
}

/** Without a state, what is whole in the chain file is what counts from now on. */
const acknowledge = async (index: ChainIndex, { file, state }: RecoveryParts, recovery: Recovery): Promise<void> => {
  if (file.length > index.end) {
    recovery.cutBytes = file.length - index.end
    await file.truncate(index.end)
  }
  const tip: CID | undefined = index.tip()?.id
  if (!tip) throw chainDamaged(index.end)
  failpoint('recovery.state.begin')
  state.beginChain({ length: index.end, tip })
  failpoint('recovery.state.done')
}
