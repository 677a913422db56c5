import { concatBytes } from '@noble/hashes/utils.js'
import type { GrantBody } from '../../protocol/bodies/grant.js'
import type { RequestBody } from '../../protocol/bodies/request.js'
import type { RevocationBody } from '../../protocol/bodies/revocation.js'
import { actions, roles } from '../../protocol/consent-vocabulary.js'
import { type Act, isSame } from '../act.js'
import { actorOf } from '../actor.js'
import { isRevoked } from '../decide.js'
import { codeOf, type ResultCode } from '../result-codes.js'
import { classKeyKey, countOf, deniesOf, grantOf, identityOf, recordOf, rows, setCount } from '../rows.js'
import { type ContractState, type ReadState, tables } from '../state.js'

/** Most denies that can stand for one patient and grantee. */
const MAX_DENIES = 16

/** docs/protocol.md, "request": noted, without further effect. */
export function applyRequest(state: ContractState, act: Act, body: RequestBody): ResultCode {
  const actor = actorOf(state, act.author, body.certificate, act.time)
  if (!actor) return codeOf('no_role')
  if (identityOf(state, body.patient)?.role !== roles.patient) return codeOf('subject_unknown')
  if (!isSame(body.grantee, act.author) && !isSame(body.grantee, actor.organisation)) return codeOf('not_entitled')
  if (!ownsRecords(state, body.patient, body.records)) return codeOf('no_record')
  const row = { patient: body.patient, author: act.author, time: act.time }
  state.put(tables.requests, act.id, rows.requests.encode(row))
  return codeOf('accepted')
}

const ownsRecords = (state: ReadState, patient: Uint8Array, records: readonly Uint8Array[]): boolean =>
  records.every((id) => {
    const record = recordOf(state, id)
    return record !== undefined && record.state !== 2 && isSame(record.patient, patient)
  })

/** docs/protocol.md, "grant". */
export function applyGrant(state: ContractState, act: Act, body: GrantBody): ResultCode {
  const { patient, grantee, records, classes } = body
  if (!isSame(act.author, patient)) {
    const code = checkDelegate(state, act, body)
    if (code !== 0) return code
  } else if (body.under || !actorOf(state, patient, body.certificate, act.time)) return codeOf('no_role')
  if (grantee && !identityOf(state, grantee)) return codeOf('subject_unknown')
  if (!ownsRecords(state, patient, records)) return codeOf('no_record')
  for (const { class: recordClass, epoch } of body.keys) {
    const row = state.get(tables.classKeys, classKeyKey(patient, recordClass))
    if (epoch > (row ? rows.classKeys.decode(row).epoch : 0)) return codeOf('wrong_epoch')
  }
  const denies = deniesOf(state, patient, grantee)
  if (body.deny === 1 && denies.length >= MAX_DENIES) return codeOf('too_many_denies')
  const number = countOf(state, tables.counters, patient) + 1
  setCount(state, tables.counters, patient, number)
  const { deny, actions, purposes, confidentiality, sensitivity, from, until, uses } = body
  const limits = {
    roles: body.roles,
    classes,
    actions,
    purposes,
    confidentiality,
    sensitivity,
    from,
    until,
    uses,
    records,
  }
  const row = { patient, grantee, author: act.author, number, deny, revoked: 0, ...limits }
  state.put(tables.grants, act.id, rows.grants.encode(row))
  if (deny === 1) putDenies(state, patient, grantee, [...denies, act.id])
  return codeOf('accepted')
}

function putDenies(
  state: ContractState,
  patient: Uint8Array,
  grantee: Uint8Array | null,
  grants: readonly Uint8Array[],
): void {
  const key = grantee ? concatBytes(patient, grantee) : patient
  if (grants.length > 0) state.put(tables.denies, key, rows.denies.encode({ grants }))
  else state.delete(tables.denies, key)
}

/** A delegate gives no more than it has, and not the right to give. */
function checkDelegate(state: ReadState, act: Act, body: GrantBody): ResultCode {
  if (actorOf(state, act.author, body.certificate, act.time)?.role !== roles.delegate) return codeOf('not_entitled')
  const own = body.under && grantOf(state, body.under)
  const isOwn = own && own.deny === 0 && isSame(own.patient, body.patient) && isSame(own.grantee, act.author)
  if (!isOwn || (own.roles & (1 << roles.delegate)) === 0) return codeOf('no_grant')
  if (isRevoked(state, own)) return codeOf('revoked')
  if (act.time < own.from || act.time >= own.until) return codeOf('out_of_time')
  if ((own.actions & actions.REGRANT) === 0 || (body.actions & actions.REGRANT) !== 0) return codeOf('wrong_action')
  if (body.deny === 1) return codeOf('accepted')
  if ((body.purposes & ~own.purposes) !== 0) return codeOf('wrong_purpose')
  if ((body.actions & ~own.actions) !== 0) return codeOf('wrong_action')
  if (body.until > own.until) return codeOf('out_of_time')
  const isWithin = body.confidentiality <= own.confidentiality && (body.sensitivity & ~own.sensitivity) === 0
  const classesOfRecords = body.records.map((id) => recordOf(state, id)?.class ?? 0)
  const isAbout =
    (body.classes & ~own.classes) === 0 &&
    body.records.every(
      (id, at) => own.records.some((one) => isSame(one, id)) || (own.classes & (classesOfRecords[at] ?? 0)) !== 0,
    )
  return isWithin && isAbout ? 0 : codeOf('out_of_scope')
}

/** docs/protocol.md, "revocation". */
export function applyRevocation(
  state: ContractState,
  act: Act,
  { patient, grant, grantee }: RevocationBody,
): ResultCode {
  if (!grant) {
    if (!isSame(act.author, patient)) return codeOf('not_entitled')
    const key = grantee ? concatBytes(patient, grantee) : patient
    setCount(state, tables.cutoffs, key, countOf(state, tables.counters, patient))
    return codeOf('accepted')
  }
  const found = grantOf(state, grant)
  if (!found || !isSame(found.patient, patient) || isRevoked(state, found)) return codeOf('grant_unknown')
  // Who got a grant may give it up; who made it for the patient may take it back. Neither lifts the patient's denies.
  const isParty = isSame(act.author, found.author) || (found.deny === 0 && isSame(act.author, found.grantee))
  if (!isSame(act.author, patient) && !isParty) return codeOf('not_entitled')
  state.put(tables.grants, grant, rows.grants.encode({ ...found, revoked: 1 }))
  if (found.deny === 1) {
    const rest = deniesOf(state, patient, found.grantee).filter((id) => !isSame(id, grant))
    putDenies(state, patient, found.grantee, rest)
  }
  return codeOf('accepted')
}
