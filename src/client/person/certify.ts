import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { NO_END, roleNamed, roles } from '../../protocol/consent-vocabulary.js'
import { revokeCertificate, certify as signCertificate } from '../consent/certificate.js'
import {
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'

export interface NewCertificate {
  /** Id of whom it certifies, as text. */
  readonly subject: string
  /** A mask of capabilities. */
  readonly capabilities?: number
  /** In ms since 1970; now if left out. */
  readonly from?: number | undefined
  /** No end if left out. */
  readonly until?: number | undefined
}

export interface Certified extends SentTransaction {
  readonly subject: string
  readonly role: string
}

/**
 * Certifies somebody in the role of their identity: as an administrator (organisations, administrators) or as an
 * organisation, under its own certificate.
 *
 * @throws EmrError `identity_missing`, `identity_unknown`, and those of the node
 */
export async function certify(
  session: PersonSession,
  terms: NewCertificate,
  options: SendOptions = {},
): Promise<Certified> {
  const { body, signer, subject, role } = await bodyOfCertificate(session, terms)
  return { ...(await send(session, signCertificate(stampOf(session), signer, body), options)), subject, role }
}

/** What a certificate by this person says, and the key that signs it. @throws EmrError as `certify` */
export async function bodyOfCertificate(
  session: PersonSession,
  { subject, capabilities = 0, from = session.now(), until = NO_END }: NewCertificate,
) {
  const { id, role } = await session.client.identity(subject, { signal: session.signal })
  const { signer, certificate } = await actingOf(session)
  const number = roleNamed(role)
  if (number === undefined) throw new EmrError('node_unexpected', `It names a role ${role}.`)
  const isAbove = number === roles.organisation || number === roles.administrator
  const body = {
    subject: parseChainId(id).bytes,
    role: number,
    capabilities,
    from,
    until,
    under: isAbove ? null : certificate,
  }
  return { body, signer, subject: id, role }
}

/** Ends a certificate, and so all that hangs from it. @throws EmrError `identity_missing`, `malformed_cid`, `usage` */
export async function decertify(
  session: PersonSession,
  end: { readonly certificate: string; readonly reason: number },
  options: SendOptions = {},
): Promise<SentTransaction> {
  const body = await certificateToEnd(session, end)
  const { signer } = await actingOf(session)
  return send(session, revokeCertificate(stampOf(session), signer, body), options)
}

/** What ends a certificate, if it is one. @throws EmrError `malformed_cid`, `usage`, and those of the node */
export async function certificateToEnd(
  session: PersonSession,
  { certificate, reason }: { readonly certificate: string; readonly reason: number },
) {
  const id = parseChainId(certificate).bytes
  const { kind } = await session.client.transaction(certificate, { signal: session.signal })
  if (kind !== 'certificate') throw new EmrError('usage', `${certificate} is a ${kind}.`)
  return { certificate: id, reason }
}
