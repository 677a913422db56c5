import type { Authority } from '../../client/x509/authority.js'
import type { CertificateSource } from '../../client/x509/certificate-source.js'
import { identityOn } from '../../client/x509/find-issuable.js'
import { toPem } from '../../client/x509/pem.js'
import { makeRevocationList, type Revoked, revokedOf } from '../../client/x509/revocation-list.js'
import type { CaFolder } from './ca-folder.js'

/**
 * Writes the list of all that an authority has taken back, over the one before. Times in ms.
 *
 * @returns how many numbers are on it
 * @throws EmrError `identity_unknown`, `disk_full`, `disk_failed`
 */
export async function writeRevocationList(
  source: CertificateSource,
  authority: Authority,
  folder: CaFolder,
  update: { readonly thisUpdate: number; readonly nextUpdate: number },
): Promise<number> {
  const entries: Revoked[] = []
  for (const certificate of await source.certificatesOf(authority.id)) {
    entries.push(...revokedOf(certificate, await identityOn(source, certificate.subject)))
  }
  await folder.write(folder.list, toPem('X509 CRL', makeRevocationList(authority, entries, update)), { force: true })
  return entries.length
}
