import type { CID } from 'multiformats/cid'
import { type Authority, assertAuthority } from '../../client/x509/authority.js'
import type { CertificateSource } from '../../client/x509/certificate-source.js'
import { identityOn } from '../../client/x509/find-issuable.js'
import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import type { Globals } from '../globals.js'

/** What the commands of `emrchain ca` need of the world. */
export interface CaDependencies {
  /** What the node that the command line names says of certificates. */
  openSource(globals: Globals): Promise<CertificateSource>
  /** The identity that the wallet holds for this network, and its key. Asks for the passphrase. */
  openKey(globals: Globals, genesis: CID, signal: AbortSignal): Promise<{ readonly id: CID; readonly signer: Signer }>
  /** The time, ms. */
  now(): number
}

/**
 * Who certifies here: the identity in the wallet, as the chain knows it.
 *
 * @throws EmrError `identity_unknown`, `identity_key_wrong`, `not_an_authority`, and what opening the wallet throws
 */
export async function openAuthority(
  { openKey }: CaDependencies,
  source: CertificateSource,
  globals: Globals,
  signal: AbortSignal,
): Promise<Authority> {
  const { genesis } = source
  const { id, signer } = await openKey(globals, genesis, signal)
  const { role, key } = await identityOn(source, id)
  if (!Buffer.from(key).equals(signer.publicKey)) throw new EmrError('identity_key_wrong', `${id}.`)
  assertAuthority({ role })
  return { genesis, id, role, signer }
}
