import { isConsentRecord } from '../../protocol/bodies/record.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { recordClasses } from '../../protocol/consent-vocabulary.js'
import { entryBody } from '../consent/entry-body.js'
import { wordsOf } from '../consent/scope-text.js'
import type { Asking } from './person-session.js'

/** A record of a patient as the chain has it; what it is called only the custodians know. Ids as text. */
export interface RecordNow {
  readonly id: string
  readonly at: string
  /** Who wrote it. */
  readonly author: string
  readonly class: string
  readonly confidentiality: number
  /** `current`, `superseded` or `erased`. */
  readonly state: string
  /** The record that it replaces. */
  readonly supersedes: string | null
  readonly confirmations: number
}

/** The records of a patient that have effect, newest first. */
export async function* recordsOf(
  { client, signal }: Pick<Asking, 'client' | 'signal'>,
  patient: string,
): AsyncGenerator<RecordNow, void, undefined> {
  const id = parseChainId(patient).bytes
  for await (const entry of client.history({ about: patient, kind: 'record' }, { signal })) {
    const found = entry.result.code === 0 ? entryBody(entry) : undefined
    if (found?.kind !== 'record' || !isConsentRecord(found.body) || !equalBytes(found.body.patient, id)) continue
    const { class: recordClass, confidentiality, supersedes } = found.body
    yield {
      id: entry.id,
      at: new Date(entry.at).toISOString(),
      author: (await client.identityOfKey(entry.author, { signal })).id,
      class: wordsOf(recordClass, recordClasses).join(),
      confidentiality,
      state: entry.standing?.state ?? 'current',
      supersedes: supersedes && chainCidAt(supersedes, 0).toString(),
      confirmations: entry.confirmations,
    }
  }
}
