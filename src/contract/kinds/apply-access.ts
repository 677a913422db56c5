import { concatBytes } from '@noble/hashes/utils.js'
import type { AccessBody } from '../../protocol/bodies/access.js'
import type { ErasureBody } from '../../protocol/bodies/erasure.js'
import type { ErasureReceiptBody } from '../../protocol/bodies/erasure-receipt.js'
import { roles } from '../../protocol/consent-vocabulary.js'
import { type Act, isSame } from '../act.js'
import { decide } from '../decide.js'
import { codeOf, type ResultCode } from '../result-codes.js'
import { countOf, identityOf, recordOf, rows, setCount } from '../rows.js'
import { type ContractState, tables } from '../state.js'

/** The decision is the result; an access under a grant with a limit counts. docs/protocol.md, "access". */
export function applyAccess(state: ContractState, act: Act, body: AccessBody): ResultCode {
  const code = decide(state, { accessor: act.author, ...body }, act.time)
  if (code !== 0) return code
  const isOwn = isSame(recordOf(state, body.record)?.patient ?? null, act.author)
  if (body.grant && !isOwn) setCount(state, tables.uses, body.grant, countOf(state, tables.uses, body.grant) + 1)
  return code
}

/** docs/protocol.md, "erasure": by the patient alone. */
export function applyErasure(state: ContractState, act: Act, { record }: ErasureBody): ResultCode {
  const found = recordOf(state, record)
  if (!found || found.state === 2) return codeOf('no_record')
  if (!isSame(found.patient, act.author)) return codeOf('not_entitled')
  state.put(tables.records, record, rows.records.encode({ ...found, state: 2 }))
  state.put(tables.erasures, act.id, rows.erasures.encode({ record }))
  return codeOf('accepted')
}

/** docs/protocol.md, "erasure_receipt": one of each node. */
export function applyErasureReceipt(
  state: ContractState,
  act: Act,
  { erasure, parts }: ErasureReceiptBody,
): ResultCode {
  if (identityOf(state, act.author)?.role !== roles.node) return codeOf('not_entitled')
  if (!state.get(tables.erasures, erasure)) return codeOf('erasure_unknown')
  const key = concatBytes(erasure, act.author)
  if (state.get(tables.erasureReceipts, key)) return codeOf('receipt_known')
  state.put(tables.erasureReceipts, key, rows.erasureReceipts.encode({ parts }))
  return codeOf('accepted')
}
