import type { CID } from 'multiformats/cid'

/** The end of a branch, as fork choice sees it. */
export interface BranchEnd {
  readonly id: CID
  /** Summed expected hashes from genesis. */
  readonly work: bigint
}

/**
 * Whether branch `a` is to be preferred to `b`: more summed work wins, on equal work the lower block id.
 * Every node that knows both takes the same one at once (docs/protocol.md, "Fork choice").
 */
export function isPreferred(a: BranchEnd, b: BranchEnd): boolean {
  if (a.work !== b.work) return a.work > b.work
  return compareDigests(a.id.multihash.digest, b.id.multihash.digest) < 0
}

function compareDigests(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
