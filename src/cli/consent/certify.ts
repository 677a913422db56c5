import { revokeCertificate, certify as signCertificate } from '../../client/consent/certificate.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { capabilities, NO_END, revocationReasons, roles } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { actingOf, openConsentSession, type SentTransaction } from './session.js'
import { bitsOf, oneOf, timeOf } from './words.js'

export interface CertifyOptions {
  readonly can?: readonly string[] | undefined
  readonly from?: string | undefined
  readonly until?: string | undefined
  readonly mine?: boolean | undefined
}

export interface Certified extends SentTransaction {
  readonly subject: string
  readonly role: string
}

/**
 * Certifies somebody in the role of their identity: as an administrator (organisations, administrators) or as an
 * organisation, under its own certificate.
 *
 * @throws EmrError `identity_missing`, `contact_unknown`, `identity_unknown`, `usage`, and those of the node
 */
export async function certify(who: string, options: CertifyOptions, globals: Globals): Promise<Certified> {
  const now = Date.now()
  const from = options.from === undefined ? now : timeOf('--from', options.from)
  const until = options.until === undefined ? NO_END : timeOf('--until', options.until)
  const allowed = bitsOf('--can', options.can ?? [], capabilities)
  const session = await openConsentSession(globals)
  const { client, contacts, signal } = session
  const { id, role } = await client.identity(contacts.idOf(who), { signal })
  const { signer, certificate } = await actingOf(session)
  const number = oneOf('role', role, roles)
  const isAbove = number === roles.organisation || number === roles.administrator
  const body = {
    subject: parseChainId(id).bytes,
    role: number,
    capabilities: allowed,
    from,
    until,
    under: isAbove ? null : certificate,
  }
  const sent = await session.send(signCertificate(session.stamp(), signer, body), options)
  return { ...sent, subject: id, role }
}

/** Ends a certificate, and so all that hangs from it. @throws EmrError `identity_missing`, `malformed_cid`, `usage` */
export async function decertify(
  certificate: string,
  { reason, mine }: { readonly reason: string; readonly mine?: boolean | undefined },
  globals: Globals,
): Promise<SentTransaction> {
  const why = oneOf('--reason', reason.replaceAll('-', '_'), revocationReasons)
  const id = parseChainId(certificate).bytes
  const session = await openConsentSession(globals)
  const { transaction: _, kind } = await session.client.transaction(certificate, { signal: session.signal })
  if (kind !== 'certificate') throw new EmrError('usage', `${certificate} is a ${kind}.`)
  const { signer } = await actingOf(session)
  return session.send(revokeCertificate(session.stamp(), signer, { certificate: id, reason: why }), { mine })
}
