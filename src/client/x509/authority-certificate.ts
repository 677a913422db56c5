import {
  BasicConstraints,
  type Extension,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  KeyUsage,
  KeyUsageFlags,
} from '@peculiar/asn1-x509'
import { roles } from '../../protocol/consent-vocabulary.js'
import { type Authority, assertAuthority } from './authority.js'
import { serialNumberOf } from './identifiers.js'
import { extension, signCertificate } from './sign-certificate.js'
import type { Period } from './validity.js'

/**
 * The extensions of one who signs certificates and revocation lists. Organisations certify people and nodes, and no
 * further organisation (docs/protocol.md, "certificate"); administrators certify organisations.
 */
export const authorityExtensions = (role: number): Extension[] => [
  extension(
    id_ce_basicConstraints,
    new BasicConstraints({ cA: true, pathLenConstraint: role === roles.administrator ? 1 : 0 }),
    true,
  ),
  extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), true),
]

/**
 * The certificate of an organisation or administrator that signs for itself, DER: a root, which others have to be told
 * to trust.
 *
 * @throws EmrError `not_an_authority`, `certificate_unfit`
 */
export function makeAuthorityCertificate(authority: Authority, period: Period): Uint8Array {
  assertAuthority(authority)
  const { id, role, signer } = authority
  return signCertificate(
    authority,
    { id, role, key: signer.publicKey },
    { serialNumber: serialNumberOf(id, signer.publicKey), period, own: authorityExtensions(role) },
  )
}
