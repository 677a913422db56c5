import { EVERY_CAPABILITY, type Role, roles } from '../consent-vocabulary.js'
import {
  type BodyOf,
  bits,
  bytes,
  compareBytes,
  id,
  malformed,
  mapOf,
  oneOf,
  orNull,
  readBody,
  sorted,
  time,
} from './fields.js'

/** Most signatures of further administrators in one transaction. */
export const MAX_APPROVALS = 16

/** A signature of somebody else over what this transaction does (`approvalMessage`). */
const approval = mapOf({ key: bytes(32), sig: bytes(64) })
export type Approval = ReturnType<typeof approval>

/** Further administrators who sign, by key. */
export const approvals = sorted(approval, MAX_APPROVALS, (a, b) => compareBytes(a.key, b.key))

const fields = {
  subject: id,
  role: oneOf<Role>(roles),
  capabilities: bits(EVERY_CAPABILITY, 0),
  /** Valid from this time on, in ms, to just before `until`. */
  from: time,
  until: time,
  /** The issuer's own certificate; null for administrators and in open networks. */
  under: orNull(id),
  approvals,
}

/** The author says that `subject` acts in `role` for it. docs/protocol.md, "certificate". */
export type CertificateBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export function decodeCertificate(value: unknown): CertificateBody {
  const body = readBody(fields, value)
  if (body.until <= body.from) throw malformed('until is not after from.')
  return body
}
