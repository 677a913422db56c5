import { randomBytes } from '@noble/hashes/utils.js'
import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import { commitmentOf, contentKey, SHARE_SIZE, type Shares } from '../../crypto/content-key.js'
import type { Signer } from '../../crypto/ed25519.js'
import { sealRecordShare } from '../../crypto/record-seal.js'
import { EmrError } from '../../errors.js'
import { type ConsentRecordBody, isConsentRecord } from '../../protocol/bodies/record.js'
import { depositMessage } from '../../protocol/signatures-of-others.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Draft, draftOf, type Stamp, signDraft } from './draft.js'
import { type RecordLabel, sealRecordLabel } from './label.js'
import { assertQuorum, type Custodian } from './receipts.js'

/** A record under consent, as it is on the chain. */
export type ConsentRecord = SignedTransaction & { readonly kind: 'record'; readonly body: ConsentRecordBody }
/** The same before it is signed. */
export type RecordDraft = Draft & { readonly kind: 'record'; readonly body: ConsentRecordBody }

/** What is drawn for one version of one file, before it is encrypted. Secret, but for `nonce`. */
export interface RecordSecrets extends Shares {
  readonly nonce: Uint8Array
  /** Encrypts the file (`encryptFile`). */
  readonly contentKey: Uint8Array
}

/** Fresh secrets. Never for two files, nor for two versions of one. */
export function newRecordSecrets(random: (length: number) => Uint8Array = randomBytes): RecordSecrets {
  const shares = { chain: random(SHARE_SIZE), off: random(SHARE_SIZE) }
  return { ...shares, nonce: random(32), contentKey: contentKey(shares) }
}

/** A class key of a patient, from the patient's identity. */
export interface ClassKey extends ClassEpoch {
  readonly key: Uint8Array
}

export interface NewConsentRecord
  extends Pick<ConsentRecordBody, 'patient' | 'confidentiality' | 'sensitivity' | 'purpose' | 'grant' | 'certificate'> {
  readonly secrets: RecordSecrets
  /** Bytes of the CID of the encrypted file. */
  readonly file: Uint8Array
  /** The class of the record, and the patient's current key of it. */
  readonly classKey: ClassKey
  readonly label: RecordLabel
  /** The record that it replaces. */
  readonly supersedes?: Uint8Array | null
}

/** What each custodian of the patient is asked to keep; `share` is secret. */
export interface Deposit extends Pick<ConsentRecordBody, 'patient' | 'nonce' | 'commitment' | 'file'> {
  /** The share that is not on the chain. */
  readonly share: Uint8Array
  /** The sealed label. */
  readonly label: Uint8Array
}

/** A record, and what custodians are to take in before it is signed. */
export interface DraftedRecord {
  readonly draft: RecordDraft
  readonly deposit: Deposit
  /** What a custodian signs when it has kept the deposit. */
  readonly message: Uint8Array
}

/**
 * A record before custodians have taken its share: by the patient (without a grant), or by somebody whom a grant allows
 * to append. Then come the deposits, `addReceipts`, a doctor's approval where one is needed, and `signRecordDraft`. Where
 * the chain answers that the class key has moved on, a second draft of the same secrets, file and patient takes the
 * receipts of the first.
 *
 * @param author key of who will sign it
 * @throws EmrError `transaction_malformed`, `malformed_cid`, `label_malformed`, `seal_bad_key`
 */
export async function draftRecord(stamp: Stamp, author: Uint8Array, record: NewConsentRecord): Promise<DraftedRecord> {
  const { secrets, file, classKey, label, patient, supersedes = null } = record
  const { confidentiality, sensitivity, purpose, grant, certificate } = record
  const { class: recordClass, epoch } = classKey
  const { nonce } = secrets
  const genesis = stamp.chain.bytes
  const place = { genesis, patient, class: recordClass, epoch, author, nonce, file }
  const { enc, ct } = await sealRecordShare(classKey.key, secrets.chain, place)
  const body = {
    ...{ file, patient, class: recordClass, confidentiality, sensitivity, epoch },
    ...{ enc, sealed: ct, commitment: commitmentOf(secrets.off), nonce },
    ...{ purpose, grant, certificate, supersedes, receipts: [], approval: null },
  }
  const draft = recordDraft(draftOf(stamp, author, { kind: 'record', body }))
  const sealedLabel = sealRecordLabel(secrets.chain, label, { genesis, nonce })
  const { commitment } = draft.body
  return {
    draft,
    deposit: { patient, nonce, commitment, file, share: secrets.off, label: sealedLabel },
    message: depositMessage(stamp.chain, draft.body),
  }
}

/**
 * The record, signed, with the receipts that it has.
 *
 * @param custodians those of the patient now
 * @throws EmrError `consent_unfit` where not more than half of them have signed
 */
export function signRecordDraft(
  draft: Draft,
  signer: Signer,
  custodians: readonly Custodian[],
  maxBytes?: number,
): ConsentRecord {
  assertQuorum(recordDraft(draft).body.receipts, custodians)
  return consentRecord(signDraft(draft, signer, maxBytes))
}

/** A transaction as a record under consent. @throws EmrError `record_unknown` if it is none */
export function consentRecord(transaction: SignedTransaction): ConsentRecord {
  if (transaction.kind !== 'record' || !isConsentRecord(transaction.body)) {
    throw new EmrError('record_unknown', 'The transaction with this id is another.')
  }
  return { ...transaction, kind: transaction.kind, body: transaction.body }
}

function recordDraft(draft: Draft): RecordDraft {
  if (draft.kind !== 'record' || !isConsentRecord(draft.body)) throw new TypeError('It is no record under consent.')
  return { ...draft, kind: draft.kind, body: draft.body }
}
