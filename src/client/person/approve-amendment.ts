import { verifyZip215 } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import type { ConsentRecordBody } from '../../protocol/bodies/record.js'
import { isConsentRecord } from '../../protocol/bodies/record.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt, decodeFileCid } from '../../protocol/cid.js'
import { addRecordApproval, approveRecord, type RecordApproval, recordApprovalMessage } from '../consent/approvals.js'
import type { Draft } from '../consent/draft.js'
import { signRecordDraft } from '../consent/record.js'
import { unfit } from '../consent/unfit.js'
import { type DraftSigner, signerOfKey } from './approve-draft.js'
import { custodiansOf } from './custodians.js'
import { actingOf, type PersonSession, type SendOptions, type SentTransaction, send } from './person-session.js'

/**
 * The signature of this person, a doctor, under a record that a laboratory technician amends. Look at all of the draft
 * first: whose record it replaces, and by which file. It is good for this draft alone.
 *
 * @throws EmrError `identity_missing`, `secret_missing`, and those of the node
 */
export async function approveAmendment(session: PersonSession, draft: Draft): Promise<RecordApproval> {
  const { signer, certificate } = await actingOf(session)
  return approveRecord(draft, signer, certificate)
}

/** Somebody who signs, and as what. */
export interface AmendmentSigner extends DraftSigner {
  /** Null where no identity has this key now. */
  readonly role: string | null
}

/** What an amendment replaces, and by what; ids as text. */
export interface Amendment {
  readonly draft: Draft & { readonly kind: 'record'; readonly body: ConsentRecordBody }
  readonly patient: string
  /** The record that it replaces. */
  readonly supersedes: string
  /** CID of the encrypted file. */
  readonly cid: string
  /** A bit. */
  readonly class: number
  readonly author: AmendmentSigner
  /** Null while no doctor has signed. */
  readonly approval: AmendmentSigner | null
}

/**
 * Looks at an amendment of somebody else before it is signed.
 *
 * @throws EmrError `other_network`; `transaction_malformed` if it amends nothing; `transaction_bad_signature` if it was altered
 *   after somebody had approved it; those of the node
 */
export async function readAmendment(session: PersonSession, draft: Draft): Promise<Amendment> {
  if (!equalBytes(draft.chain.bytes, session.chain.bytes)) throw new EmrError('other_network')
  if (draft.kind !== 'record' || !isConsentRecord(draft.body) || !draft.body.supersedes) {
    throw new EmrError('transaction_malformed', 'It replaces no record, and so needs no approval.')
  }
  const { kind, body } = draft
  const { approval, patient, file, class: recordClass } = body
  if (approval && !verifyZip215(approval.sig, recordApprovalMessage(draft, approval.certificate), approval.key)) {
    throw new EmrError('transaction_bad_signature')
  }
  return {
    draft: { ...draft, kind, body },
    patient: chainCidAt(patient, 0).toString(),
    supersedes: chainCidAt(draft.body.supersedes, 0).toString(),
    cid: decodeFileCid(file).toString(),
    class: recordClass,
    author: await signerInRole(session, draft.from),
    approval: approval && (await signerInRole(session, approval.key)),
  }
}

/** The amendment with the signature of this doctor. @throws EmrError `not_an_authority`, `consent_unfit` if this is its author */
export async function signAmendment(session: PersonSession, { draft }: Amendment): Promise<Draft> {
  const { signer, identity } = await actingOf(session)
  if (equalBytes(signer.publicKey, draft.from)) {
    throw new EmrError('consent_unfit', 'The author of a draft signs it when it is sent.')
  }
  if (identity.role !== 'doctor') throw new EmrError('not_an_authority', 'A doctor approves amendments.')
  return addRecordApproval(draft, await approveAmendment(session, draft))
}

/**
 * Signs the amendment as its author and hands it in.
 *
 * @throws EmrError `consent_unfit` if somebody else wrote it, or a doctor has to sign and has not
 */
export async function sendAmendment(
  session: PersonSession,
  { draft, patient, author, approval }: Amendment,
  options: SendOptions = {},
): Promise<SentTransaction> {
  const { signer } = await actingOf(session)
  if (author.role === 'laboratory_technician' && approval === null) throw unfit('approval_missing')
  const { custodians } = await session.client.identity(patient, { signal: session.signal })
  const { all } = await custodiansOf(session, custodians)
  return send(session, signRecordDraft(draft, signer, all), options)
}

async function signerInRole(session: PersonSession, key: Uint8Array): Promise<AmendmentSigner> {
  const found = await signerOfKey(session, key)
  const role = found.id === null ? null : (await session.client.identity(found.id, { signal: session.signal })).role
  return { ...found, role }
}
