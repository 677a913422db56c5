import { X509Certificate } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { CertificateSource } from '../../client/x509/certificate-source.js'
import { identityOn } from '../../client/x509/find-issuable.js'
import { identityUri, URI_PREFIX } from '../../client/x509/identifiers.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'

/** Certificates in PEM, each signed by the next, the last by itself. There is at least one. */
export type CertificateChain = readonly [X509Certificate, ...X509Certificate[]]

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g
/** More than any chain has here: a certificate, an organisation, an administrator. */
const MAX_CERTIFICATES = 3

/**
 * Reads a chain and checks that it is one, signature by signature. That its root is to be trusted is not said.
 *
 * @throws EmrError `certificate_chain_broken`
 */
export function parseChain(pem: string, path: string): CertificateChain {
  const texts = pem.match(PEM_CERTIFICATE) ?? []
  const [first, ...above] = texts.slice(0, MAX_CERTIFICATES + 1).map((text) => parse(text, path))
  if (!first || texts.length > MAX_CERTIFICATES) {
    throw new EmrError('certificate_chain_broken', `${path} has ${texts.length} certificates.`)
  }
  const chain: CertificateChain = [first, ...above]
  for (const [index, certificate] of chain.entries()) {
    const issuer = chain[index + 1] ?? certificate
    if (!isIssuedBy(certificate, issuer)) {
      throw new EmrError('certificate_chain_broken', `${path}: certificate ${index + 1}.`)
    }
  }
  return chain
}

/** Whether a CA issued this certificate: names, key identifiers and the signature. */
export const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)

/** The first certificate of a text. @throws EmrError `certificate_chain_broken` */
export function parseCertificate(pem: string, path: string): X509Certificate {
  const [text = ''] = pem.match(PEM_CERTIFICATE) ?? []
  return parse(text, path)
}

function parse(text: string, path: string): X509Certificate {
  try {
    return new X509Certificate(text)
  } catch (cause) {
    throw new EmrError('certificate_chain_broken', `${path} holds something else than certificates.`, {}, { cause })
  }
}

/** The Ed25519 key in a certificate, 32 bytes; undefined for a key of another kind. */
export function keyIn({ publicKey }: X509Certificate): Buffer | undefined {
  if (publicKey.asymmetricKeyType !== 'ed25519') return undefined
  const { x } = publicKey.export({ format: 'jwk' })
  return x === undefined ? undefined : Buffer.from(x, 'base64url')
}

/** As `identityOfCertificate`, of all certificates of a chain. */
export async function identitiesIn(
  source: CertificateSource,
  [first, ...above]: CertificateChain,
  path: string,
): Promise<readonly [CID, ...CID[]]> {
  const own = await identityOfCertificate(source, first, path)
  return [own, ...(await Promise.all(above.map((one) => identityOfCertificate(source, one, path))))]
}

/**
 * The identity that a certificate is of, which must have the same key on the chain now.
 *
 * @param path where the certificate came from, for errors
 * @throws EmrError `other_network`, `identity_unknown`, `certificate_stale`, `malformed_cid`
 */
async function identityOfCertificate(
  source: CertificateSource,
  certificate: X509Certificate,
  path: string,
): Promise<CID> {
  const [network = '', text = ''] = certificate.subjectAltName?.split(`URI:${URI_PREFIX}`)[1]?.split(':identity:') ?? []
  if (network !== source.genesis.toString()) throw new EmrError('other_network', path)
  const id = parseChainId(text)
  const { key } = await identityOn(source, id)
  const isExact = certificate.subjectAltName === `URI:${identityUri(source.genesis, id)}`
  if (!isExact || !keyIn(certificate)?.equals(key)) {
    throw new EmrError('certificate_stale', `${path} holds a certificate for another key than ${id} has.`)
  }
  return id
}

export const toPemText = (chain: readonly X509Certificate[]): string => chain.map(String).join('')
