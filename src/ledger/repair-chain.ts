/**
 * A new chain file of what still verifies in a damaged one. Nothing is thrown away: the damaged file is kept
 * under another name, transactions whose block cannot be kept wait for a block again, and what is missing has a name.
 */
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { Section } from '../protocol/block.js'
import { encodeCar, encodeCarHeader, encodeCarSection } from '../protocol/car.js'
import type { BlockEntry, BlockFacts } from './block-entry.js'
import { type BlockReader, toIndexedBlock } from './chain-blocks.js'
import { chainDamaged } from './chain-damaged.js'
import { type ChainIndex, createChainIndex, indexDatabase } from './chain-index.js'
import { checkFormatVersion, isThere } from './data-folder.js'
import { lockDataFolder } from './data-lock.js'
import { createDatabase, openDatabase, removeDatabase } from './database.js'
import { toDiskError } from './disk-error.js'
import { syncFolder } from './durable-file.js'
import { type DataFolder, dataFolderPaths } from './layout.js'
import { type MissingBlock, missingBlocks } from './missing-blocks.js'
import { createNodeState, type NodeState } from './node-state.js'
import { salvageSections } from './salvage-sections.js'
import { equalCids, type Place, parseSection, type StoredSection } from './section.js'

export interface RepairRules extends BlockReader {
  readonly parametersBlock: Section
  readonly genesis: readonly Section[]
  /** Whether `a` is the better tip. */
  prefer(a: BlockEntry, b: BlockEntry): boolean
  /** Whether this section is a well-formed transaction. */
  isTransaction(section: Section): boolean
  /** The ids in a list of transactions; undefined if the section is none. */
  listOf(section: Section): readonly CID[] | undefined
}

export interface RepairedChain {
  /** Whether there was damage; where there was none, nothing was changed. */
  readonly damaged: boolean
  /** Blocks after genesis in the chain file, and the best of them. */
  readonly blocks: number
  readonly tip: { readonly id: string; readonly height: number }
  /** Bytes of the damaged file that are no section. */
  readonly gaps: readonly Place[]
  /** Blocks of the former main chain that cannot be read, as far as they are known. */
  readonly missing: readonly MissingBlock[]
  /** The former tip, if it is neither in the new file nor readable; what led to it is missing too. */
  readonly missingTip: string | null
  /** Blocks that can be read, but are left out since an ancestor is missing. */
  readonly leftOut: number
  /** Transactions that wait for a block again. */
  readonly pendingAgain: number
  /** Ids of transactions that a readable list names and that are nowhere. */
  readonly lostTransactions: readonly string[]
  /** Where the damaged file is now; null if there was none. */
  readonly setAside: string | null
}

interface Salvage {
  readonly connected: ReadonlyMap<string, { entry: BlockEntry; transactions: readonly StoredPlace[] }>
  readonly leftOut: readonly BlockFacts[]
  readonly best: BlockEntry
  /** Transactions that are in no connected block. */
  readonly loose: readonly StoredPlace[]
  /** Ids that readable lists without their block name. */
  readonly named: readonly CID[]
  readonly gaps: readonly Place[]
  /** Length of the new file, in bytes. */
  readonly length: number
}
type StoredPlace = Place & { readonly cid: CID }

const BATCH_BYTES = 1024 * 1024

const placeOf = ({ cid, offset, length }: StoredSection): StoredPlace => ({ cid, offset, length })

/** Reads the damaged file and writes every block whose ancestors are there to `target`. */
async function salvage(source: FileHandle | undefined, target: FileHandle, rules: RepairRules): Promise<Salvage> {
  const { parametersBlock, genesis } = rules
  const start = encodeCarHeader([parametersBlock.cid]).length
  const first = encodeCar([parametersBlock.cid], [parametersBlock, ...genesis])
  let batch: Uint8Array[] = [first]
  let batched = 0
  let length = first.length
  const flush = async (): Promise<void> => {
    await target.writeFile(Buffer.concat(batch))
    batch = []
    batched = 0
  }

  const root = toIndexedBlock(
    genesis.map((section) => ({ ...section, offset: 0, length: 0 })),
    rules.describe(genesis),
    undefined,
  )
  if (!root) throw new EmrError('internal', 'Genesis does not describe itself.')
  const rootId = root.entry.id.toString()
  let best = root.entry
  const connected = new Map<string, { entry: BlockEntry; transactions: readonly StoredPlace[] }>()
  connected.set(rootId, { entry: root.entry, transactions: [] })
  const leftOut: BlockFacts[] = []
  const loose: StoredPlace[] = []
  const named: CID[] = []
  const gaps: Place[] = []

  const noteLoose = (sections: readonly StoredSection[]): void => {
    for (const section of sections) {
      if (rules.isTransaction(section)) loose.push(placeOf(section))
      else named.push(...(rules.listOf(section) ?? []))
    }
  }
  const keep = async (run: readonly StoredSection[], facts: BlockFacts): Promise<void> => {
    const id = facts.id.toString()
    if (connected.has(id)) return
    const block = toIndexedBlock(run, facts, connected.get(facts.parent.toString())?.entry)
    if (!block) {
      leftOut.push(facts)
      return noteLoose(run)
    }
    connected.set(id, { entry: block.entry, transactions: run.slice(0, -3).map(placeOf) })
    if (rules.prefer(block.entry, best)) best = block.entry
    for (const section of run) {
      const bytes = encodeCarSection(section)
      batch.push(bytes)
      batched += bytes.length
      length += bytes.length
    }
    if (batched >= BATCH_BYTES) await flush()
  }

  if (source) {
    const read = async (offset: number, wanted: number): Promise<Uint8Array> => {
      const bytes = Buffer.allocUnsafeSlow(wanted)
      const { bytesRead } = await source.read(bytes, 0, wanted, offset)
      if (bytesRead !== wanted) throw new EmrError('disk_failed', 'The chain file changed while it was read.')
      return bytes
    }
    const { size } = await source.stat()
    let run: StoredSection[] = []
    for await (const section of salvageSections(read, start, size, (gap) => gaps.push(gap))) {
      // The section shares memory with a window that is read over; blocks are small.
      run.push({ ...section, bytes: Uint8Array.from(section.bytes) })
      if (!rules.isHeader(section)) continue
      // What precedes the block in the run is left of one whose header is gone.
      const list = run.at(-3)
      const count = list ? rules.listOf(list)?.length : undefined
      const block = count === undefined ? [] : run.slice(-(count + 3))
      const facts = section.cid.toString() === rootId ? undefined : describe(block, rules)
      if (facts) {
        noteLoose(run.slice(0, -block.length))
        await keep(block, facts)
      } else noteLoose(run)
      run = []
    }
    noteLoose(run)
  }
  await flush()
  await target.sync()
  return { connected, leftOut, best, loose, named, gaps, length }
}

const describe = (run: readonly StoredSection[], rules: BlockReader): BlockFacts | undefined => {
  try {
    return rules.describe(run)
  } catch {
    // What does not fit together is no block; its sections are looked at one by one.
    return undefined
  }
}

/** Puts back to pending what is in the file but not on the new main chain. @returns how many */
async function returnTransactions(
  { connected, best, loose }: Salvage,
  source: FileHandle | undefined,
  state: NodeState,
): Promise<{ count: number; held: Set<string> }> {
  const held = new Set<string>()
  const onChain = new Set<string>()
  for (let at = connected.get(best.id.toString()); at; at = connected.get(at.entry.parent.toString())) {
    onChain.add(at.entry.id.toString())
    for (const { cid } of at.transactions) held.add(cid.toString())
  }
  for (const { id } of state.pending()) held.add(id.toString())
  const stale = [...connected.values()].filter(({ entry }) => !onChain.has(entry.id.toString()))
  let count = 0
  const places = [...stale.flatMap(({ transactions }) => transactions), ...loose]
  for (const { cid, offset, length } of places.sort((a, b) => a.offset - b.offset)) {
    if (!source || held.has(cid.toString())) continue
    const bytes = Buffer.allocUnsafeSlow(length)
    await source.read(bytes, 0, length, offset)
    const parsed = parseSection(bytes, 0)
    if (parsed.kind !== 'section' || !equalCids(parsed.section.cid, cid)) throw chainDamaged(offset)
    await state.putPending(cid, parsed.section.bytes)
    held.add(cid.toString())
    count++
  }
  return { count, held }
}

/** The index as it was left, which names what is missing; undefined if it cannot be read. */
async function formerIndex(paths: DataFolder, owner: string, rules: RepairRules) {
  const { parametersBlock } = rules
  const start = encodeCarHeader([parametersBlock.cid]).length + encodeCarSection(parametersBlock).length
  try {
    const database = await openDatabase(indexDatabase(paths.index, owner))
    const index: ChainIndex = createChainIndex(database, start)
    return index
  } catch (error) {
    if (isEmrError(error, 'index_damaged')) return undefined
    throw error
  }
}

/**
 * Repairs the chain file of a data folder that no node uses. A crash at any moment leaves a folder that can be
 * repaired again. The index is removed; the next opening makes it anew.
 *
 * @param now names the damaged file, in ms since 1970
 * @throws index_damaged if the state is damaged; data_folder_in_use, data_folder_version, disk_full, disk_failed
 */
export async function repairChain(folder: string, rules: RepairRules, now: number): Promise<RepairedChain> {
  const paths = dataFolderPaths(folder)
  const fresh = `${paths.chain}.repaired`
  const lock = await lockDataFolder(paths)
  let state: NodeState | undefined
  let source: FileHandle | undefined
  let target: FileHandle | undefined
  try {
    const owner = await checkFormatVersion(paths)
    const options = { folder: paths.state, durable: true, owner }
    if (!(await isThere(paths.state))) await createDatabase(options)
    state = createNodeState(await openDatabase(options))
    if (await isThere(paths.chain)) source = await open(paths.chain, 'r')
    failpoint('repair.begin')
    target = await open(fresh, 'w', 0o600)
    const found = await salvage(source, target, rules)
    const { connected, best, gaps, leftOut } = found
    failpoint('repair.written')
    const durable = state.chain()
    const length = source ? (await source.stat()).size : 0
    // What lies behind the acknowledged end was promised to nobody.
    const counts = durable?.length ?? found.length
    const isTipThere = durable === undefined || connected.has(durable.tip.toString())
    const headerLength = encodeCarHeader([rules.parametersBlock.cid]).length
    const isHeaderWhole = source ? await beginsWith(source, encodeCarHeader([rules.parametersBlock.cid])) : false
    const damaged =
      !source || !isHeaderWhole || length < counts || !isTipThere || gaps.some(({ offset }) => offset < counts)
    const summary = {
      damaged,
      blocks: connected.size - 1,
      tip: { id: best.id.toString(), height: best.height },
      gaps: isHeaderWhole || !source ? gaps : [{ offset: 0, length: headerLength }, ...gaps],
      leftOut: leftOut.length,
    }
    if (!damaged) {
      await rm(fresh)
      return { ...summary, missing: [], missingTip: null, pendingAgain: 0, lostTransactions: [], setAside: null }
    }
    const index = await formerIndex(paths, owner, rules)
    const missing = missingBlocks({ index, formerTip: durable?.tip, connected, best, leftOut })
    await index?.close()
    const { count, held } = await returnTransactions(found, source, state)
    failpoint('repair.returned')
    const lost = new Set(found.named.map(String).filter((id) => !held.has(id)))

    let setAside: string | null = null
    if (source) {
      setAside = `${paths.chain}.damaged-${new Date(now).toISOString().replace(/[:.]/g, '-')}`
      await link(paths.chain, setAside)
      await syncFolder(dirname(paths.chain))
    }
    failpoint('repair.kept')
    await removeDatabase(paths.index)
    failpoint('repair.index.removed')
    await rename(fresh, paths.chain)
    failpoint('repair.renamed')
    await syncFolder(dirname(paths.chain))
    await state.commitChain({ length: found.length, tip: best.id })
    failpoint('repair.done')
    return { ...summary, ...missing, pendingAgain: count, lostTransactions: [...lost], setAside }
  } catch (error) {
    throw toDiskError(error, 'repairing the chain file')
  } finally {
    await source?.close()
    await target?.close()
    await state?.close()
    await lock.release()
  }
}

async function beginsWith(file: FileHandle, wanted: Uint8Array): Promise<boolean> {
  const found = Buffer.alloc(wanted.length)
  await file.read(found, 0, wanted.length, 0)
  return found.equals(wanted)
}
