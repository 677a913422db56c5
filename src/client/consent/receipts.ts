import { verifyZip215 } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { compareBytes } from '../../protocol/bodies/fields.js'
import { type ConsentRecordBody, isConsentRecord } from '../../protocol/bodies/record.js'
import { depositMessage } from '../../protocol/signatures-of-others.js'
import { type Draft, draftOf } from './draft.js'
import { unfit } from './unfit.js'

/** A custodian's signature that it keeps the share of a record. */
export type Receipt = ConsentRecordBody['receipts'][number]

/** A node that a patient has chosen: its id, and its current key. */
export interface Custodian {
  readonly id: Uint8Array
  readonly key: Uint8Array
}

/**
 * The record with these receipts, and no others. Each is checked: an answer of a node is not believed.
 *
 * @throws EmrError `transaction_bad_signature`; `transaction_malformed` if a node is there twice
 */
export function addReceipts(draft: Draft, receipts: readonly Receipt[]): Draft {
  if (draft.kind !== 'record' || !isConsentRecord(draft.body)) {
    throw new EmrError('transaction_malformed', 'Receipts are for records.')
  }
  const message = depositMessage(draft.chain, draft.body)
  for (const { key, sig } of receipts) {
    if (!verifyZip215(sig, message, key)) throw new EmrError('transaction_bad_signature')
  }
  const sorted = [...receipts].sort((a, b) => compareBytes(a.node, b.node))
  return draftOf(draft, draft.from, { kind: draft.kind, body: { ...draft.body, receipts: sorted } })
}

/**
 * Checks that more than half of the custodians signed, by their current keys.
 *
 * @param failures why others did not, for the error to say
 * @throws EmrError `consent_unfit`
 */
export function assertQuorum(
  receipts: readonly Receipt[],
  custodians: readonly Custodian[],
  failures: readonly string[] = [],
): void {
  const signed = custodians.filter(({ id, key }) =>
    receipts.some((one) => compareBytes(one.node, id) === 0 && compareBytes(one.key, key) === 0),
  )
  if (signed.length * 2 <= custodians.length) throw unfit('receipts_too_few', failures)
}
