import { capabilities, roles } from '../protocol/consent-vocabulary.js'
import { actorOf } from './actor.js'
import { certificateOf, certificatesOf, identityOf, thresholdOf } from './rows.js'
import type { ReadState } from './state.js'

/**
 * Whether a node may be a custodian at a time: in an open network each; else one that has a certificate in force with the
 * capability `custody`. It says what an honest custodian does, and is no rule for blocks. docs/protocol.md, "Custodians".
 */
export function mayKeepShares(state: ReadState, node: Uint8Array, time: number): boolean {
  if (identityOf(state, node)?.role !== roles.node) return false
  if (thresholdOf(state) === 0) return true
  return certificatesOf(state, node).some((id) => {
    const allowed = certificateOf(state, id)?.capabilities ?? 0
    return (allowed & capabilities.custody) !== 0 && actorOf(state, node, id, time)?.role === roles.node
  })
}
