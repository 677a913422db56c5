import { bytesToHex } from '@noble/hashes/utils.js'
import { isEmrError } from '../../errors.js'
import type { KindAndBody } from '../../protocol/bodies/decode-body.js'
import { isConsentRecord } from '../../protocol/bodies/record.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { actions, erasedParts, purposes, recordClasses } from '../../protocol/consent-vocabulary.js'
import { entryBody } from '../consent/entry-body.js'
import { scopeText, wordsOf } from '../consent/scope-text.js'
import type { HistoryEntry, PendingEntry } from '../node-answers.js'
import type { Asking } from './person-session.js'

/** One line of what happened to a patient's records. Ids as text. */
export interface AuditEntry {
  /** Of what is confirmed, that of its block; otherwise when it was signed. */
  readonly time: string
  /** When it was signed, in ms since 1970 by the clock of who did it. */
  readonly at: number
  readonly kind: string
  /** Who did it. */
  readonly who: string
  /** The record that it is about, where it is about one. */
  readonly record: string | null
  /** The consent that it went under. */
  readonly grant: string | null
  readonly what: string
  /** What the contract said: `accepted`, or why it had no effect; of what waits, what it would say now. */
  readonly result: string
  readonly state: 'confirmed' | 'pending'
  /** What it is about on the chain: of a release, the access. */
  readonly transaction: string
}

type Found = HistoryEntry | PendingEntry

/**
 * Everything that concerns a patient: consent, records, each access, refusal, release and erasure, as the asked node knows
 * it. Newest first, in an order that is the same at every node. Releases are what custodians signed; one that another
 * signed for them is left out.
 */
export async function auditOf(asking: Pick<Asking, 'client' | 'signal'>, patient: string): Promise<AuditEntry[]> {
  const whoOf = authorsOf(asking)
  const entries = new Map<string, AuditEntry>()
  /** Of each grant, what it answers: a request, or the grant whose place it takes. */
  const answered = new Map<string, string>()
  /** Notes what names this id, and gives those entries with their bodies. */
  async function* about(id: string): AsyncGenerator<readonly [Found, KindAndBody]> {
    for await (const entry of allAbout(asking, id)) {
      const found = entryBody(entry)
      if (!found) continue
      if (found.kind === 'grant' && found.body.request) answered.set(entry.id, text(found.body.request) ?? '')
      if (!entries.has(entry.id))
        entries.set(entry.id, { ...describe(found, entry.id), ...(await placeOf(entry, whoOf)) })
      yield [entry, found]
    }
  }
  const own = parseChainId(patient).bytes
  const records: string[] = []
  const versions = [patient]
  // Each version of an identity names the one before it.
  for (const version of versions) {
    for await (const [{ id, result }, { kind, body }] of about(version)) {
      if (kind === 'record' && isConsentRecord(body) && equalBytes(body.patient, own)) records.push(id)
      // What was refused may be a stranger's, and is followed by nothing.
      if (kind === 'identity' && result.code === 0) versions.push(id)
    }
  }
  const erasures: string[] = []
  for (const record of records) {
    for await (const [{ id }, { kind }] of about(record)) if (kind === 'erasure') erasures.push(id)
  }
  for (const erasure of erasures) for await (const _ of about(erasure));
  sayWhoGaveFirst(entries, answered)
  const releases = await releasesOf(asking, records, { whoOf, grantOf: (access) => entries.get(access)?.grant ?? null })
  return [...entries.values(), ...releases].sort(newestFirst)
}

/** What one block has is told apart by when it was signed, and at last by anything that is the same everywhere. */
const newestFirst = (a: AuditEntry, b: AuditEntry): number =>
  compare(b.time, a.time) || b.at - a.at || compare(a.transaction + a.who, b.transaction + b.who)

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Of grants that were given anew when keys moved on: whose place they take, and who gave that; and of the ends of those, why. */
function sayWhoGaveFirst(entries: Map<string, AuditEntry>, answered: ReadonlyMap<string, string>): void {
  const isGrant = (id: string | undefined): id is string => id !== undefined && entries.get(id)?.kind === 'grant'
  const replaced = new Set<string>()
  for (const [id, entry] of entries) {
    const before = answered.get(id)
    if (!isGrant(before)) continue
    replaced.add(before)
    let first = before
    for (let next = answered.get(first); isGrant(next) && next !== first; next = answered.get(first)) first = next
    const giver = entries.get(first)?.who
    const said = giver === entry.who ? '' : `, which ${giver} gave first`
    entries.set(id, { ...entry, what: `${entry.what}; given anew with new keys in the place of ${before}${said}` })
  }
  for (const [id, entry] of entries) {
    const isOfMove = entry.kind === 'revocation' && entry.grant !== null && replaced.has(entry.grant)
    if (isOfMove) entries.set(id, { ...entry, what: 'ended a grant that was given anew with new keys' })
  }
}

/** What waits is asked for first: what gets to the chain between the two questions is there twice, and not left out. */
async function* allAbout({ client, signal }: Pick<Asking, 'client' | 'signal'>, id: string): AsyncGenerator<Found> {
  const waiting = await client.pendingAbout(id, { signal })
  yield* client.history({ about: id }, { signal })
  yield* waiting
}

/** What custodians gave out of these records, each under its access. */
async function releasesOf(
  { client, signal }: Pick<Asking, 'client' | 'signal'>,
  records: readonly string[],
  { whoOf, grantOf }: { whoOf: WhoOf; grantOf: (access: string) => string | null },
): Promise<AuditEntry[]> {
  const { genesis } = await client.status({ signal })
  const found: AuditEntry[] = []
  for (const record of records) {
    for (const { chain, custodian, key, asker, access, at } of await client.releases(record, { signal })) {
      const [who, transaction] = [chainCidAt(custodian, 0).toString(), chainCidAt(access, 0).toString()]
      if (chain.toString() !== genesis || (await whoOf(bytesToHex(key))) !== who) continue
      found.push({
        ...{ time: timeText(at), at, kind: 'release', who, record, grant: grantOf(transaction), transaction },
        what: `gave ${chainCidAt(asker, 0)} the share of the key`,
        ...{ result: 'accepted', state: 'confirmed' },
      })
    }
  }
  return found
}

type WhoOf = (key: string) => Promise<string>

const timeText = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}Z`

/** Whose a key is, asked once for each. */
function authorsOf({ client, signal }: Pick<Asking, 'client' | 'signal'>): WhoOf {
  const known = new Map<string, Promise<string>>()
  const ask = (key: string): Promise<string> =>
    client.identityOfKey(key, { signal }).then(
      ({ id }) => id,
      (error: unknown) => {
        // Whoever signs may be nobody: the contract refuses that, and it is in the audit too.
        if (isEmrError(error, 'identity_unknown')) return `key ${key}`
        throw error
      },
    )
  return (key) => {
    const found = known.get(key) ?? ask(key)
    known.set(key, found)
    return found
  }
}

async function placeOf(entry: Found, whoOf: WhoOf) {
  const isOnChain = 'block' in entry
  return {
    time: isOnChain ? `${entry.block.timestamp.slice(0, 19)}Z`.replace(' ', 'T') : timeText(entry.at),
    at: entry.at,
    kind: entry.kind,
    who: await whoOf(entry.author),
    result: entry.result.name,
    state: isOnChain ? ('confirmed' as const) : ('pending' as const),
    transaction: entry.id,
  }
}

const text = (id: Uint8Array | null): string | null => id && chainCidAt(id, 0).toString()

/** What a transaction of this id does, in words. */
function describe(found: KindAndBody, id: string): Pick<AuditEntry, 'record' | 'grant' | 'what'> {
  const none = { record: null, grant: null }
  switch (found.kind) {
    case 'access': {
      const { record, grant, action, purpose } = found.body
      const what = `${wordsOf(action, actions).join(', ')} for ${wordsOf(purpose, purposes).join(', ')}`
      return { record: text(record), grant: text(grant), what }
    }
    case 'record': {
      if (!isConsentRecord(found.body)) return { ...none, what: 'a record without consent' }
      const { class: recordClass, grant, supersedes } = found.body
      const before = supersedes ? `, in the place of ${text(supersedes)}` : ''
      const what = `wrote it, of class ${wordsOf(recordClass, recordClasses).join()}${before}`
      return { record: id, grant: text(grant), what }
    }
    case 'grant': {
      const { grantee, deny, under } = found.body
      const to = text(grantee) ?? 'everybody'
      return {
        record: null,
        grant: text(under),
        what: `${deny ? 'forbidden to' : 'allowed to'} ${to}: ${scopeText(found.body)}`,
      }
    }
    case 'request':
      return { ...none, what: `asked for: ${scopeText(found.body)}` }
    case 'revocation': {
      const { grant, grantee } = found.body
      const what = grant ? 'ended a grant' : grantee ? `ended all grants to ${text(grantee)}` : 'ended all grants'
      return { record: null, grant: text(grant), what }
    }
    case 'erasure':
      return { record: text(found.body.record), grant: null, what: 'had it erased' }
    case 'erasure_receipt': {
      const parts = wordsOf(found.body.parts, erasedParts).join(', ')
      return { ...none, what: `destroyed for erasure ${text(found.body.erasure)}: ${parts}` }
    }
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
