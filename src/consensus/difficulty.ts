import { compactToTarget, targetToCompact } from '../protocol/compact-target.js'
import type { Header } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { asertTarget } from './asert.js'

/**
 * The compact target that the network's rule demands of the block after `parent` (docs/protocol.md, "Difficulty").
 * It follows from the parameters and the parent alone: nothing else of the chain is looked at.
 */
export function expectedTarget(network: NetworkParameters, parent: Pick<Header, 'height' | 'time'>): number {
  const { difficulty, genesisTime, target } = network
  if (difficulty.rule === 'fixed') return target
  const { limit, spacing, halfLife } = difficulty
  // Genesis is the anchor. It has no parent; one is thought of that was on schedule.
  return targetToCompact(
    asertTarget({
      anchorTarget: compactToTarget(target),
      limit: compactToTarget(limit),
      spacing,
      halfLife,
      timeDiff: parent.time - (genesisTime - spacing),
      heightDiff: parent.height,
    }),
  )
}

/**
 * Expected number of hashes for a block of this target: 2^256 / (target + 1), rounded down.
 * Branches are compared by the sum of it.
 *
 * @throws EmrError `header_bad_target`
 */
export const workOf = (compact: number): bigint => (1n << 256n) / (compactToTarget(compact) + 1n)
