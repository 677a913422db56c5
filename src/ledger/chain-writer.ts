import { statfs } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { Section } from '../protocol/block.js'
import { carSectionLength } from '../protocol/car.js'
import type { BlockEntry, BlockFacts, IndexedBlock } from './block-entry.js'
import { type BlockReader, toIndexedBlock } from './chain-blocks.js'
import type { ChainFile } from './chain-file.js'
import type { ChainIndex } from './chain-index.js'
import { toDiskError } from './disk-error.js'
import type { NodeState, PendingChange } from './node-state.js'
import { equalCids, type StoredSection } from './section.js'
import { pathToTip, readIndexedBlock } from './tip-path.js'

/** A chain block to be appended: transactions, list, signature, header. */
export interface NewBlock {
  readonly sections: readonly Section[]
  /** What `describe` would say, if the caller knows it already. */
  readonly facts?: BlockFacts
}

/** Writes run one after another, in the order of the calls. */
export interface ChainWriter {
  /**
   * Appends checked blocks, parents first, with one write and one fdatasync. The main chain stays as it
   * is. The blocks are kept for good with the next `moveTip`; a crash before it takes them back, since
   * nobody was told of them. Known blocks are passed over.
   * @throws header_unknown_parent if a parent is not stored; block_malformed if facts and sections
   *   differ; disk_full with nothing changed; disk_failed
   */
  appendBlocks(blocks: readonly NewBlock[]): Promise<void>
  /** The same for one block. */
  appendBlock(sections: readonly Section[], facts?: BlockFacts): Promise<void>
  /**
   * Makes a stored block the tip, whatever branch it is on, in one step: after a crash all of it holds
   * or none, the change of what is pending included. Durable when it resolves; no reader sees half of it.
   * @throws block_unknown; disk_full with nothing changed; disk_failed
   */
  moveTip(id: CID, change?: PendingChange): Promise<void>
}

export interface ChainWriterParts {
  /** A folder on the disk that is written. */
  readonly folder: string
  readonly file: ChainFile
  readonly index: ChainIndex
  readonly state: Pick<NodeState, 'chain' | 'commitChain'>
  readonly reader: BlockReader
}

/** Free space that is left alone, so that a block whose bytes fit does not fail half-way in a database. */
const RESERVE = 8 * 1024 * 1024
/** How many times the bytes of a block are needed in all: chain file and index. */
const SPACE_FACTOR = 4

/** How many appended blocks are kept in memory until the tip moves to them, and at least those of one batch. */
const RECENT_BLOCKS = 16

const assertSpace = async (folder: string, bytes: number): Promise<void> => {
  const { bavail, bsize, blocks } = await statfs(folder).catch((error: unknown) => {
    throw toDiskError(error, 'asking for free space')
  })
  const needed = bytes * SPACE_FACTOR + RESERVE
  // File systems without a notion of size report no blocks at all.
  if (blocks > 0 && bavail * bsize < needed) {
    throw new EmrError('disk_full', undefined, { free: bavail * bsize, needed })
  }
}

/** The sections of blocks with the places that they get when they are appended at `offset`. */
const layOut = (blocks: readonly NewBlock[], offset: number): { runs: StoredSection[][]; end: number } => {
  let end = offset
  const place = (section: Section): StoredSection => {
    const placed = { ...section, offset: end, length: carSectionLength(section) }
    end += placed.length
    return placed
  }
  return { runs: blocks.map(({ sections }) => sections.map(place)), end }
}

/**
 * @returns the writer, and `finish`, which refuses further writes and waits for the running ones
 */
export const createChainWriter = ({
  folder,
  file,
  index,
  state,
  reader,
}: ChainWriterParts): ChainWriter & { finish(): Promise<void> } => {
  let refusal: EmrError | undefined
  let last: Promise<unknown> = Promise.resolve()
  /** What was appended last and most likely becomes the tip next, so that it need not be read again. */
  const recent = new Map<string, IndexedBlock>()

  const inTurn = <T>(run: () => Promise<T>): Promise<T> => {
    const result = last.then(() => {
      if (refusal) throw refusal
      return run()
    })
    last = result.catch(() => undefined)
    return result
  }
  /** After this only opening the folder again tells what is on the disk. */
  const giveUp = (detail: string, cause: unknown): EmrError => {
    refusal = new EmrError('disk_failed', `${detail} Open the data folder again.`, {}, { cause })
    return refusal
  }

  const toIndexedBlocks = (blocks: readonly Required<NewBlock>[], runs: readonly StoredSection[][]): IndexedBlock[] => {
    const fresh = new Map<string, BlockEntry>()
    return blocks.map(({ facts }, at) => {
      const parent = fresh.get(facts.parent.toString()) ?? index.block(facts.parent)
      if (!parent) throw new EmrError('header_unknown_parent', undefined, { parent: facts.parent.toString() })
      const block = toIndexedBlock(runs[at] ?? [], facts, parent)
      if (!block) throw new EmrError('block_malformed', 'Its sections are not those of its facts.')
      fresh.set(facts.id.toString(), block.entry)
      return block
    })
  }

  const readBlock = async (entry: BlockEntry): Promise<IndexedBlock> =>
    recent.get(entry.id.toString()) ?? readIndexedBlock(entry, index, file, reader)

  const append = async (given: readonly NewBlock[]): Promise<void> => {
    const blocks = given
      .map(({ sections, facts }) => ({ sections, facts: facts ?? reader.describe(sections) }))
      .filter(({ facts }) => !index.block(facts.id))
    if (blocks.length === 0) return
    const before = file.length
    const { runs, end } = layOut(blocks, before)
    const add = toIndexedBlocks(blocks, runs)
    await assertSpace(folder, end - before)
    await file.append(runs.flat())
    try {
      index.switchTo({ add, end })
    } catch (error) {
      await file.truncate(before).catch((cause: unknown) => {
        throw giveUp('A block could neither be indexed nor taken back.', cause)
      })
      throw error
    }
    failpoint('append.indexed')
    for (const block of add) recent.set(block.entry.id.toString(), block)
    // All of a batch: it is most likely the way to the next tip.
    const most = Math.max(RECENT_BLOCKS, add.length)
    for (const id of recent.keys()) if (recent.size > most) recent.delete(id)
  }

  const move = async (id: CID, change: PendingChange): Promise<void> => {
    const target = index.block(id)
    if (!target) throw new EmrError('block_unknown', undefined, { id: id.toString() })
    const before = state.chain()
    const path = await pathToTip(target, index, readBlock)
    await assertSpace(
      folder,
      path.connect.reduce((sum, { entry }) => sum + entry.length, 0),
    )
    failpoint('move.begin')
    try {
      await state.commitChain({ length: file.length, tip: id }, change)
    } catch (error) {
      // A refused commit leaves the old tip; if the disk shows another one nobody knows what holds.
      const after = state.chain()
      if (!before || !after || !equalCids(after.tip, before.tip)) throw giveUp('A commit failed in part.', error)
      throw error
    }
    failpoint('move.committed')
    try {
      index.switchTo({ ...path, end: index.end })
    } catch (error) {
      throw giveUp('The new tip is durable, but the index does not show it.', error)
    }
    failpoint('move.indexed')
    recent.clear()
  }

  return {
    appendBlocks: (blocks) => inTurn(() => append(blocks)),
    appendBlock: (sections, facts) => inTurn(() => append([facts ? { sections, facts } : { sections }])),
    moveTip: (id, change = {}) => inTurn(() => move(id, change)),

    async finish() {
      refusal ??= new EmrError('closing')
      await last
    },
  }
}
