/** From sections of the chain file to chain blocks. */
import type { CID } from 'multiformats/cid'
import type { EmrError } from '../errors.js'
import type { Section } from '../protocol/block.js'
import type { BlockEntry, BlockFacts, IndexedBlock, PlacedTransaction } from './block-entry.js'
import { chainDamaged } from './chain-damaged.js'
import type { Scan } from './chain-scan.js'
import { equalCids, type StoredSection } from './section.js'

/** What the ledger is told about blocks, since it knows no rule of the chain. */
export interface BlockReader {
  /** Whether this section is a block's header, which ends the block. */
  isHeader(section: Section): boolean
  /** The facts of the block that these sections are: transactions, list, signature (not in genesis), header. */
  describe(sections: readonly Section[]): BlockFacts
}

/** The runs of sections that end with a header. A run without one, at the end, is left out. */
export async function* blockRuns(scan: Scan, isHeader: BlockReader['isHeader']): AsyncGenerator<StoredSection[]> {
  let run: StoredSection[] = []
  for await (const section of scan) {
    run.push(section)
    if (!isHeader(section)) continue
    yield run
    run = []
  }
}

/**
 * A block as the index notes it.
 * @param parent the entry of the parent; undefined for genesis alone
 * @returns undefined if the run is not the block of the facts
 */
export const toIndexedBlock = (
  run: readonly StoredSection[],
  facts: BlockFacts,
  parent: BlockEntry | undefined,
): IndexedBlock | undefined => {
  const [first, last] = [run[0], run.at(-1)]
  if (!first || !last) return undefined
  const count = facts.transactions.length
  const isGenesis = facts.height === 0
  const fits =
    run.length === count + (isGenesis ? 2 : 3) &&
    equalCids(last.cid, facts.id) &&
    (isGenesis ? parent === undefined : parent?.height === facts.height - 1)
  if (!fits) return undefined

  const transactions: PlacedTransaction[] = []
  for (const [position, { id, lookups }] of facts.transactions.entries()) {
    const section = run[position]
    if (!section || !equalCids(section.cid, id)) return undefined
    transactions.push({ id, lookups, offset: section.offset, length: section.length })
  }
  const entry: BlockEntry = {
    id: facts.id,
    parent: facts.parent,
    height: facts.height,
    totalWork: (parent?.totalWork ?? 0n) + facts.work,
    time: facts.time,
    transactionCount: count,
    offset: first.offset,
    length: last.offset + last.length - first.offset,
    header: Uint8Array.from(last.bytes),
    signature: isGenesis ? null : Uint8Array.from(run[count + 1]?.bytes ?? []),
  }
  return { entry, transactions, apply: facts.apply }
}

/**
 * The block of a run that was read from the chain file.
 * @param blockOf gives the entry of a stored block
 * @throws chain_damaged if the run is no block, or not one that was appended
 */
export const readRun = (
  run: readonly StoredSection[],
  reader: BlockReader,
  blockOf: (id: CID) => BlockEntry | undefined,
): IndexedBlock => {
  const damaged = (cause?: unknown): EmrError => chainDamaged(run[0]?.offset ?? 0, undefined, cause)
  let facts: BlockFacts
  try {
    facts = reader.describe(run)
  } catch (error) {
    throw damaged(error)
  }
  const block = toIndexedBlock(run, facts, blockOf(facts.parent))
  if (!block) throw damaged()
  return block
}
