import type { CID } from 'multiformats/cid'
import type { BlockEntry, BlockFacts } from './block-entry.js'
import type { ChainIndex } from './chain-index.js'

/** A block of the former main chain that cannot be read any more. */
export interface MissingBlock {
  readonly height: number
  /** Known from the index, or from the block above. */
  readonly id: string | null
}

export interface Readable {
  /** The index of the former main chain, if it can be read. */
  readonly index: ChainIndex | undefined
  readonly formerTip: CID | undefined
  readonly connected: ReadonlyMap<string, { readonly entry: BlockEntry }>
  /** The best connected block. */
  readonly best: BlockEntry
  /** Blocks that can be read while an ancestor cannot. */
  readonly leftOut: readonly BlockFacts[]
}

/** Names what the former main chain held and the damaged file does not. */
export function missingBlocks(readable: Readable): { missing: MissingBlock[]; missingTip: string | null } {
  const { index, formerTip, connected, leftOut } = readable
  const apart = new Map(leftOut.map((facts) => [facts.id.toString(), facts]))
  const isReadable = (id: string): boolean => connected.has(id) || apart.has(id)
  const tipId = formerTip?.toString()
  const missingTip = tipId === undefined || isReadable(tipId) ? null : tipId
  const known = index?.tip()
  if (index && known && (tipId === undefined || known.id.toString() === tipId)) {
    const missing: MissingBlock[] = []
    for (let height = 1; height <= known.height; height++) {
      const id = index.blockAt(height)?.id.toString() ?? null
      if (id === null || !isReadable(id)) missing.push({ height, id })
    }
    return { missing, missingTip }
  }
  return { missing: withoutIndex(readable, apart), missingTip }
}

/** From the tip down: each block names its parent; below a gap it goes on from the highest block that is left. */
function withoutIndex(
  { formerTip, connected, best, leftOut }: Readable,
  apart: ReadonlyMap<string, BlockFacts>,
): MissingBlock[] {
  const missing: MissingBlock[] = []
  const falling = [...leftOut].sort((a, b) => b.height - a.height)
  let at = (formerTip && apart.get(formerTip.toString())) ?? falling[0]
  while (at) {
    const parent = at.parent.toString()
    if (connected.has(parent)) break
    const below = apart.get(parent)
    if (below) {
      at = below
      continue
    }
    const height: number = at.height - 1
    missing.push({ height, id: parent })
    const next = falling.find((facts) => facts.height < height)
    for (let gap = height - 1; gap > Math.max(next?.height ?? 0, best.height); gap--)
      missing.push({ height: gap, id: null })
    at = next
  }
  return missing.reverse()
}
