import { equalBytes } from '../protocol/canonical.js'
import { roles } from '../protocol/consent-vocabulary.js'
import { certificateOf, identityOf, thresholdOf } from './rows.js'
import { type ReadState, tables } from './state.js'

/** In which role somebody acts, and for which organisation. */
export interface Actor {
  readonly role: number
  readonly organisation: Uint8Array | null
}

/**
 * The role of an identity at a time: that of the certificate it names, which must be its own, in force and not
 * revoked, and so must the one that it was issued under. Without a certificate the role that it gave itself, but only
 * in an open network. Undefined where it has none.
 */
export function actorOf(
  state: ReadState,
  identity: Uint8Array,
  certificate: Uint8Array | null,
  time: number,
): Actor | undefined {
  if (certificate) return certifiedActor(state, identity, certificate, time)
  const found = identityOf(state, identity)
  if (!found || thresholdOf(state) > 0) return undefined
  return { role: found.role, organisation: null }
}

function certifiedActor(state: ReadState, subject: Uint8Array, id: Uint8Array, time: number): Actor | undefined {
  const found = certificateOf(state, id)
  if (!found || !equalBytes(found.subject, subject)) return undefined
  if (found.revoked !== 0 || time < found.from || time >= found.until) return undefined
  if (found.under) {
    const above = certificateOf(state, found.under)
    if (!above || above.role !== roles.organisation || !equalBytes(above.subject, found.issuer)) return undefined
    if (above.revoked !== 0 || time < above.from || time >= above.until) return undefined
  }
  return { role: found.role, organisation: found.issuer }
}

/** Whether an identity is an administrator of the network now. */
export const isAdministrator = (state: ReadState, identity: Uint8Array): boolean =>
  state.get(tables.administrators, identity) !== undefined

/** The identity whose current key this is, and that identity's row. */
export function identityOfKey(state: ReadState, key: Uint8Array) {
  const id = state.get(tables.keys, key)
  const identity = id && identityOf(state, id)
  return id && identity && equalBytes(identity.key, key) ? { id, identity } : undefined
}
