import type { Signer } from '../../crypto/ed25519.js'
import type { CertificateBody } from '../../protocol/bodies/certificate.js'
import type { CertificateRevocationBody } from '../../protocol/bodies/certificate-revocation.js'
import { roles } from '../../protocol/consent-vocabulary.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Draft, draftOf, type Stamp, signDraft } from './draft.js'
import { unfit } from './unfit.js'

/** Whom the author certifies, as what, how long; `under` is the author's own certificate, if it needs one. */
export type NewCertificate = Omit<CertificateBody, 'approvals'>
export type CertificateEnd = Omit<CertificateRevocationBody, 'approvals'>

/**
 * A certificate before it is signed, for further administrators to approve (`approve`, `addApproval`, `signDraft`).
 *
 * @param author key of who will sign it
 * @throws EmrError `transaction_malformed`; `consent_unfit` if an issuer under a certificate names a role above its own
 */
export function draftCertificate(stamp: Stamp, author: Uint8Array, certificate: NewCertificate): Draft {
  const isAbove = certificate.role === roles.organisation || certificate.role === roles.administrator
  if (certificate.under && isAbove) throw unfit('role_forbidden')
  return draftOf(stamp, author, { kind: 'certificate', body: { ...certificate, approvals: [] } })
}

/** A certificate that needs no other signature: by an organisation, or where the threshold is one. */
export const certify = (stamp: Stamp, signer: Signer, certificate: NewCertificate): SignedTransaction =>
  signDraft(draftCertificate(stamp, signer.publicKey, certificate), signer, stamp.maxBytes)

/** The end of a certificate before it is signed, for further administrators. @throws EmrError `transaction_malformed` */
export const draftCertificateRevocation = (stamp: Stamp, author: Uint8Array, end: CertificateEnd): Draft =>
  draftOf(stamp, author, { kind: 'certificate_revocation', body: { ...end, approvals: [] } })

/** The end of a certificate that needs no other signature. */
export const revokeCertificate = (stamp: Stamp, signer: Signer, end: CertificateEnd): SignedTransaction =>
  signDraft(draftCertificateRevocation(stamp, signer.publicKey, end), signer, stamp.maxBytes)
