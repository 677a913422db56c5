import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  Certificate,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'
import type { CID } from 'multiformats/cid'
import type { Role } from '../../protocol/consent-vocabulary.js'
import type { Authority } from './authority.js'
import { capabilityTexts, identityUri, keyIdentifierOf, roleText } from './identifiers.js'
import { type Period, wholeSeconds } from './validity.js'

const COMMON_NAME = '2.5.4.3'
const ORGANISATIONAL_UNIT = '2.5.4.11'

/** Ed25519 as RFC 8410 names it: without parameters. */
export const ed25519Algorithm = (): AlgorithmIdentifier => new AlgorithmIdentifier({ algorithm: '1.3.101.112' })

/** A copy whose buffer holds these bytes and no others, as the encoder wants it. */
export const bufferOf = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer

/** An extension of RFC 5280 with its value. */
export const extension = (extnID: string, value: object, critical = false): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) })

const part = (type: string, utf8String: string): RelativeDistinguishedName =>
  new RelativeDistinguishedName([new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String }) })])

/** What of an identity is in its name. */
interface Named {
  /** Id of the identity. */
  readonly id: CID
  readonly role: Role
  /** Mask of `capabilities`, if they are to be in it. */
  readonly capabilities?: number
}

/** The distinguished name of an identity: its role as OU, an OU for each capability, its id as CN. */
export const nameOf = ({ id, role, capabilities = 0 }: Named): Name =>
  new Name([
    ...[roleText(role), ...capabilityTexts(capabilities)].map((text) => part(ORGANISATIONAL_UNIT, text)),
    part(COMMON_NAME, id.toString()),
  ])

/** The extension by which certificates and lists name the key that signed them. */
export const authorityKeyIdentifier = ({ signer }: Authority): Extension =>
  extension(
    id_ce_authorityKeyIdentifier,
    new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(bufferOf(keyIdentifierOf(signer.publicKey))) }),
  )

/** Somebody whose key a certificate vouches for. */
export interface Subject extends Named {
  /** The current Ed25519 key, 32 bytes. */
  readonly key: Uint8Array
}

/**
 * A certificate (RFC 5280, RFC 8410), DER, with the names and key identifiers that all of them have. The same input
 * gives the same bytes.
 *
 * @param own what this one may be used for, as extensions
 * @throws EmrError `certificate_unfit`
 */
export function signCertificate(
  issuer: Authority,
  subject: Subject,
  { serialNumber, period, own }: { serialNumber: Uint8Array; period: Period; own: readonly Extension[] },
): Uint8Array {
  const uri = new GeneralName({ uniformResourceIdentifier: identityUri(issuer.genesis, subject.id) })
  const keyIdentifier = bufferOf(keyIdentifierOf(subject.key))
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: bufferOf(serialNumber),
    signature: ed25519Algorithm(),
    issuer: nameOf(issuer),
    validity: new Validity(wholeSeconds(period)),
    subject: nameOf(subject),
    subjectPublicKeyInfo: new SubjectPublicKeyInfo({
      algorithm: ed25519Algorithm(),
      subjectPublicKey: bufferOf(subject.key),
    }),
    extensions: new Extensions([
      ...own,
      extension(id_ce_subjectAltName, new SubjectAlternativeName([uri])),
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyIdentifier)),
      authorityKeyIdentifier(issuer),
    ]),
  })
  const signatureValue = bufferOf(issuer.signer.sign(new Uint8Array(AsnConvert.serialize(tbsCertificate))))
  const certificate = new Certificate({ tbsCertificate, signatureAlgorithm: ed25519Algorithm(), signatureValue })
  return new Uint8Array(AsnConvert.serialize(certificate))
}
