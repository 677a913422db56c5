import { isConsentRecord } from '../protocol/bodies/record.js'
import type { Administrators } from '../protocol/network-parameters.js'
import type { Transaction } from '../protocol/transaction.js'
import { identityOfKey } from './actor.js'
import { applyAccess, applyErasure, applyErasureReceipt } from './kinds/apply-access.js'
import { applyCertificate, applyCertificateRevocation } from './kinds/apply-certificate.js'
import { applyGrant, applyRequest, applyRevocation } from './kinds/apply-grant.js'
import { applyIdentity } from './kinds/apply-identity.js'
import { applyRecord } from './kinds/apply-record.js'
import { codeOf, type ResultCode } from './result-codes.js'
import { NO_KEY, rows, thresholdOf } from './rows.js'
import { type ContractState, type ReadState, tables } from './state.js'

/** The block of a transaction. */
export interface BlockPlace {
  readonly height: number
  /** In ms since 1970. */
  readonly time: number
}

/** A transaction as the contract sees it: its signatures have been checked (`checkSignatures`). */
export type Applied = Pick<Transaction, 'from' | 'kind' | 'body'> &
  Transaction & { readonly id: { readonly bytes: Uint8Array } }

/** Writes what the parameters of a network say into an empty state: nothing where it is open. */
export function beginState(state: ContractState, administrators: Administrators): void {
  if (!administrators) return
  state.put(tables.network, NO_KEY, rows.network.encode({ threshold: administrators.threshold }))
  for (const key of administrators.keys) state.put(tables.firstAdministrators, key, Uint8Array.of(1))
}

/** Where there are administrators there are no records without consent. */
export const bareRecordCode = (state: ReadState): ResultCode =>
  codeOf(thresholdOf(state) === 0 ? 'accepted' : 'bare_record')

/**
 * Applies a transaction at its place in a block: its result code (docs/protocol.md, "Results"). Other than with code 0
 * nothing is written. Depends on the state, the transaction and the block's time alone.
 */
export function apply(state: ContractState, transaction: Applied, { time }: BlockPlace): ResultCode {
  const id = transaction.id.bytes
  if (transaction.kind === 'identity')
    return applyIdentity(state, { id, from: transaction.from, body: transaction.body })
  if (transaction.kind === 'record' && !isConsentRecord(transaction.body)) return bareRecordCode(state)
  const author = identityOfKey(state, transaction.from)
  if (!author) return codeOf('unknown_author')
  const act = { id, time, author: author.id, from: transaction.from }
  switch (transaction.kind) {
    case 'certificate':
      return applyCertificate(state, act, transaction.body)
    case 'certificate_revocation':
      return applyCertificateRevocation(state, act, transaction.body)
    case 'record':
      return isConsentRecord(transaction.body) ? applyRecord(state, act, transaction.body) : codeOf('bare_record')
    case 'request':
      return applyRequest(state, act, transaction.body)
    case 'grant':
      return applyGrant(state, act, transaction.body)
    case 'revocation':
      return applyRevocation(state, act, transaction.body)
    case 'access':
      return applyAccess(state, act, transaction.body)
    case 'erasure':
      return applyErasure(state, act, transaction.body)
    case 'erasure_receipt':
      return applyErasureReceipt(state, act, transaction.body)
  }
}
