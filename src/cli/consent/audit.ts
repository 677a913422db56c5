import { entryBody } from '../../client/consent/entry-body.js'
import type { HistoryEntry } from '../../client/node-answers.js'
import { isEmrError } from '../../errors.js'
import type { KindAndBody } from '../../protocol/bodies/decode-body.js'
import { isConsentRecord } from '../../protocol/bodies/record.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { actions, purposes, recordClasses } from '../../protocol/consent-vocabulary.js'
import { scopeText } from './scope-flags.js'
import type { ConsentSession } from './session.js'
import { wordsOf } from './words.js'

/** One line of what happened to a patient's records. Ids as text. */
export interface AuditEntry {
  readonly time: string
  readonly kind: string
  /** Who did it. */
  readonly who: string
  /** The record that it is about, where it is about one. */
  readonly record: string | null
  /** The consent that it went under. */
  readonly grant: string | null
  readonly what: string
  /** What the contract said: `accepted`, or why it had no effect. */
  readonly result: string
  readonly state: 'confirmed' | 'pending'
  readonly transaction: string
}

type Asking = Pick<ConsentSession, 'client' | 'signal'>

/** Everything on the chain that concerns a patient, newest first: consent, records, and each access and refusal. */
export async function auditOf(session: Asking, patient: string): Promise<AuditEntry[]> {
  const { client, signal } = session
  const people = new Map<string, string>()
  const whoOf = async (key: string): Promise<string> => {
    const known = people.get(key)
    if (known !== undefined) return known
    const id = await client.identityOfKey(key, { signal }).then(
      (found) => found.id,
      (error: unknown) => {
        // Whoever signs may be nobody: the contract refuses that, and it is in the audit too.
        if (isEmrError(error, 'identity_unknown')) return `key ${key}`
        throw error
      },
    )
    people.set(key, id)
    return id
  }
  const entries = new Map<string, AuditEntry>()
  const note = async (entry: HistoryEntry): Promise<KindAndBody | undefined> => {
    const found = entryBody(entry)
    if (found) entries.set(entry.id, { ...describe(found), ...(await placeOf(entry, whoOf)) })
    return found
  }
  const own = parseChainId(patient).bytes
  const records: string[] = []
  for await (const entry of client.history({ about: patient }, { signal })) {
    const found = await note(entry)
    const isOwn =
      found?.kind === 'record' && isConsentRecord(found.body) && Buffer.compare(found.body.patient, own) === 0
    if (isOwn) records.push(entry.id)
  }
  for (const record of records) {
    for await (const entry of client.history({ about: record }, { signal }))
      if (!entries.has(entry.id)) await note(entry)
  }
  return [...entries.values()].sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : 0))
}

async function placeOf(entry: HistoryEntry, whoOf: (key: string) => Promise<string>) {
  return {
    time: `${entry.block.timestamp.slice(0, 19)}Z`.replace(' ', 'T'),
    kind: entry.kind,
    who: await whoOf(entry.author),
    result: entry.result.name,
    state: 'confirmed' as const,
    transaction: entry.id,
  }
}

const text = (id: Uint8Array | null): string | null => id && chainCidAt(id, 0).toString()

/** What a transaction does, in words. */
function describe(found: KindAndBody): Pick<AuditEntry, 'record' | 'grant' | 'what'> {
  const none = { record: null, grant: null }
  switch (found.kind) {
    case 'access': {
      const { record, grant, action, purpose } = found.body
      const what = `${wordsOf(action, actions)} for ${wordsOf(purpose, purposes)}`
      return { record: text(record), grant: text(grant), what }
    }
    case 'record': {
      if (!isConsentRecord(found.body)) return { ...none, what: 'a record without consent' }
      const { class: recordClass, grant, supersedes } = found.body
      const what = `${supersedes ? 'a new version' : 'a record'} of class ${wordsOf(recordClass, recordClasses)}`
      return { record: text(supersedes), grant: text(grant), what }
    }
    case 'grant': {
      const { grantee, deny } = found.body
      const to = text(grantee) ?? 'everybody'
      return { ...none, what: `${deny ? 'forbidden to' : 'allowed to'} ${to}: ${scopeText(found.body)}` }
    }
    case 'request':
      return { ...none, what: `asked for: ${scopeText(found.body)}` }
    case 'revocation': {
      const { grant, grantee } = found.body
      const what = grant ? 'ended a grant' : grantee ? `ended all grants to ${text(grantee)}` : 'ended all grants'
      return { record: null, grant: text(grant), what }
    }
    case 'erasure':
      return { record: text(found.body.record), grant: null, what: 'had the record erased' }
    case 'erasure_receipt':
      return { ...none, what: 'says that it has destroyed what it held' }
    case 'identity':
      return { ...none, what: 'a new version of the identity' }
    case 'certificate':
      return { ...none, what: 'certified the identity' }
    case 'certificate_revocation':
      return { ...none, what: 'ended a certificate' }
  }
}

const COLUMNS = ['time', 'kind', 'who', 'what', 'record', 'grant', 'result', 'state', 'transaction'] as const

/** RFC 4180. Cells that a spreadsheet would take for a formula begin with an apostrophe. */
export function auditCsv(entries: readonly AuditEntry[]): string {
  const cell = (value: string): string => {
    const safe = /^[=+\-@]/.test(value) ? `'${value}` : value
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  const rows = entries.map((entry) => COLUMNS.map((column) => cell(entry[column] ?? '')).join(','))
  return [COLUMNS.join(','), ...rows].map((row) => `${row}\r\n`).join('')
}
