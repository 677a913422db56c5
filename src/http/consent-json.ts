import { bytesToHex } from '@noble/hashes/utils.js'
import type { HistoryEntry, IdentityNow, PendingEntry } from '../node/consent-reads.js'
import { CHAIN_CID_LENGTH, chainCidAt, decodeFileCid, isChainCidAt } from '../protocol/cid.js'
import { roleName } from '../protocol/consent-vocabulary.js'
import { clearLabelOf, type SignedTransaction } from '../protocol/transaction.js'
import { type Static, Type } from '../typebox.js'
import { blockPlace, RecordMatch } from './paper-json.js'

/** What the contract says to something. */
export const OutcomeJson = Type.Object({
  code: Type.Integer({ description: '0: it has effect' }),
  name: Type.String(),
  sentence: Type.String(),
})

const IdText = Type.String({ description: 'CID of a transaction' })
const KeyText = Type.String({ description: '32 bytes, hexadecimal' })
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

export const IdentityJson = Type.Object({
  id: IdText,
  version: Type.String({ description: 'CID of the transaction that is its newest version' }),
  role: Type.String(),
  administrator: Type.Boolean({ description: 'whether it is an administrator of the network now' }),
  key: KeyText,
  seal: KeyText,
  recovery: nullable(KeyText),
  custodians: Type.Array(IdText),
  classKeys: Type.Array(Type.Object({ class: Type.Integer(), epoch: Type.Integer(), key: KeyText })),
})

export const StandingJson = Type.Object({
  of: Type.Enum(['record', 'certificate', 'grant']),
  state: Type.Optional(Type.Enum(['current', 'superseded', 'erased'])),
  revoked: Type.Optional(Type.Boolean()),
  used: Type.Optional(Type.Integer({ description: 'accesses so far' })),
})

export const PendingEntryJson = Type.Object({
  id: IdText,
  kind: Type.String(),
  at: Type.Integer({ description: 'when it was signed, in ms since 1970' }),
  author: KeyText,
  body: Type.Unsafe<unknown>({ description: 'as docs/protocol.md has it: ids as CIDs, other bytes hexadecimal' }),
  result: OutcomeJson,
})

export const HistoryEntryJson = Type.Object({
  ...PendingEntryJson.properties,
  standing: Type.Optional(StandingJson),
  block: RecordMatch.properties.block,
  confirmations: Type.Integer(),
  next: Type.String({ description: '`before` of the question for what is older' }),
})

export function identityJson({
  id,
  version,
  body,
  classKeys,
  isAdministrator,
}: IdentityNow): Static<typeof IdentityJson> {
  return {
    id: id.toString(),
    version: version.toString(),
    role: roleName(body.role),
    administrator: isAdministrator,
    key: bytesToHex(body.key),
    seal: bytesToHex(body.seal),
    recovery: body.recovery && bytesToHex(body.recovery),
    custodians: body.custodians.map((custodian) => chainCidAt(custodian, 0).toString()),
    classKeys: classKeys.map(({ key, ...rest }) => ({ ...rest, key: bytesToHex(key) })),
  }
}

/** The body of a transaction as JSON. A file is text too; the clear label of a record without consent stays as it is. */
export function bodyJson(transaction: SignedTransaction): unknown {
  const { kind, body } = transaction
  if (kind !== 'record') return jsonOf(body)
  const { file, ...rest } = body
  const label = clearLabelOf(transaction)
  return { file: decodeFileCid(file).toString(), ...(label ? { label } : (jsonOf(rest) as object)) }
}

function jsonOf(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    const isId = value.length === CHAIN_CID_LENGTH && isChainCidAt(value, 0)
    return isId ? chainCidAt(value, 0).toString() : bytesToHex(value)
  }
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, jsonOf(field)]))
}

export const pendingEntryJson = ({ transaction, result }: PendingEntry): Static<typeof PendingEntryJson> => ({
  id: transaction.id.toString(),
  kind: transaction.kind,
  at: transaction.at,
  author: bytesToHex(transaction.from),
  body: bodyJson(transaction),
  result: { ...result },
})

export function historyEntryJson(entry: HistoryEntry): Static<typeof HistoryEntryJson> {
  const { standing, block, confirmations, height, position } = entry
  return {
    ...pendingEntryJson(entry),
    ...(standing ? { standing: { ...standing } } : {}),
    block: blockPlace(block.header),
    confirmations,
    next: `${height}.${position}`,
  }
}
