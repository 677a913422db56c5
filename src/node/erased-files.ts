import { codeOf } from '../contract/result-codes.js'
import { recordOf } from '../contract/rows.js'
import type { ErasureNote } from '../ledger/erasure-notes.js'
import { isConsentRecord } from '../protocol/bodies/record.js'
import type { CustodyChain } from './custody-dependencies.js'

type FileChain = Pick<CustodyChain, 'contractState' | 'transactionsOfFile' | 'transaction'>

/**
 * Whether a record has the file that is not erased: one under consent, or a bare one with effect from before the first
 * under consent. So nobody has a file destroyed that was another's before he named it, and a bare record, which anybody
 * can write, keeps no file from being erased that was under consent before.
 */
export async function isFileNeeded(chain: FileChain, file: Uint8Array): Promise<boolean> {
  const state = chain.contractState()
  const ids = [...chain.transactionsOfFile(file)]
  const states = ids.map(({ bytes }) => recordOf(state, bytes)?.state)
  if (states.some((one) => one !== undefined && one !== 2)) return true
  for (const id of ids.slice(states.findLastIndex((one) => one !== undefined) + 1)) {
    const standing = await chain.transaction(id)
    const { kind, body } = standing?.transaction ?? {}
    const isBare = kind === 'record' && body !== undefined && !isConsentRecord(body)
    if (isBare && standing?.state === 'confirmed' && standing.result === codeOf('accepted')) return true
  }
  return false
}

/** What this node notes of erasures. */
export interface NotedErasures {
  get(record: Uint8Array): ErasureNote | undefined
  /** Whether it has begun to be carried out here, or is due. */
  isInForce(note: ErasureNote): Promise<boolean>
}

/**
 * What this node notes of the erasure of a file: undefined where no erasure of one of its records is in force here, or the
 * file is needed all the same.
 */
export async function erasureOfFile(
  chain: FileChain,
  notes: NotedErasures,
  file: Uint8Array,
): Promise<ErasureNote | undefined> {
  for (const note of [...chain.transactionsOfFile(file)].flatMap(({ bytes }) => notes.get(bytes) ?? [])) {
    if (await notes.isInForce(note)) return (await isFileNeeded(chain, file)) ? undefined : note
  }
  return undefined
}
