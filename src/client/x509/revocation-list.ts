import { AsnConvert } from '@peculiar/asn1-schema'
import {
  CertificateList,
  CRLNumber,
  CRLReason,
  CRLReasons,
  id_ce_cRLNumber,
  id_ce_cRLReasons,
  RevokedCertificate,
  TBSCertList,
  Time,
  Version,
} from '@peculiar/asn1-x509'
import { compareBytes } from '../../protocol/bodies/fields.js'
import { revocationReasons, roles } from '../../protocol/consent-vocabulary.js'
import { type Authority, assertAuthority } from './authority.js'
import type { CertifiedIdentity, ChainCertificate } from './certificate-source.js'
import { serialNumberOf } from './identifiers.js'
import { authorityKeyIdentifier, bufferOf, ed25519Algorithm, extension, nameOf } from './sign-certificate.js'

/** One certificate that no longer holds. */
export interface Revoked {
  /** Content of a DER integer. */
  readonly serialNumber: Uint8Array
  /** Since when, ms. */
  readonly at: number
  readonly reason: CRLReasons
}

const SECOND = 1000

/**
 * What of a certificate on the chain belongs on the list of its issuer: all that was ever written of it, if it is
 * revoked; else what was written for keys that its subject has replaced since.
 */
export function revokedOf(certificate: ChainCertificate, { key, formerKeys }: CertifiedIdentity): Revoked[] {
  const { id, revoked } = certificate
  const entries = new Map<string, Revoked>()
  const add = (entry: Revoked): void => {
    const name = entry.serialNumber.join()
    const known = entries.get(name)
    if (!known || entry.at < known.at) entries.set(name, entry)
  }
  if (revoked) {
    const reason = reasonOf(certificate, revoked.reason)
    for (const one of [key, ...formerKeys.map((former) => former.key)]) {
      add({ serialNumber: serialNumberOf(id, one), at: revoked.at, reason })
    }
  }
  for (const former of formerKeys) {
    // A recovery key may take turns with the key, and then holds again.
    if (compareBytes(former.key, key) === 0) continue
    add({ serialNumber: serialNumberOf(id, former.key), at: former.replacedAt, reason: CRLReasons.superseded })
  }
  return [...entries.values()]
}

function reasonOf({ role }: ChainCertificate, reason: number): CRLReasons {
  switch (reason) {
    case revocationReasons.key_compromised:
      return role === roles.organisation ? CRLReasons.cACompromise : CRLReasons.keyCompromise
    case revocationReasons.left:
      return CRLReasons.affiliationChanged
    case revocationReasons.superseded:
      return CRLReasons.superseded
    default:
      return CRLReasons.unspecified
  }
}

/**
 * The list of what an issuer has taken back (CRL v2 of RFC 5280), DER. Its number is the second of `thisUpdate`, so
 * that a later list has a higher one. Times in ms.
 *
 * @throws EmrError `not_an_authority`
 */
export function makeRevocationList(
  issuer: Authority,
  entries: readonly Revoked[],
  { thisUpdate, nextUpdate }: { readonly thisUpdate: number; readonly nextUpdate: number },
): Uint8Array {
  assertAuthority(issuer)
  const revokedCertificates = [...entries]
    .sort((a, b) => compareBytes(a.serialNumber, b.serialNumber))
    .map(toRevokedCertificate)
  const tbsCertList = new TBSCertList({
    version: Version.v2,
    signature: ed25519Algorithm(),
    issuer: nameOf(issuer),
    thisUpdate: timeOf(thisUpdate),
    nextUpdate: timeOf(nextUpdate),
    // An empty list is left out (RFC 5280, 5.1.2.6).
    ...(revokedCertificates.length > 0 && { revokedCertificates }),
    crlExtensions: [
      authorityKeyIdentifier(issuer),
      extension(id_ce_cRLNumber, new CRLNumber(Math.floor(thisUpdate / SECOND))),
    ],
  })
  const signature = bufferOf(issuer.signer.sign(new Uint8Array(AsnConvert.serialize(tbsCertList))))
  const list = new CertificateList({ tbsCertList, signatureAlgorithm: ed25519Algorithm(), signature })
  return new Uint8Array(AsnConvert.serialize(list))
}

function toRevokedCertificate({ serialNumber, at, reason }: Revoked): RevokedCertificate {
  return new RevokedCertificate({
    userCertificate: bufferOf(serialNumber),
    revocationDate: timeOf(at),
    // No reason is left out, as RFC 5280, 5.3.1 asks.
    ...(reason !== CRLReasons.unspecified && {
      crlEntryExtensions: [extension(id_ce_cRLReasons, new CRLReason(reason))],
    }),
  })
}

/** Whole seconds: X.509 has no parts of them here. */
const timeOf = (ms: number): Time => new Time(new Date(Math.floor(ms / SECOND) * SECOND))
