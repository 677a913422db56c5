import { bytesToHex } from '@noble/hashes/utils.js'
import { verifyZip215 } from '../../crypto/ed25519.js'
import { EmrError, isEmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt } from '../../protocol/cid.js'
import { approvalMessage } from '../../protocol/signatures-of-others.js'
import { addApproval, approve } from '../consent/approvals.js'
import { draftCertificate, draftCertificateRevocation } from '../consent/certificate.js'
import { type Draft, signDraft } from '../consent/draft.js'
import { bodyOfCertificate, certificateToEnd, type NewCertificate } from './certify.js'
import {
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'

/** What administrators decide together: somebody's certificate, or the end of one. */
export type SharedDraft = Draft & { readonly kind: 'certificate' | 'certificate_revocation' }

/** Somebody who signs: the key, and whose it is on the chain. */
export interface DraftSigner {
  readonly key: string
  /** Null where no identity has this key now. */
  readonly id: string | null
  readonly administrator: boolean
}

/** Whom and what a draft is about, as the chain knows it; ids as text. */
export interface DraftContents {
  readonly draft: SharedDraft
  /** Whom it certifies, or whose certificate it ends. */
  readonly subject: { readonly id: string; readonly role: string }
  /** The certificate that it ends. */
  readonly certificate: string | null
  readonly author: DraftSigner
  readonly approvals: readonly DraftSigner[]
}

/** A certificate by this administrator, before anybody has signed it. @throws EmrError as `certify` */
export async function draftCertify(session: PersonSession, terms: NewCertificate): Promise<Draft> {
  const { body, signer } = await bodyOfCertificate(session, terms)
  return draftCertificate(stampOf(session), signer.publicKey, body)
}

/** The end of a certificate by this administrator, before anybody has signed it. @throws EmrError as `decertify` */
export async function draftDecertify(
  session: PersonSession,
  end: { readonly certificate: string; readonly reason: number },
): Promise<Draft> {
  const body = await certificateToEnd(session, end)
  const { signer } = await actingOf(session)
  return draftCertificateRevocation(stampOf(session), signer.publicKey, body)
}

/**
 * Looks at a draft of somebody else before it is signed.
 *
 * @throws EmrError `other_network`; `transaction_malformed` if it is nothing that administrators approve;
 * `transaction_bad_signature` if it was altered after somebody had approved it; those of the node
 */
export async function readDraft(session: PersonSession, draft: Draft): Promise<DraftContents> {
  if (!equalBytes(draft.chain.bytes, session.chain.bytes)) throw new EmrError('other_network')
  if (draft.kind !== 'certificate' && draft.kind !== 'certificate_revocation') {
    throw new EmrError('transaction_malformed', 'Administrators do not approve this kind.')
  }
  const certificate = draft.kind === 'certificate' ? null : chainCidAt(draft.body.certificate, 0).toString()
  const subject = draft.kind === 'certificate' ? draft.body.subject : await subjectOf(session, certificate ?? '')
  const { id, role } = await session.client.identity(chainCidAt(subject, 0).toString(), { signal: session.signal })
  const approvals = []
  for (const { key, sig } of draft.body.approvals) {
    if (!verifyZip215(sig, approvalMessage(draft), key)) throw new EmrError('transaction_bad_signature')
    approvals.push(await signerOfKey(session, key))
  }
  return { draft, subject: { id, role }, certificate, author: await signerOfKey(session, draft.from), approvals }
}

/**
 * The draft with the signature of this administrator too.
 *
 * @throws EmrError `not_an_authority`; `consent_unfit` if this is its author, who signs when it is sent
 */
export async function approveDraft(session: PersonSession, { draft }: DraftContents): Promise<Draft> {
  const { signer, identity } = await actingOf(session)
  if (!identity.administrator) throw new EmrError('not_an_authority', 'Administrators approve each other.')
  if (equalBytes(signer.publicKey, draft.from)) {
    throw new EmrError('consent_unfit', 'The author of a draft signs it when it is sent.')
  }
  return addApproval(draft, approve(draft, signer))
}

/** Signs the draft as its author and hands it in. @throws EmrError `consent_unfit` if somebody else wrote it */
export async function sendDraft(
  session: PersonSession,
  { draft }: DraftContents,
  options: SendOptions = {},
): Promise<SentTransaction> {
  const { signer } = await actingOf(session)
  return send(session, signDraft(draft, signer), options)
}

async function subjectOf({ client, signal }: PersonSession, certificate: string): Promise<Uint8Array> {
  const transaction = await client.signedTransaction(certificate, { signal })
  if (transaction.kind !== 'certificate') throw new EmrError('certificate_unknown', certificate)
  return transaction.body.subject
}

/** Whose a key is now. */
export async function signerOfKey(
  { client, signal }: Pick<PersonSession, 'client' | 'signal'>,
  key: Uint8Array,
): Promise<DraftSigner> {
  const text = bytesToHex(key)
  try {
    const found = await client.identityOfKey(text, { signal })
    const isCurrent = found.key === text
    return { key: text, id: isCurrent ? found.id : null, administrator: isCurrent && found.administrator }
  } catch (error) {
    if (isEmrError(error, 'identity_unknown')) return { key: text, id: null, administrator: false }
    throw error
  }
}
