import type { IdentityBody } from '../../protocol/bodies/identity.js'
import { roles } from '../../protocol/consent-vocabulary.js'
import { isSame } from '../act.js'
import { codeOf, type ResultCode } from '../result-codes.js'
import { classKeyKey, countOf, identityOf, NO_KEY, rows, setCount } from '../rows.js'
import { type ContractState, type ReadState, tables } from '../state.js'

interface Written {
  readonly id: Uint8Array
  readonly from: Uint8Array
  readonly body: IdentityBody
}

/** A first or next version of an identity. docs/protocol.md, "identity". */
export function applyIdentity(state: ContractState, { id, from, body }: Written): ResultCode {
  const owner = state.get(tables.keys, from)
  const code = owner ? checkNext(state, owner, from, body) : checkFirst(from, body)
  if (code !== 0) return code
  const identity = owner ?? id
  const faults = checkKeys(state, identity, from, body) || checkClassKeys(state, identity, body)
  if (faults !== 0) return faults
  for (const custodian of body.custodians) {
    if (identityOf(state, custodian)?.role !== roles.node) return codeOf('node_unknown')
  }
  const { role, key, recovery, custodians } = body
  state.put(tables.identities, identity, rows.identities.encode({ role, version: id, key, recovery, custodians }))
  for (const one of recovery ? [key, recovery] : [key]) state.put(tables.keys, one, rows.keys.encode({ identity }))
  for (const { class: recordClass, epoch, key } of body.classKeys) {
    state.put(tables.classKeys, classKeyKey(identity, recordClass), rows.classKeys.encode({ epoch, key }))
  }
  const isFirst = !owner && state.get(tables.firstAdministrators, from) !== undefined
  if (isFirst && role === roles.administrator) {
    state.put(tables.administrators, identity, Uint8Array.of(1))
    setCount(state, tables.counters, NO_KEY, countOf(state, tables.counters, NO_KEY) + 1)
  }
  return codeOf('accepted')
}

/** The signer's own key comes first. */
function checkFirst(from: Uint8Array, body: IdentityBody): ResultCode {
  if (body.previous) return codeOf('wrong_predecessor')
  return isSame(body.key, from) ? 0 : codeOf('unknown_author')
}

function checkNext(state: ReadState, owner: Uint8Array, from: Uint8Array, body: IdentityBody): ResultCode {
  const before = identityOf(state, owner)
  if (!before || !(isSame(before.key, from) || isSame(before.recovery, from))) return codeOf('unknown_author')
  if (!isSame(body.previous, before.version)) return codeOf('wrong_predecessor')
  return body.role === before.role ? 0 : codeOf('role_changed')
}

/** A key that is not the signer's and not one of the version before has to be new, and to prove that it agrees. */
function checkKeys(state: ReadState, identity: Uint8Array, from: Uint8Array, body: IdentityBody): ResultCode {
  const before = identityOf(state, identity)
  if (isSame(body.key, body.recovery)) return codeOf('key_taken')
  const named = [[body.key, body.keyProof] as const, [body.recovery, body.recoveryProof] as const]
  for (const [key, proof] of named) {
    if (!key) continue
    const isKept = before ? isSame(key, before.key) || isSame(key, before.recovery) : isSame(key, from)
    if (isKept) continue
    if (state.get(tables.keys, key)) return codeOf('key_taken')
    if (!proof) return codeOf('proof_missing')
  }
  return 0
}

function checkClassKeys(state: ReadState, identity: Uint8Array, { classKeys }: IdentityBody): ResultCode {
  for (const { class: recordClass, epoch, key } of classKeys) {
    const row = state.get(tables.classKeys, classKeyKey(identity, recordClass))
    const current = row && rows.classKeys.decode(row)
    const isKept = current !== undefined && epoch === current.epoch && isSame(key, current.key)
    const isNext = epoch === (current?.epoch ?? 0) + 1 && !isSame(key, current?.key ?? null)
    if (!isKept && !isNext) return codeOf('wrong_epoch')
  }
  return 0
}
