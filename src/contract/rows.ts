import { concatBytes } from '@noble/hashes/utils.js'
import { CHAIN_CID_LENGTH } from '../protocol/cid.js'
import { createRow, id, idOrNull, ids, key, keyOrNull, ms, u8, u16, u32 } from './cells.js'
import { type ContractState, type ReadState, tables } from './state.js'

/** The rows of the tables: their fields in order. */
export const rows = {
  /** Threshold of the administrators; 0 in an open network. Key: none. */
  network: createRow({ threshold: u8 }),
  /** Key: an Ed25519 key. Value: the identity that it belongs to, for ever. */
  keys: createRow({ identity: id }),
  /** Key: an identity. */
  identities: createRow({ role: u8, version: id, key, recovery: keyOrNull, custodians: ids }),
  /** Key: a patient and a class. */
  classKeys: createRow({ epoch: u32, key }),
  /** Key: a certificate. */
  certificates: createRow({
    subject: id,
    role: u8,
    capabilities: u8,
    from: ms,
    until: ms,
    issuer: id,
    under: idOrNull,
    revoked: u8,
  }),
  /** Key: a record. `state`: 0 current, 1 superseded, 2 erased. */
  records: createRow({ patient: id, class: u16, confidentiality: u8, sensitivity: u8, author: id, state: u8 }),
  /** Key: a request. */
  requests: createRow({ patient: id, author: id, time: ms }),
  /** Key: a grant or deny. `number` counts the patient's grants. */
  grants: createRow({
    patient: id,
    grantee: idOrNull,
    author: id,
    number: u32,
    deny: u8,
    revoked: u8,
    roles: u16,
    classes: u16,
    actions: u8,
    purposes: u16,
    confidentiality: u8,
    sensitivity: u8,
    from: ms,
    until: ms,
    uses: u32,
    records: ids,
  }),
  /** Key: a patient and a grantee, or a patient alone for denies to everybody. */
  denies: createRow({ grants: ids }),
  /** Key: none for the administrators, a patient for grants so far, a grant for its uses. */
  counters: createRow({ count: u32 }),
  /** Key: an erasure. */
  erasures: createRow({ record: id }),
  /** Key: an erasure and a node. */
  erasureReceipts: createRow({ parts: u8 }),
  /** Key: a node. Value: its newest certificate to mine. */
  miners: createRow({ certificate: id }),
  /** Key: an identity. Value: its certificates that had not ended when the newest of them was issued. */
  certified: createRow({ certificates: ids }),
} as const

const pair = new Uint8Array(2 * CHAIN_CID_LENGTH)
let lastFirst: Uint8Array | undefined

/** Two ids one after the other, to read with: the next call writes over it. Memory of its own would cost most of a read. */
export function pairOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  // Who asks about a patient asks of several pairs. Nobody writes to an id, so the same array has the same bytes.
  if (a !== lastFirst) pair.set(a)
  lastFirst = a
  pair.set(b, CHAIN_CID_LENGTH)
  return pair
}

export const NO_KEY = new Uint8Array(0)

/** A counter; 0 where it has not begun. */
export function countOf(state: ReadState, table: number, key: Uint8Array): number {
  const row = state.get(table, key)
  return row ? rows.counters.decode(row).count : 0
}

export const setCount = (state: ContractState, table: number, key: Uint8Array, count: number): void =>
  state.put(table, key, rows.counters.encode({ count }))

type IdentityRow = ReturnType<typeof rows.identities.decode>

/** The identity of this id. */
export function identityOf(state: ReadState, id: Uint8Array): IdentityRow | undefined {
  const row = state.get(tables.identities, id)
  return row && rows.identities.decode(row)
}

/** The row of a table as its fields. */
export function recordOf(state: ReadState, id: Uint8Array) {
  const row = state.get(tables.records, id)
  return row && rows.records.decode(row)
}

export function grantOf(state: ReadState, id: Uint8Array) {
  const row = state.get(tables.grants, id)
  return row && rows.grants.decode(row)
}

export function certificateOf(state: ReadState, id: Uint8Array) {
  const row = state.get(tables.certificates, id)
  return row && rows.certificates.decode(row)
}

/** The certificates of an identity that may be in force: those that have ended since are among them. */
export function certificatesOf(state: ReadState, subject: Uint8Array): readonly Uint8Array[] {
  const row = state.get(tables.certified, subject)
  return row ? rows.certified.decode(row).certificates : []
}

export const classKeyKey = (patient: Uint8Array, recordClass: number): Uint8Array =>
  concatBytes(patient, Uint8Array.of(recordClass >> 8, recordClass & 0xff))

const NOTHING: readonly Uint8Array[] = []

/** The denies to a grantee, or, with null, to everybody. */
export function deniesOf(state: ReadState, patient: Uint8Array, grantee: Uint8Array | null): readonly Uint8Array[] {
  const row = state.get(tables.denies, grantee ? pairOf(patient, grantee) : patient)
  return row ? rows.denies.decode(row).grants : NOTHING
}

/** Administrators that it takes; 0 in an open network. */
export function thresholdOf(state: ReadState): number {
  const row = state.get(tables.network, NO_KEY)
  return row ? rows.network.decode(row).threshold : 0
}
