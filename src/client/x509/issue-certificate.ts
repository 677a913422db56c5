import {
  BasicConstraints,
  ExtendedKeyUsage,
  type Extension,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_kp_clientAuth,
  KeyUsage,
  KeyUsageFlags,
} from '@peculiar/asn1-x509'
import type { CID } from 'multiformats/cid'
import { roles } from '../../protocol/consent-vocabulary.js'
import { type Authority, assertAuthority } from './authority.js'
import { authorityExtensions } from './authority-certificate.js'
import { serialNumberOf } from './identifiers.js'
import { extension, type Subject, signCertificate } from './sign-certificate.js'
import type { Period } from './validity.js'

/** What a certificate on the chain says, apart from who says it of whom. */
export interface CertifiedTerms extends Period {
  /** Id of the certificate on the chain. */
  readonly id: CID
  /** Mask of `capabilities`. */
  readonly capabilities: number
}

/**
 * A certificate of the chain as X.509, DER, by its issuer. An organisation gets one that it can issue others under; all
 * others get one for signatures and as clients of TLS, with their capabilities in the name; in that of an organisation,
 * which is the issuer of others, they would be in the way. Whether the chain holds such a certificate, and that it is
 * not revoked, is for the caller to know: `findIssuable`.
 *
 * @throws EmrError `not_an_authority`, `certificate_unfit`
 */
export function issueCertificate(issuer: Authority, subject: Subject, terms: CertifiedTerms): Uint8Array {
  assertAuthority(issuer)
  const isAuthority = subject.role === roles.organisation
  const named = isAuthority ? subject : { ...subject, capabilities: terms.capabilities }
  return signCertificate(issuer, named, {
    serialNumber: serialNumberOf(terms.id, subject.key),
    period: terms,
    own: isAuthority ? authorityExtensions(subject.role) : endEntityExtensions(),
  })
}

const endEntityExtensions = (): Extension[] => [
  extension(id_ce_basicConstraints, new BasicConstraints(), true),
  extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature), true),
  extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_clientAuth])),
]
