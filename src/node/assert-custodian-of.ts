import { mayKeepShares } from '../contract/may-keep-shares.js'
import { identityOf } from '../contract/rows.js'
import { EmrError } from '../errors.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import type { CustodyChain, Standing } from './custody-dependencies.js'
import { nextBlock } from './pending-withdrawals.js'

/** Whether a patient names this node as a custodian now. */
export const isCustodianOf = (chain: Pick<CustodyChain, 'contractState'>, patient: Uint8Array, node: Uint8Array) =>
  identityOf(chain.contractState(), patient)?.custodians.some((id) => equalBytes(id, node)) ?? false

/** So many versions of an identity are looked back through. */
const MAX_VERSIONS = 256

/** Whether a node is or was a custodian of a patient. */
export async function wasCustodianOf(
  chain: Pick<CustodyChain, 'contractState' | 'transaction'>,
  patient: Uint8Array,
  node: Uint8Array,
): Promise<boolean> {
  let version: Uint8Array | null | undefined = identityOf(chain.contractState(), patient)?.version
  for (let left = MAX_VERSIONS; version && left > 0; left--) {
    const standing: Standing | undefined = await chain.transaction(chainCidAt(version, 0))
    if (standing?.transaction.kind !== 'identity') return false
    const { custodians, previous } = standing.transaction.body
    if (custodians.some((id) => equalBytes(id, node))) return true
    version = previous
  }
  return false
}

/**
 * Passes a node that is a custodian of a patient now: the patient names it, and where there are administrators it is
 * certified to keep shares, at the later of the tip's time and this node's clock.
 *
 * @throws EmrError `not_custodian`, `custodian_not_certified`
 */
export function assertCustodianOf(
  chain: Pick<CustodyChain, 'contractState' | 'tip'>,
  patient: Uint8Array,
  node: Uint8Array,
  now: number,
): void {
  if (!isCustodianOf(chain, patient, node)) throw new EmrError('not_custodian')
  if (!mayKeepShares(chain.contractState(), node, nextBlock(chain, now).time))
    throw new EmrError('custodian_not_certified')
}
