import { roles } from '../protocol/consent-vocabulary.js'
import { actorOf, identityOfKey, isAdministrator } from './actor.js'
import { certificatesOf, identityOf, thresholdOf } from './rows.js'
import { type ReadState, tables } from './state.js'

/**
 * Whether who signs with this key may read the chain and its files at a time: in an open network everybody. Else
 * administrators, and whoever has a certificate in force, as has the organisation that issued it, both by the current
 * key of their identity; and first administrators by the key that the parameters of the network name, until it is
 * replaced or they are administrators no more. docs/protocol.md, "Who reads".
 */
export function mayRead(state: ReadState, key: Uint8Array, time: number): boolean {
  if (thresholdOf(state) === 0) return true
  const isFirst = state.get(tables.firstAdministrators, key) !== undefined
  const reader = identityOfKey(state, key)
  // A key that belongs to an identity and is not its current one was replaced, and may be known to others.
  if (!reader) return isFirst && ownerOfKey(state, key) === undefined
  const { id, identity } = reader
  if (isAdministrator(state, id)) return true
  // The node of a first administrator has its key, and is no administrator itself.
  if (isFirst && identity.role !== roles.administrator) return true
  return certificatesOf(state, id).some((certificate) => actorOf(state, id, certificate, time) !== undefined)
}

/** The identity that this key belongs to, or belonged to before it was replaced. */
export function ownerOfKey(state: ReadState, key: Uint8Array): Uint8Array | undefined {
  const id = state.get(tables.keys, key)
  return id && identityOf(state, id) ? id : undefined
}
