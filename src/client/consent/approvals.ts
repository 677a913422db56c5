import { concatBytes } from '@noble/hashes/utils.js'
import { type Signer, verifyZip215 } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import type { Approval } from '../../protocol/bodies/certificate.js'
import { compareBytes } from '../../protocol/bodies/fields.js'
import { type ConsentRecordBody, isConsentRecord } from '../../protocol/bodies/record.js'
import { approvalMessage } from '../../protocol/signatures-of-others.js'
import { type Draft, draftOf } from './draft.js'

/** A doctor's signature under a record. */
export type RecordApproval = NonNullable<ConsentRecordBody['approval']>

/**
 * The signature of a further administrator under a certificate, or under the end of one. Look at all of the draft
 * first: who it is about, which role, how long. It is good for this draft alone.
 */
export const approve = (draft: Draft, signer: Signer): Approval => ({
  key: signer.publicKey,
  sig: signer.sign(approvalMessage(draft)),
})

/**
 * The draft with one more administrator's signature, which is checked; in the place of an older one by the same key.
 *
 * @throws EmrError `transaction_bad_signature`; `transaction_malformed` where nobody has to approve, or too many do
 */
export function addApproval(draft: Draft, approval: Approval): Draft {
  if (!verifyZip215(approval.sig, approvalMessage(draft), approval.key)) throw new EmrError('transaction_bad_signature')
  const added = (approvals: readonly Approval[]): Approval[] =>
    [...approvals.filter(({ key }) => compareBytes(key, approval.key) !== 0), approval].sort((a, b) =>
      compareBytes(a.key, b.key),
    )
  const { kind } = draft
  if (kind === 'certificate') {
    return draftOf(draft, draft.from, { kind, body: { ...draft.body, approvals: added(draft.body.approvals) } })
  }
  if (kind === 'certificate_revocation') {
    return draftOf(draft, draft.from, { kind, body: { ...draft.body, approvals: added(draft.body.approvals) } })
  }
  throw new EmrError('transaction_malformed', 'Administrators do not approve this kind.')
}

/** The signature of a doctor, in the role of this certificate, under a record that a laboratory technician amends. */
export const approveRecord = (draft: Draft, signer: Signer, certificate: Uint8Array | null): RecordApproval => ({
  key: signer.publicKey,
  certificate,
  sig: signer.sign(recordApprovalMessage(draft, certificate)),
})

/** The record with a doctor's signature, which is checked. @throws EmrError `transaction_bad_signature`, `transaction_malformed` */
export function addRecordApproval(draft: Draft, approval: RecordApproval): Draft {
  const message = recordApprovalMessage(draft, approval.certificate)
  if (!verifyZip215(approval.sig, message, approval.key)) throw new EmrError('transaction_bad_signature')
  if (draft.kind !== 'record' || !isConsentRecord(draft.body)) {
    throw new EmrError('transaction_malformed', 'A doctor approves records.')
  }
  return draftOf(draft, draft.from, { kind: draft.kind, body: { ...draft.body, approval } })
}

/** What a doctor signs under a record. */
export const recordApprovalMessage = (draft: Draft, certificate: Uint8Array | null): Uint8Array =>
  concatBytes(approvalMessage(draft), certificate ?? new Uint8Array(0))
