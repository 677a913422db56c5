import { capabilities, roles } from '../protocol/consent-vocabulary.js'
import { actorOf, identityOfKey } from './actor.js'
import { rows, thresholdOf } from './rows.js'
import { type ReadState, tables } from './state.js'

/**
 * Whether blocks of this time may be mined with this key: in an open network with any; else with that of a first
 * administrator, or the current key of a node whose newest certificate to mine is in force. docs/protocol.md,
 * "Rules for blocks".
 */
export function mayMine(state: ReadState, key: Uint8Array, time: number): boolean {
  if (thresholdOf(state) === 0 || state.get(tables.firstAdministrators, key)) return true
  const node = identityOfKey(state, key)
  const row = node && state.get(tables.miners, node.id)
  return (
    node !== undefined &&
    row !== undefined &&
    actorOf(state, node.id, rows.miners.decode(row).certificate, time) !== undefined
  )
}

/** Whether a certificate lets its subject mine. */
export const letsMine = ({ role, capabilities: allowed }: { role: number; capabilities: number }): boolean =>
  role === roles.node && (allowed & capabilities.mine) !== 0
