import type { CID } from 'multiformats/cid'
import { recordOf } from '../contract/rows.js'
import { EmrError } from '../errors.js'
import { type ConsentRecordBody, isConsentRecord } from '../protocol/bodies/record.js'
import { chainCidAt } from '../protocol/cid.js'
import type { CustodyChain } from './custody-dependencies.js'
import { depositIdOf } from './deposit-id.js'

type RecordChain = Pick<CustodyChain, 'contractState' | 'transaction'>

/** The body of a record under consent that is on the chain, also one without effect. @throws EmrError `record_unknown` */
export async function recordBody(chain: RecordChain, id: Uint8Array): Promise<ConsentRecordBody> {
  const standing = await chain.transaction(chainCidAt(id, 0))
  const { kind, body } = standing?.transaction ?? {}
  if (standing?.state !== 'confirmed' || kind !== 'record' || !body || !isConsentRecord(body))
    throw new EmrError('record_unknown')
  return body
}

export interface FoundRecord {
  readonly id: Uint8Array
  readonly body: ConsentRecordBody
  readonly isErased: boolean
}

/** Those of these transactions that are records under consent with effect. */
async function* recordsAmong(chain: RecordChain, ids: readonly CID[]): AsyncGenerator<FoundRecord> {
  for (const { bytes: id } of ids) {
    const row = recordOf(chain.contractState(), id)
    if (row) yield { id, body: await recordBody(chain, id), isErased: row.state === 2 }
  }
}

/** The records of a patient. */
export const recordsOfPatient = (
  chain: RecordChain & Pick<CustodyChain, 'transactionsAbout'>,
  patient: Uint8Array,
): AsyncGenerator<FoundRecord> => recordsAmong(chain, [...chain.transactionsAbout(patient)])

/** Where the record of a deposit is: on the chain with effect, pending, or nowhere. */
export async function whereabouts(
  chain: RecordChain & Pick<CustodyChain, 'transactionsOfFile' | 'pending'>,
  genesis: CID,
  deposit: { readonly id: Uint8Array; readonly file: Uint8Array },
): Promise<'on the chain' | 'pending' | 'nowhere'> {
  const name = Buffer.from(deposit.id)
  const isOf = (body: ConsentRecordBody): boolean => name.equals(depositIdOf(genesis, body))
  for await (const { body } of recordsAmong(chain, [...chain.transactionsOfFile(deposit.file)])) {
    if (isOf(body)) return 'on the chain'
  }
  const isPending = [...chain.pending()].some(
    ({ kind, body }) => kind === 'record' && isConsentRecord(body) && isOf(body),
  )
  return isPending ? 'pending' : 'nowhere'
}
