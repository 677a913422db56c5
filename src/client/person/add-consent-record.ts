import { hexToBytes } from '@noble/hashes/utils.js'
import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import { encryptFile, FILE_CONTEXT } from '../../crypto/file-cipher.js'
import { publicKeyOf } from '../../crypto/hpke.js'
import { EmrError } from '../../errors.js'
import { parseChainId, parseFileCid } from '../../protocol/cid.js'
import { confidentiality, purposes } from '../../protocol/consent-vocabulary.js'
import { addRecordApproval, type RecordApproval } from '../consent/approvals.js'
import { classSecret, currentEpoch } from '../consent/consent-keys.js'
import type { Draft } from '../consent/draft.js'
import { addReceipts, assertQuorum } from '../consent/receipts.js'
import { type ClassKey, draftRecord, newRecordSecrets, signRecordDraft } from '../consent/record.js'
import { custodiansOf, depositAt } from './custodians.js'
import { grantThatAllows } from './may-do.js'
import {
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'
import { type Settled, settleClasses } from './settle-classes.js'

export interface FileToRecord {
  readonly bytes: AsyncIterable<Uint8Array>
  /** In bytes. */
  readonly size: number
  /** Its name, without any folder: for those who may read it. */
  readonly fileName: string
  /** What the record is called, for those who may read it. */
  readonly name: string
  /** A bit. */
  readonly class: number
  /** Id of whose record it is, as text; the author's own if left out. */
  readonly patient?: string | undefined
  /** Id of the grant that lets the author append, as text; the newest that does if left out. */
  readonly grant?: string | undefined
  /** A bit; PATRQT of one's own and TREAT of another's if left out. */
  readonly purpose?: number | undefined
  readonly confidentiality?: number
  /** A mask. */
  readonly sensitivity?: number
  /** Id of the record that it replaces, as text. */
  readonly supersedes?: string | undefined
}

export interface RecordOptions extends SendOptions {
  /** Called with the encrypted bytes that the node has so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
  /** Has a doctor sign what a laboratory technician amends. */
  readonly approve?: ((draft: Draft) => Promise<RecordApproval>) | undefined
}

export interface RecordedFile extends SentTransaction {
  /** CID of the ciphertext. */
  readonly cid: string
  readonly size: number
  /** How many keep the share. */
  readonly custodians: number
  /** Of the custodians that did not take it, why. */
  readonly failures: readonly string[]
  /** What moved the keys of classes on before, since grants that had them are over (`settleClasses`). */
  readonly moved: readonly SentTransaction[]
}

/** Nothing of a record may be known by the name that its ciphertext is stored under. */
const STORED_NAME = 'record.aes'

/**
 * Encrypts a file under fresh secrets, stores it, has the patient's custodians keep the share, and records it. By the
 * patient, or by somebody whom a grant allows to append.
 *
 * @throws EmrError `consent_missing`, `consent_unfit`, `custodian_unknown`, and what the nodes refuse with
 */
export async function addConsentRecord(
  session: PersonSession,
  file: FileToRecord,
  options: RecordOptions = {},
): Promise<RecordedFile> {
  const { draft, signer, all, stored } = await prepare(session, file, options)
  const whole = options.approve ? addRecordApproval(draft, await options.approve(draft)) : draft
  return { ...(await send(session, signRecordDraft(whole, signer, all), options)), ...stored }
}

export type StoredFile = Omit<RecordedFile, keyof SentTransaction>

/**
 * The same up to its signature, for somebody else to approve before it is sent (`readAmendment`). Custodians keep the
 * share for seven days without a record.
 *
 * @throws EmrError as `addConsentRecord`
 */
export async function draftConsentRecord(
  session: PersonSession,
  file: FileToRecord,
  options: Pick<RecordOptions, 'onProgress'> = {},
): Promise<StoredFile & { readonly draft: Draft }> {
  const { draft, stored } = await prepare(session, file, options)
  return { ...stored, draft }
}

async function prepare(session: PersonSession, file: FileToRecord, { onProgress }: Pick<RecordOptions, 'onProgress'>) {
  const { client, aead, signal } = session
  const acting = await actingOf(session)
  const { id, signer, certificate } = acting
  const patientId = file.patient ?? id
  const isOwn = patientId === id
  const patient = await client.identity(patientId, { signal })
  const published = patient.classKeys.find((one) => one.class === file.class)
  if (!published) throw new EmrError('consent_unfit', 'The patient has no key for records of this class.')
  const { reached, all } = await custodiansOf(session, patient.custodians)
  const grant = isOwn ? null : (file.grant ?? (await grantThatAllows(session, { patient: patientId, accessor: id })))
  const settled = isOwn ? await settleClasses(session, acting, { sealsTo: file.class }) : undefined
  const classKey = settled ? await ownClassKey(settled, published) : { ...published, key: hexToBytes(published.key) }

  const secrets = newRecordSecrets()
  const encrypted = encryptFile(file.bytes, { key: secrets.contentKey, context: FILE_CONTEXT, aead })
  const stored = await client.uploadFile(encrypted, STORED_NAME, { onProgress, signal })

  const { draft, deposit } = await draftRecord(stampOf(session), signer.publicKey, {
    ...{ secrets, file: parseFileCid(stored.cid).bytes, patient: parseChainId(patientId).bytes },
    ...{ classKey },
    label: { name: file.name, fileName: file.fileName, size: file.size },
    confidentiality: file.confidentiality ?? confidentiality.normal,
    sensitivity: file.sensitivity ?? 0,
    purpose: file.purpose ?? (isOwn ? purposes.PATRQT : purposes.TREAT),
    certificate,
    grant: grant === null ? null : parseChainId(grant).bytes,
    supersedes: file.supersedes === undefined ? null : parseChainId(file.supersedes).bytes,
  })
  const { receipts, failures } = await depositAt(session, signer, reached, deposit)
  assertQuorum(receipts, all, failures)
  const { cid } = stored
  const facts = { cid, size: file.size, custodians: receipts.length, failures, moved: settled?.moved ?? [] }
  return { draft: addReceipts(draft, receipts), signer, all, stored: facts }
}

/** The key that a patient seals to: that of the chain, or the next one where it is on its way there. @throws EmrError `secret_missing` */
async function ownClassKey({ acting: { keys }, isAhead }: Settled, published: ClassEpoch): Promise<ClassKey> {
  const { class: one } = published
  const place = { class: one, epoch: isAhead ? currentEpoch(keys, one) : published.epoch }
  return { ...place, key: await publicKeyOf(classSecret(keys, place)) }
}
