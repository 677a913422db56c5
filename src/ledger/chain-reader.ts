import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { chainDamaged } from './chain-damaged.js'
import type { ChainFile } from './chain-file.js'
import type { ChainIndex } from './chain-index.js'
import { equalCids, type Place, type StoredSection } from './section.js'

/** Reads of the chain file that go through the index. */
export interface ChainReader {
  /** All sections of a stored block, each checked against its CID. @throws block_unknown, chain_damaged */
  readBlockSections(id: CID): Promise<StoredSection[]>
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

export const createChainReader = (file: ChainFile, index: ChainIndex): ChainReader => ({
  async readBlockSections(id) {
    const entry = index.block(id)
    if (!entry) throw new EmrError('block_unknown', undefined, { id: id.toString() })
    const sections = await file.readSections(entry.offset, entry.length)
    const header = sections.at(-1)
    if (!header || !equalCids(header.cid, id)) throw chainDamaged(entry.offset)
    return sections
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
