import type { CID } from 'multiformats/cid'
import { EmrError } from '../../errors.js'
import type { Authority } from './authority.js'
import type { CertificateSource, CertifiedIdentity, ChainCertificate } from './certificate-source.js'
import type { Subject } from './sign-certificate.js'

/** The identity of this id. @throws EmrError `identity_unknown` */
export async function identityOn(source: CertificateSource, id: CID): Promise<CertifiedIdentity> {
  const found = await source.identity(id)
  if (!found) throw new EmrError('identity_unknown', `${id}.`)
  return found
}

async function certificateOn(source: CertificateSource, id: CID): Promise<ChainCertificate> {
  const found = await source.certificate(id)
  if (!found) throw new EmrError('certificate_unknown', `${id}.`)
  return found
}

/**
 * A certificate of the chain that its issuer may write as X.509 at this time (ms), and whom it is of. It, and the one
 * that it is under, are neither revoked nor over; their time need not have begun.
 *
 * @throws EmrError `certificate_unknown`, `certificate_foreign`, `certificate_revoked`, `certificate_expired`,
 * `identity_unknown`
 */
export async function findIssuable(
  source: CertificateSource,
  issuer: Pick<Authority, 'id'>,
  id: CID,
  now: number,
): Promise<{ certificate: ChainCertificate; subject: Subject }> {
  const certificate = await certificateOn(source, id)
  if (!certificate.issuer.equals(issuer.id)) {
    throw new EmrError('certificate_foreign', `It is of ${certificate.issuer}.`)
  }
  assertHolds(certificate, now)
  if (certificate.under) assertHolds(await certificateOn(source, certificate.under), now)
  const { key } = await identityOn(source, certificate.subject)
  return { certificate, subject: { id: certificate.subject, role: certificate.role, key } }
}

function assertHolds({ id, revoked, until }: ChainCertificate, now: number): void {
  if (revoked) throw new EmrError('certificate_revoked', `${id}, since ${new Date(revoked.at).toISOString()}.`)
  if (now >= until) throw new EmrError('certificate_expired', `${id}, since ${new Date(until).toISOString()}.`)
}
