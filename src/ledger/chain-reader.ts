import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { chainDamaged } from './chain-damaged.js'
import type { ChainFile } from './chain-file.js'
import type { ChainIndex } from './chain-index.js'
import type { MainChainBlock } from './main-chain-row.js'
import { equalCids, type Place, type StoredSection } from './section.js'

/** Reads of the chain file that go through the index. */
export interface ChainReader {
  /** All sections of a stored block, each checked against its CID. @throws block_unknown, chain_damaged */
  readBlockSections(id: CID): Promise<StoredSection[]>
  /**
   * The sections of the main-chain blocks `from` to `to` (inclusive, at most to the tip), read some blocks at a time and
   * checked one block at a time, when it is taken: who is done with a block before taking the next has one in memory.
   * Where the main chain is switched meanwhile, blocks of both branches may come.
   *
   * @throws chain_damaged, also while blocks are taken
   */
  readMainChain(from: number, to: number): AsyncGenerator<Iterable<StoredSection[]>, void, void>
  /** One section, checked: a transaction by its id and the place that a match or confirmation gives. */
  readSection(cid: CID, place: Place): Promise<Uint8Array>
  /**
   * Raw sections of the main-chain blocks `from` to `to` (inclusive, at most to the tip), for peers, who
   * check them. It ends early if the main chain is switched under it.
   */
  streamBlocks(from: number, to: number): AsyncIterable<Uint8Array>
}

/** Heights that are looked up at once. */
const PAGE = 256
/** Blocks that lie side by side are read at once up to so many bytes. */
const MOST_AT_ONCE = 256 * 1024

/** Runs of blocks that lie side by side. */
const sideBySide = (blocks: readonly MainChainBlock[]): MainChainBlock[][] => {
  const runs: MainChainBlock[][] = []
  let bytes = 0
  let end = -1
  for (const block of blocks) {
    bytes += block.length
    if (block.offset === end && bytes <= MOST_AT_ONCE) runs.at(-1)?.push(block)
    else {
      runs.push([block])
      bytes = block.length
    }
    end = block.offset + block.length
  }
  return runs
}

/** The sections of each of these blocks, which fill the range of these sections together. */
function* divide(
  sections: Iterable<StoredSection>,
  blocks: readonly MainChainBlock[],
): Generator<StoredSection[], void, void> {
  const rest = sections[Symbol.iterator]()
  for (const { id, offset, length } of blocks) {
    const block: StoredSection[] = []
    for (let end = offset; end < offset + length; ) {
      const { value } = rest.next()
      if (!value) break
      block.push(value)
      end = value.offset + value.length
    }
    const last = block.at(-1)
    if (!last || !equalCids(last.cid, id)) throw chainDamaged(offset)
    yield block
  }
}

export const createChainReader = (file: ChainFile, index: ChainIndex): ChainReader => ({
  async readBlockSections(id) {
    const entry = index.block(id)
    if (!entry) throw new EmrError('block_unknown', undefined, { id: id.toString() })
    const sections = [...(await file.readSections(entry.offset, entry.length))]
    const header = sections.at(-1)
    if (!header || !equalCids(header.cid, id)) throw chainDamaged(entry.offset)
    return sections
  },

  async *readMainChain(from, to) {
    for (let height = from; height <= to; height += PAGE) {
      const blocks = index.mainChain(height, Math.min(to, height + PAGE - 1))
      for (const run of sideBySide(blocks)) {
        const bytes = run.reduce((sum, { length }) => sum + length, 0)
        yield divide(await file.readSections(run[0]?.offset ?? 0, bytes), run)
      }
      if (blocks.length < PAGE) return
    }
  },

  readSection: (cid, { offset, length }) => file.read(cid, offset, length),

  async *streamBlocks(from, to) {
    let parent: CID | undefined
    let isWhole = true
    for (let height = Math.max(0, from); isWhole && height <= to; ) {
      // Blocks that lie side by side are read as one range.
      const ranges: { offset: number; length: number }[] = []
      for (const end = Math.min(to, height + PAGE - 1); isWhole && height <= end; height++) {
        const entry = index.blockAt(height)
        isWhole = entry !== undefined && (!parent || equalCids(entry.parent, parent))
        if (!isWhole || !entry) break
        parent = entry.id
        const before = ranges.at(-1)
        if (before && before.offset + before.length === entry.offset) before.length += entry.length
        else ranges.push({ offset: entry.offset, length: entry.length })
      }
      for (const { offset, length } of ranges) yield* file.readRange(offset, length)
    }
  },
})
