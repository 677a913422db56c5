import { tables } from '../contract/state.js'
import type { ShareMoves } from '../ledger/share-moves.js'
import type { Shares } from '../ledger/shares.js'
import type { IdentityBody } from '../protocol/bodies/identity.js'
import { type ConsentRecordBody, isConsentRecord } from '../protocol/bodies/record.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { isCustodianOf } from './assert-custodian-of.js'
import type { CustodyChain } from './custody-dependencies.js'

export interface NoteMovesDependencies {
  readonly chain: Pick<CustodyChain, 'contractState' | 'transaction'>
  readonly shares: Pick<Shares, 'get'> & { readonly moves: ShareMoves }
  depositIdOf(record: ConsentRecordBody): Uint8Array
  ownId(): Uint8Array | undefined
}

/**
 * Notes the patients whose shares this node may have to hand over: those whose newest version does not name the same
 * custodians as the one before it, which named this node, and those of a record that came when the node was none any more.
 * A note too many does no harm.
 */
export function createNoteMoves({ chain, shares, depositIdOf, ownId }: NoteMovesDependencies) {
  async function lookAtIdentity(from: Uint8Array, { previous, custodians }: IdentityBody): Promise<void> {
    const own = ownId()
    const patient = previous && chain.contractState().get(tables.keys, from)
    if (!own || !previous || !patient) return
    const { transaction } = (await chain.transaction(chainCidAt(previous, 0))) ?? {}
    if (transaction?.kind !== 'identity') return
    const before = transaction.body.custodians
    const isSame = before.length === custodians.length && before.every((id, at) => isEqual(id, custodians[at]))
    if (!isSame && before.some((id) => equalBytes(id, own))) await shares.moves.add(Uint8Array.from(patient))
  }

  return async ({ kind, from, body }: SignedTransaction): Promise<void> => {
    if (kind === 'identity') await lookAtIdentity(from, body)
    else if (kind === 'record' && isConsentRecord(body)) {
      const own = ownId()
      const isFormer = own && shares.get(depositIdOf(body)) && !isCustodianOf(chain, body.patient, own)
      if (isFormer) await shares.moves.add(body.patient)
    }
  }
}

const isEqual = (a: Uint8Array, b: Uint8Array | undefined): boolean => b !== undefined && equalBytes(a, b)
