import { concatBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { KindAndBody } from './bodies/decode-body.js'
import { type ConsentRecordBody, isConsentRecord } from './bodies/record.js'
import { encodeCanonical } from './canonical.js'

/** That this signature of this message is by this key. `key` and `signature` are the signed thing's own arrays. */
export interface SignatureClaim {
  readonly signature: Uint8Array
  readonly message: Uint8Array
  readonly key: Uint8Array
}

/** What is looked at of a transaction, besides its kind and body. */
type Signed = KindAndBody & { readonly chain: CID; readonly at: number; readonly from: Uint8Array }

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const POSSESSION = text('emrchain/possession/v1')
const APPROVAL = text('emrchain/approval/v1')
const DEPOSIT = text('emrchain/deposit/v1')

/** What a new key of an identity signs: that it belongs to what `from` registers or changes, on this chain. */
export const possessionMessage = (chain: CID, from: Uint8Array, key: Uint8Array): Uint8Array =>
  concatBytes(POSSESSION, chain.bytes, from, key)

/** What a custodian signs of a record whose share it keeps. */
export const depositMessage = (
  chain: CID,
  { patient, nonce, commitment, file }: Pick<ConsentRecordBody, 'patient' | 'nonce' | 'commitment' | 'file'>,
): Uint8Array => concatBytes(DEPOSIT, chain.bytes, patient, nonce, commitment, file)

/**
 * What those sign who approve a transaction: all of it but the signatures that it gathers (`approvals`, `approval`,
 * `receipts`) and the author's.
 */
export function approvalMessage({ chain, kind, at, from, body }: Signed): Uint8Array {
  const rest = Object.entries(body).filter(([name]) => !gathered.has(name))
  return concatBytes(APPROVAL, encodeCanonical({ v: 1, chain, kind, at, from, body: Object.fromEntries(rest) }))
}

const gathered = new Set(['approvals', 'approval', 'receipts'])

/**
 * The signatures of others that a transaction carries. That one is there where one is needed (a new key of an
 * identity, a threshold, a quorum) is for the contract to say.
 */
export function claimsOfOthers(transaction: Signed): SignatureClaim[] {
  const { chain, from } = transaction
  switch (transaction.kind) {
    case 'identity': {
      const { key, keyProof, recovery, recoveryProof } = transaction.body
      const proofs = [[key, keyProof] as const, [recovery, recoveryProof] as const]
      return proofs.flatMap(([key, signature]) =>
        key && signature ? [{ key, signature, message: possessionMessage(chain, from, key) }] : [],
      )
    }
    case 'certificate':
    case 'certificate_revocation': {
      const message = transaction.body.approvals.length > 0 ? approvalMessage(transaction) : APPROVAL
      return transaction.body.approvals.map(({ key, sig }) => ({ key, signature: sig, message }))
    }
    case 'record': {
      const { body } = transaction
      if (!isConsentRecord(body)) return []
      const deposit = depositMessage(chain, body)
      const receipts = body.receipts.map(({ key, sig }) => ({ key, signature: sig, message: deposit }))
      const { approval } = body
      if (!approval) return receipts
      // The approver's certificate is part of what it approves with, so it is signed too.
      const message = concatBytes(approvalMessage(transaction), approval.certificate ?? new Uint8Array(0))
      return [...receipts, { key: approval.key, signature: approval.sig, message }]
    }
    default:
      return []
  }
}
