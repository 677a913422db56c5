import { isConsentRecord } from '../protocol/bodies/record.js'
import type { Administrators } from '../protocol/network-parameters.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { apply, type BlockPlace, bareRecordCode, beginState } from './apply.js'
import type { ResultCode } from './result-codes.js'
import { type Change, type ContractState, createOverlay, type ReadState } from './state.js'

/** What a block does to the state before it. */
export interface Effects {
  /** One code for each transaction (docs/protocol.md, "Results"). */
  readonly results: Uint8Array
  readonly changes: readonly Change[]
}

/** Applies transactions in their order. @returns one code for each */
export function applyAll(
  state: ContractState,
  transactions: readonly SignedTransaction[],
  place: BlockPlace,
): Uint8Array {
  // The code of records without consent depends on the network alone, and there are very many of them.
  let bare: ResultCode | undefined
  return Uint8Array.from(transactions, (transaction) => {
    if (!isBareRecord(transaction)) return apply(state, transaction, place)
    bare ??= bareRecordCode(state)
    return bare
  })
}

/** What genesis does to the empty state. */
export function genesisEffects(administrators: Administrators): Effects {
  const overlay = createOverlay({ get: () => undefined })
  beginState(overlay, administrators)
  return { results: new Uint8Array(0), changes: overlay.changes() }
}

/** What transactions do at a place; the state stays as it is. */
export function effectsOf(state: ReadState, transactions: readonly SignedTransaction[], place: BlockPlace): Effects {
  const overlay = createOverlay(state)
  const results = applyAll(overlay, transactions, place)
  return { results, changes: overlay.changes() }
}

/** Whether a transaction is a record without consent. */
export const isBareRecord = ({ kind, body }: Pick<SignedTransaction, 'kind' | 'body'>): boolean =>
  kind === 'record' && !isConsentRecord(body as never)
