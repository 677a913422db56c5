import type { X509Certificate } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { CertificateSource, ChainCertificate } from '../../client/x509/certificate-source.js'
import { findIssuable } from '../../client/x509/find-issuable.js'
import { serialNumberOf } from '../../client/x509/identifiers.js'
import { wholeSeconds } from '../../client/x509/validity.js'
import { EmrError } from '../../errors.js'
import type { WriteOptions } from '../write-output.js'
import { type CaFolder, readPem } from './ca-folder.js'
import {
  type CertificateChain,
  identitiesIn,
  isIssuedBy,
  keyIn,
  parseCertificate,
  parseChain,
  toPemText,
} from './certificate-chain.js'

/** The certificates of one identity, up to the root, and where they are. */
export interface ExportedChain {
  readonly path: string
  readonly certificates: number
}

/**
 * Writes the certificate of an identity with those above it, from files that were issued before, if they still say what
 * the chain says. Needs no key.
 *
 * @throws EmrError `input_unreadable`, `certificate_chain_broken`, `certificate_stale`, `certificate_unknown`,
 * `certificate_revoked`, `certificate_expired`, `identity_unknown`, `other_network`, `output_exists`
 */
export async function exportChain(
  source: CertificateSource,
  folder: CaFolder,
  identity: CID,
  { now, force }: WriteOptions & { readonly now: number },
): Promise<ExportedChain> {
  const { authority: ownPath } = folder
  const above = parseChain(await readPem(ownPath, 'Make it with "emrchain ca init".'), ownPath)
  const [issuer] = await identitiesIn(source, above, ownPath)
  const chain = [await issuedTo(source, folder, { identity, issuer, above, now }), ...above]
  const path = folder.chain(identity)
  await folder.write(path, toPemText(chain), { force })
  return { path, certificates: chain.length }
}

interface Wanted {
  readonly identity: CID
  readonly issuer: CID
  readonly above: CertificateChain
  readonly now: number
}

async function issuedTo(
  source: CertificateSource,
  folder: CaFolder,
  { identity, issuer, above: [authority], now }: Wanted,
): Promise<X509Certificate> {
  const latest = newestOf(await source.certificatesOf(issuer), identity, now)
  if (!latest) throw new EmrError('certificate_unknown', `${issuer} issued none to ${identity}.`)
  const { certificate, subject } = await findIssuable(source, { id: issuer }, latest.id, now)
  const path = folder.certificate(certificate.id)
  const found = parseCertificate(await readPem(path, `Make it with "emrchain ca issue ${certificate.id}".`), path)
  const { notAfter } = wholeSeconds(certificate)
  const serial = Buffer.from(serialNumberOf(certificate.id, subject.key)).toString('hex')
  const isCurrent =
    isIssuedBy(found, authority) &&
    BigInt(`0x${found.serialNumber}`) === BigInt(`0x${serial}`) &&
    keyIn(found)?.equals(subject.key) === true &&
    Date.parse(found.validTo) === notAfter.getTime()
  if (!isCurrent) throw new EmrError('certificate_stale', path)
  return found
}

/** The newest certificate of a subject that holds, or else the newest at all, which says why there is none. */
function newestOf(certificates: readonly ChainCertificate[], identity: CID, now: number): ChainCertificate | undefined {
  const own = certificates.filter(({ subject }) => subject.equals(identity)).reverse()
  return own.find(({ revoked, until }) => !revoked && now < until) ?? own[0]
}
