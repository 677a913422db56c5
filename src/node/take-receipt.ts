import type { CID } from 'multiformats/cid'
import { identityOf, recordOf } from '../contract/rows.js'
import { tables } from '../contract/state.js'
import { EmrError } from '../errors.js'
import type { ReleaseLog } from '../ledger/release-log.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import { roles } from '../protocol/consent-vocabulary.js'
import { decodeReleaseReceipt, type ReleaseReceipt } from '../protocol/release.js'
import type { SignatureRules } from '../protocol/transaction.js'
import { wasCustodianOf } from './assert-custodian-of.js'
import type { CustodyChain } from './custody-dependencies.js'

export interface TakeReceiptDependencies {
  readonly genesis: CID
  readonly rules: Pick<SignatureRules, 'verify'>
  readonly chain: Pick<CustodyChain, 'contractState' | 'isKnown' | 'transaction'>
  readonly releases: Pick<ReleaseLog, 'has' | 'put'>
}

/** Takes other custodians' receipts of releases: `takeReceipt` of custody-service.ts. */
export function createTakeReceipt({ genesis, rules, chain, releases }: TakeReceiptDependencies) {
  /** @throws EmrError `transaction_unknown`, `access_unfit` unless the asker signed this access, to this record */
  async function assertAccessOf({ access, record, asker }: ReleaseReceipt): Promise<void> {
    const { transaction } = (await chain.transaction(chainCidAt(access, 0))) ?? {}
    if (!transaction) throw new EmrError('transaction_unknown')
    const isOfRecord = transaction.kind === 'access' && equalBytes(transaction.body.record, record)
    // The asker may have another key by now.
    const author = chain.contractState().get(tables.keys, transaction.from)
    if (!isOfRecord || !author || !equalBytes(author, asker)) throw new EmrError('access_unfit')
  }

  return async (bytes: Uint8Array): Promise<boolean> => {
    const { fields: receipt, claim } = decodeReleaseReceipt(bytes)
    if (!receipt.chain.equals(genesis)) throw new EmrError('other_network')
    if (releases.has(receipt)) return false
    const state = chain.contractState()
    const node = identityOf(state, receipt.custodian)
    if (node?.role !== roles.node || !equalBytes(node.key, receipt.key)) throw new EmrError('not_custodian')
    const record = recordOf(state, receipt.record)
    if (!record) throw new EmrError('record_unknown')
    const patient = Uint8Array.from(record.patient)
    if (!chain.isKnown(chainCidAt(receipt.access, 0))) throw new EmrError('transaction_unknown')
    if (!rules.verify(claim.signature, claim.message, claim.key)) throw new EmrError('request_bad_signature')
    // What costs reads of the disk comes last.
    await assertAccessOf(receipt)
    if (!(await wasCustodianOf(chain, patient, receipt.custodian))) throw new EmrError('not_custodian')
    if (releases.has(receipt)) return false
    await releases.put(receipt, bytes)
    return true
  }
}
