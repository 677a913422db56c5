import { compactToTarget } from '../protocol/compact-target.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'

/** The compact target that the network's rule demands of every block (rule `fixed`). */
export const expectedTarget = (network: NetworkParameters): number => network.target

/**
 * Expected number of hashes for a block of this target: 2^256 / (target + 1), rounded down.
 * Branches are compared by the sum of it.
 *
 * @throws EmrError `header_bad_target`
 */
export const workOf = (compact: number): bigint => (1n << 256n) / (compactToTarget(compact) + 1n)
