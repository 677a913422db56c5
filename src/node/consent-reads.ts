import type { CID } from 'multiformats/cid'
import { isAdministrator } from '../contract/actor.js'
import { decide, isRevoked, type Question } from '../contract/decide.js'
import { nameOfCode, resultCodes } from '../contract/result-codes.js'
import { certificateOf, classKeyKey, countOf, grantOf, identityOf, recordOf, rows } from '../contract/rows.js'
import { type ReadState, tables } from '../contract/state.js'
import { EmrError } from '../errors.js'
import type { LookupKey } from '../ledger/block-entry.js'
import type { Ledger } from '../ledger/ledger.js'
import type { ChainPosition } from '../ledger/lookup-table.js'
import type { Kind } from '../protocol/bodies/decode-body.js'
import type { IdentityBody } from '../protocol/bodies/identity.js'
import { chainCidAt } from '../protocol/cid.js'
import { recordClasses } from '../protocol/consent-vocabulary.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { aboutKey, authorKey, isAbout } from './block-facts.js'
import type { RecordOnChain, TransactionStatus } from './record-on-chain.js'

/** A person, organisation or node as its newest version has it. */
export interface IdentityNow {
  readonly id: CID
  /** The transaction that is its newest version. */
  readonly version: CID
  readonly body: IdentityBody
  /** The current class keys, also those that the newest version did not name. */
  readonly classKeys: IdentityBody['classKeys']
  readonly isAdministrator: boolean
}

/** What the contract says: its code, the code's name, and the sentence for people (docs/protocol.md, "Results"). */
export interface Outcome {
  readonly code: number
  readonly name: string
  readonly sentence: string
}

/** What has become of what a transaction put on the chain. */
export type Standing =
  | { readonly of: 'record'; readonly state: 'current' | 'superseded' | 'erased' }
  | { readonly of: 'certificate'; readonly revoked: boolean }
  | { readonly of: 'grant'; readonly revoked: boolean; readonly used: number }

/** Which transactions are looked for: those that name this id, or those that this Ed25519 key signed. */
export type HistoryQuery = ({ readonly about: CID } | { readonly author: Uint8Array }) & {
  /** Only transactions of this kind. */
  readonly kind?: Kind
  readonly limit: number
  readonly before?: ChainPosition
}

/** A transaction of the main chain with what the contract said to it. */
export interface HistoryEntry extends RecordOnChain, ChainPosition {
  readonly result: Outcome
  readonly standing: Standing | undefined
}

/** A part of a history. */
export interface HistoryPage {
  readonly entries: HistoryEntry[]
  /** Where to go on; absent where nothing is older. Where one kind is asked for there may be few entries, or none, before it. */
  readonly next?: ChainPosition
}

/** How many transactions are read for one question, and how many at a time. */
const MOST_READ = 1_000
const READ_AT_ONCE = 100

/** A transaction that waits for a block, and what the contract would say to it now. */
export interface PendingEntry {
  readonly transaction: SignedTransaction
  readonly result: Outcome
}

/** What people ask of identities and consent; it is all of the main chain, up to the tip, where nothing else is said. */
export interface ConsentReads {
  identity(id: CID): Promise<IdentityNow | undefined>
  /** Whose key this is, or was before it was replaced. */
  identityOfKey(key: Uint8Array): Promise<IdentityNow | undefined>
  standing(id: CID): Standing | undefined
  /** What the contract said to a transaction of the main chain; for one that waits, what it would say now. */
  result(status: TransactionStatus): Outcome
  /** What consent says at the later of the tip's time and this node's clock. */
  decide(question: Question): { result: Outcome; time: number }
  /** Newest first, from the main chain. */
  history(query: HistoryQuery): Promise<HistoryPage>
  /** What waits for a block and names this id, in the order of its arrival, from the one after `offset` others. */
  pendingAbout(id: CID, page: { limit: number; offset: number }): PendingEntry[]
}

export interface ConsentReadsDependencies {
  readonly ledger: Pick<Ledger, 'contract' | 'resultsAt' | 'newest' | 'confirmation'>
  /** A transaction of the main chain, or one that waits. */
  status(id: CID): Promise<TransactionStatus | undefined>
  /** Result codes of transactions in the next block. */
  resultsOf(transactions: readonly SignedTransaction[], time: number): Uint8Array
  /** The transactions that wait for a block, in the order of their arrival. */
  pending(): Iterable<SignedTransaction>
  tipTime(): number
  now(): number
}

function outcomeOf(code: number): Outcome {
  const name = nameOfCode(code)
  return { code, name, sentence: resultCodes[name][1] }
}

const RECORD_STATES = ['current', 'superseded', 'erased'] as const

export function createConsentReads(dependencies: ConsentReadsDependencies): ConsentReads {
  const { ledger, status, resultsOf, pending, tipTime, now } = dependencies
  const state: ReadState = ledger.contract
  const laterTime = (): number => Math.max(tipTime(), now())

  async function identity(id: CID): Promise<IdentityNow | undefined> {
    const row = identityOf(state, id.bytes)
    if (!row) return undefined
    const version = chainCidAt(row.version, 0)
    const found = await status(version)
    if (found?.transaction.kind !== 'identity') throw new EmrError('internal', 'An identity without its transaction.')
    const classKeys = Object.values(recordClasses).flatMap((one) => {
      const key = state.get(tables.classKeys, classKeyKey(id.bytes, one))
      return key ? [{ class: one, ...rows.classKeys.decode(key) }] : []
    })
    return {
      id,
      version,
      body: found.transaction.body,
      classKeys,
      isAdministrator: isAdministrator(state, id.bytes),
    }
  }

  function resultAt({ height, position }: ChainPosition): Outcome {
    return outcomeOf(ledger.resultsAt(height)?.[position] ?? 0)
  }

  function standing({ bytes }: CID): Standing | undefined {
    const record = recordOf(state, bytes)
    if (record) return { of: 'record', state: RECORD_STATES[record.state] ?? 'erased' }
    const certificate = certificateOf(state, bytes)
    if (certificate) return { of: 'certificate', revoked: certificate.revoked !== 0 }
    const grant = grantOf(state, bytes)
    return grant && { of: 'grant', revoked: isRevoked(state, grant), used: countOf(state, tables.uses, bytes) }
  }

  const resultOfWaiting = (transaction: SignedTransaction): Outcome =>
    outcomeOf(resultsOf([transaction], laterTime())[0] ?? 0)

  return {
    identity,
    async identityOfKey(key) {
      const id = state.get(tables.keys, key)
      return id && identity(chainCidAt(id, 0))
    },

    standing,

    result(found) {
      if (found.state === 'pending') return resultOfWaiting(found.transaction)
      const place = ledger.confirmation(found.transaction.id)
      if (!place) throw new EmrError('transaction_unknown')
      return resultAt(place)
    },

    decide(question) {
      const time = laterTime()
      return { result: outcomeOf(decide(state, question, time)), time }
    },

    async history({ limit, before, kind, ...query }) {
      const key: LookupKey = 'about' in query ? aboutKey(query.about.bytes) : authorKey(query.author)
      const entries: HistoryEntry[] = []
      let next = before
      for (let read = 0; read < MOST_READ; read += READ_AT_ONCE) {
        const matches = ledger.newest(key, { limit: READ_AT_ONCE, ...(next ? { before: next } : {}) })
        for (const match of matches) {
          const { height, position } = match
          next = { height, position }
          const found = await status(match.id)
          // The main chain may change between two reads; the next question shows the new one.
          if (found?.state !== 'confirmed' || (kind && found.transaction.kind !== kind)) continue
          entries.push({ ...found, height, position, result: resultAt(match), standing: standing(match.id) })
          if (entries.length === limit) return { entries, next }
        }
        if (matches.length < READ_AT_ONCE) return { entries }
      }
      return { entries, ...(next ? { next } : {}) }
    },

    pendingAbout({ bytes }, { limit, offset }) {
      const entries: PendingEntry[] = []
      let passed = 0
      for (const transaction of pending()) {
        if (!isAbout(transaction, bytes) || passed++ < offset) continue
        entries.push({ transaction, result: resultOfWaiting(transaction) })
        if (entries.length === limit) break
      }
      return entries
    },
  }
}
