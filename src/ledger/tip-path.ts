import type { BlockEntry, IndexedBlock } from './block-entry.js'
import { type BlockReader, readRun } from './chain-blocks.js'
import { chainDamaged } from './chain-damaged.js'
import type { ChainFile } from './chain-file.js'
import type { ChainIndex } from './chain-index.js'
import { equalCids } from './section.js'

/** From one tip to another: back to the block that both descend from, then forward. */
export interface TipPath {
  /** Tip first. */
  readonly disconnect: readonly IndexedBlock[]
  /** Parents first. */
  readonly connect: readonly IndexedBlock[]
}

/** Reads a block that the index knows, every section checked. @throws chain_damaged */
export const readIndexedBlock = async (
  entry: BlockEntry,
  index: Pick<ChainIndex, 'block'>,
  file: Pick<ChainFile, 'readSections'>,
  reader: BlockReader,
): Promise<IndexedBlock> => {
  const run = [...(await file.readSections(entry.offset, entry.length))]
  const block = readRun(run, reader, index.block)
  if (!equalCids(block.entry.id, entry.id)) throw chainDamaged(entry.offset)
  return block
}

/**
 * The path from the index's tip to `target`, which is in the index.
 * @param read gives a block of the way whole
 */
export const pathToTip = async (
  target: BlockEntry,
  index: Pick<ChainIndex, 'tip' | 'block' | 'isOnMainChain'>,
  read: (entry: BlockEntry) => Promise<IndexedBlock>,
): Promise<TipPath> => {
  const forward: BlockEntry[] = []
  let fork: BlockEntry | undefined = target
  while (fork && !index.isOnMainChain(fork)) {
    forward.push(fork)
    fork = index.block(fork.parent)
  }
  const back: BlockEntry[] = []
  for (let at = index.tip(); at && at.height > (fork?.height ?? -1); at = index.block(at.parent)) back.push(at)

  const readAll = async (entries: readonly BlockEntry[]): Promise<IndexedBlock[]> => {
    const blocks: IndexedBlock[] = []
    for (const entry of entries) blocks.push(await read(entry))
    return blocks
  }
  return { disconnect: await readAll(back), connect: await readAll(forward.reverse()) }
}
