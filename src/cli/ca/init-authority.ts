import type { Authority } from '../../client/x509/authority.js'
import { makeAuthorityCertificate } from '../../client/x509/authority-certificate.js'
import type { CertificateSource } from '../../client/x509/certificate-source.js'
import { toPem } from '../../client/x509/pem.js'
import { EmrError } from '../../errors.js'
import type { WriteOptions } from '../write-output.js'
import { type CaFolder, readPem } from './ca-folder.js'
import { type CertificateChain, identitiesIn, parseChain, toPemText } from './certificate-chain.js'

const YEAR = 365 * 86_400_000

export interface InitOptions extends WriteOptions {
  /** File of a chain that begins with this authority's certificate; without it, the authority signs for itself. */
  readonly chain?: string | undefined
  /** How long it signs for itself, in years of 365 days. */
  readonly years: number
  readonly now: number
}

/**
 * Writes the certificate of an authority.
 *
 * @throws EmrError `output_exists`, `input_unreadable`, `certificate_chain_broken`, `certificate_stale`,
 * `identity_unknown`, `other_network`
 */
export async function initAuthority(
  source: CertificateSource,
  authority: Authority,
  folder: CaFolder,
  { chain, years, now, force }: InitOptions,
): Promise<CertificateChain> {
  // From the second that has begun: who checks at once must not find it of the future.
  const from = now - (now % 1000)
  const pem =
    chain === undefined
      ? toPem('CERTIFICATE', makeAuthorityCertificate(authority, { from, until: from + years * YEAR }))
      : await readPem(chain, 'Whoever certified this organisation makes it with "emrchain ca export".')
  const path = chain ?? folder.authority
  const parsed = parseChain(pem, path)
  await assertIsOf(source, authority, parsed, path)
  await folder.write(folder.authority, toPemText(parsed), { force })
  return parsed
}

/** A chain of somebody else, or with a key that was replaced, would vouch for nothing that is issued here. */
async function assertIsOf(
  source: CertificateSource,
  { id }: Authority,
  chain: CertificateChain,
  path: string,
): Promise<void> {
  const [own] = await identitiesIn(source, chain, path)
  if (!own.equals(id) || !chain[0].ca) throw new EmrError('certificate_stale', `${path} does not begin with ${id}.`)
}
