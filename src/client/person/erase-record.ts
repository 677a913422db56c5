import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { erasedParts } from '../../protocol/consent-vocabulary.js'
import { entryBody } from '../consent/entry-body.js'
import { eraseRecord as signErasure } from '../consent/erasure.js'
import { consentRecord } from '../consent/record.js'
import { wordsOf } from '../consent/scope-text.js'
import type { PendingEntry } from '../node-answers.js'
import {
  type Asking,
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'

/** Has a record destroyed at all custodians. There is no way back. By the patient. @throws EmrError those of the node */
export async function eraseRecord(
  session: PersonSession,
  { record, ground }: { readonly record: string; readonly ground: number },
  options: SendOptions = {},
): Promise<SentTransaction> {
  const { signer } = await actingOf(session)
  const body = { record: parseChainId(record).bytes, ground }
  return send(session, signErasure(stampOf(session), signer, body), options)
}

/** What a node says that it has destroyed. Ids as text. */
export interface NodeErasure {
  readonly node: string
  readonly isCustodian: boolean
  /** `share`, `label`, `ciphertext`; null while it has not said anything. */
  readonly destroyed: readonly string[] | null
  readonly at: string | null
}

/** How far an erasure is. Ids as text. */
export interface ErasureStatus {
  readonly record: string
  /** Null where nothing erases the record. */
  readonly erasure: string | null
  readonly state: 'none' | 'pending' | 'confirmed'
  readonly confirmations: number
  /** Custodians of the patient first, then others that said something. */
  readonly nodes: readonly NodeErasure[]
}

/** Who has destroyed what of a record, and who has not said so. @throws EmrError `transaction_unknown` */
export async function erasureStatus(asking: Asking, record: string): Promise<ErasureStatus> {
  const { client, signal } = asking
  const { body } = consentRecord(await client.signedTransaction(record, { signal }))
  const found = await erasureOf(asking, record)
  if (!found) return { record, erasure: null, state: 'none', confirmations: 0, nodes: [] }
  const { custodians } = await client.identity(chainCidAt(body.patient, 0).toString(), { signal })
  const nodes = new Map<string, NodeErasure>(
    custodians.map((node) => [node, { node, isCustodian: true, destroyed: null, at: null }]),
  )
  for await (const entry of client.history({ about: found.erasure, kind: 'erasure_receipt' }, { signal })) {
    const receipt = entry.result.code === 0 ? entryBody(entry) : undefined
    if (receipt?.kind !== 'erasure_receipt') continue
    const { id: node } = await client.identityOfKey(entry.author, { signal })
    const isCustodian = nodes.get(node)?.isCustodian ?? false
    const destroyed = wordsOf(receipt.body.parts, erasedParts)
    nodes.set(node, { node, isCustodian, destroyed, at: new Date(entry.at).toISOString() })
  }
  return { record, ...found, nodes: [...nodes.values()] }
}

/** The erasure of a record that has effect, or that waits and would have. */
async function erasureOf(
  { client, signal }: Asking,
  record: string,
): Promise<(Pick<ErasureStatus, 'erasure' | 'state' | 'confirmations'> & { readonly erasure: string }) | undefined> {
  const isErasure = (entry: PendingEntry): boolean => entry.kind === 'erasure' && entry.result.code === 0
  for await (const entry of client.history({ about: record, kind: 'erasure' }, { signal })) {
    if (isErasure(entry)) return { erasure: entry.id, state: 'confirmed', confirmations: entry.confirmations }
  }
  const waiting = (await client.pendingAbout(record, { signal })).find(isErasure)
  return waiting && { erasure: waiting.id, state: 'pending', confirmations: 0 }
}
