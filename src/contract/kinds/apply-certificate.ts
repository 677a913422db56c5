import type { Approval, CertificateBody } from '../../protocol/bodies/certificate.js'
import type { CertificateRevocationBody } from '../../protocol/bodies/certificate-revocation.js'
import { roles } from '../../protocol/consent-vocabulary.js'
import { type Act, isSame } from '../act.js'
import { actorOf, identityOfKey, isAdministrator } from '../actor.js'
import { letsMine } from '../may-mine.js'
import { codeOf, type ResultCode } from '../result-codes.js'
import { certificateOf, certificatesOf, countOf, identityOf, NO_KEY, rows, setCount, thresholdOf } from '../rows.js'
import { type ContractState, type ReadState, tables } from '../state.js'

/** How many certificates of an identity are looked at to say whether it is certified: the newest. */
const MAX_CERTIFIED = 64

/** Whether so many different administrators signed, the author among them. */
function meetsThreshold(state: ReadState, { author }: Act, approvals: readonly Approval[]): boolean {
  const signers: Uint8Array[] = [author]
  for (const { key } of approvals) {
    const signer = identityOfKey(state, key)
    if (signer && isAdministrator(state, signer.id) && !signers.some((one) => isSame(one, signer.id)))
      signers.push(signer.id)
  }
  return signers.length >= thresholdOf(state)
}

/** docs/protocol.md, "certificate". */
export function applyCertificate(state: ContractState, act: Act, body: CertificateBody): ResultCode {
  const code = checkIssuer(state, act, body)
  if (code !== 0) return code
  const subject = identityOf(state, body.subject)
  if (!subject) return codeOf('subject_unknown')
  if (subject.role !== body.role) return codeOf('role_changed')
  const { role, capabilities, from, until, under } = body
  const row = { subject: body.subject, role, capabilities, from, until, issuer: act.author, under, revoked: 0 }
  state.put(tables.certificates, act.id, rows.certificates.encode(row))
  noteCertified(state, act, body.subject)
  if (letsMine(row)) state.put(tables.miners, body.subject, rows.miners.encode({ certificate: act.id }))
  if (role === roles.administrator && !isAdministrator(state, body.subject)) {
    state.put(tables.administrators, body.subject, Uint8Array.of(1))
    setCount(state, tables.counters, NO_KEY, countOf(state, tables.counters, NO_KEY) + 1)
  }
  return codeOf('accepted')
}

/** Puts a certificate to those of its subject. What has ended by the time of this block has ended for good and goes. */
function noteCertified(state: ContractState, { id, time }: Act, subject: Uint8Array): void {
  const lasting = certificatesOf(state, subject).filter((one) => {
    const found = certificateOf(state, one)
    return found?.revoked === 0 && time < found.until
  })
  state.put(tables.certified, subject, rows.certified.encode({ certificates: [...lasting, id].slice(-MAX_CERTIFIED) }))
}

function checkIssuer(state: ReadState, act: Act, { role, under, approvals }: CertificateBody): ResultCode {
  const isOpen = thresholdOf(state) === 0
  if (!under && isOpen) {
    if (identityOf(state, act.author)?.role !== roles.organisation) return codeOf('not_entitled')
    return isOfPeople(role) ? 0 : codeOf('role_forbidden')
  }
  if (!under) {
    if (!isAdministrator(state, act.author)) return codeOf('not_entitled')
    if (isOfPeople(role)) return codeOf('role_forbidden')
    return meetsThreshold(state, act, approvals) ? 0 : codeOf('threshold_missed')
  }
  const issuer = actorOf(state, act.author, under, act.time)
  if (issuer?.role !== roles.organisation) return codeOf('not_entitled')
  return isOfPeople(role) ? 0 : codeOf('role_forbidden')
}

/** Organisations certify people and nodes. */
const isOfPeople = (role: number): boolean => role !== roles.organisation && role !== roles.administrator

/** docs/protocol.md, "certificate_revocation". */
export function applyCertificateRevocation(
  state: ContractState,
  act: Act,
  { certificate, approvals }: CertificateRevocationBody,
): ResultCode {
  const found = certificateOf(state, certificate)
  if (found?.revoked !== 0) return codeOf('certificate_unknown')
  const isAbove = isAdministrator(state, act.author)
  if (!isAbove && !isIssuer(state, act, found.issuer)) return codeOf('not_entitled')
  if (isAbove && !meetsThreshold(state, act, approvals)) return codeOf('threshold_missed')
  if (found.role === roles.administrator && isAdministrator(state, found.subject)) {
    const left = countOf(state, tables.counters, NO_KEY) - 1
    if (left < thresholdOf(state)) return codeOf('administrators_too_few')
    state.delete(tables.administrators, found.subject)
    setCount(state, tables.counters, NO_KEY, left)
  }
  state.put(tables.certificates, certificate, rows.certificates.encode({ ...found, revoked: 1 }))
  return codeOf('accepted')
}

/** The organisation that issued it; a former administrator is none. */
const isIssuer = (state: ReadState, { author }: Act, issuer: Uint8Array): boolean =>
  isSame(issuer, author) && identityOf(state, author)?.role === roles.organisation
