import type { ConsentRecordBody } from '../../protocol/bodies/record.js'
import { actions, roles } from '../../protocol/consent-vocabulary.js'
import { type Act, isSame } from '../act.js'
import { actorOf, identityOfKey } from '../actor.js'
import { decide } from '../decide.js'
import { codeOf, type ResultCode } from '../result-codes.js'
import { classKeyKey, countOf, identityOf, recordOf, rows, setCount } from '../rows.js'
import { type ContractState, type ReadState, tables } from '../state.js'

/** A record under consent. docs/protocol.md, "record". */
export function applyRecord(state: ContractState, act: Act, body: ConsentRecordBody): ResultCode {
  const { patient, grant, certificate, purpose, confidentiality, sensitivity, supersedes } = body
  if (identityOf(state, patient)?.role !== roles.patient) return codeOf('subject_unknown')
  const question = { accessor: act.author, certificate, record: body, grant, action: actions.APPEND, purpose }
  const code = decide(state, question, act.time)
  if (code !== 0) return code
  const row = state.get(tables.classKeys, classKeyKey(patient, body.class))
  if (!row || rows.classKeys.decode(row).epoch !== body.epoch) return codeOf('wrong_epoch')
  if (!hasQuorum(state, body)) return codeOf('receipts_too_few')
  const before = supersedes && recordOf(state, supersedes)
  const isCurrent = before && before.state === 0 && isSame(before.patient, patient) && before.class === body.class
  if (supersedes && !isCurrent) return codeOf('wrong_supersedes')
  const isOwn = isSame(patient, act.author)
  const role = isOwn ? roles.patient : actorOf(state, act.author, certificate, act.time)?.role
  if (supersedes && role === roles.laboratory_technician && !isApproved(state, act, body))
    return codeOf('approval_missing')

  const written = { patient, class: body.class, confidentiality, sensitivity, author: act.author, state: 0 }
  state.put(tables.records, act.id, rows.records.encode(written))
  if (supersedes && before) state.put(tables.records, supersedes, rows.records.encode({ ...before, state: 1 }))
  if (grant && !isOwn) setCount(state, tables.uses, grant, countOf(state, tables.uses, grant) + 1)
  return codeOf('accepted')
}

/** Whether more than half of the patient's custodians signed, by their current keys. */
function hasQuorum(state: ReadState, { patient, receipts }: ConsentRecordBody): boolean {
  const custodians = identityOf(state, patient)?.custodians ?? []
  const signed = receipts.filter(({ node, key }) => {
    const found = identityOf(state, node)
    return custodians.some((one) => isSame(one, node)) && found !== undefined && isSame(found.key, key)
  })
  return signed.length * 2 > custodians.length
}

/** Whether a doctor, who is somebody else, signed under it. */
function isApproved(state: ReadState, act: Act, { approval }: ConsentRecordBody): boolean {
  const doctor = approval && identityOfKey(state, approval.key)
  if (!approval || !doctor || isSame(doctor.id, act.author)) return false
  return actorOf(state, doctor.id, approval.certificate, act.time)?.role === roles.doctor
}
