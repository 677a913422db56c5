import type { Signer } from '../crypto/ed25519.js'
import { type BodyOf, bytes, id, ids, readBody, time, whole } from './bodies/fields.js'
import { decodeCanonical, encodeCanonical } from './canonical.js'
import { link } from './person-request.js'
import { asRequest, readSignedMap, type SignedMap, signMap } from './signed-map.js'

const DOMAIN = 'emrchain/view/v1'
/** Most pending transactions that a view names. */
export const MAX_WITHDRAWALS = 256

const questionFields = {
  v: whole(1, 1),
  chain: link,
  record: id,
  patient: id,
  /** Identity of who asks for the share. */
  asker: id,
  /** Random, and again in the answer. */
  nonce: bytes(16),
}
/** What a custodian asks the others before it gives a share out. docs/protocol.md, "Releases". */
export type ViewQuestion = Omit<BodyOf<typeof questionFields>, 'v'>

export const encodeViewQuestion = (question: ViewQuestion): Uint8Array => encodeCanonical({ v: 1, ...question })

/** @throws EmrError `request_malformed` */
export const decodeViewQuestion = (encoded: Uint8Array): ViewQuestion => {
  const { v: _, ...question } = asRequest(() => readBody(questionFields, decodeCanonical(encoded)))
  return question
}

const viewFields = {
  v: whole(1, 1),
  chain: link,
  nonce: bytes(16),
  /** Id of its tip. */
  tip: link,
  /** Ids of pending transactions there that may take consent for this record away. */
  withdrawals: ids(MAX_WITHDRAWALS),
  at: time,
  /** Ed25519 key of the custodian. */
  key: bytes(32),
}
/** How a custodian sees the chain and what is pending. */
export type CustodianView = Omit<BodyOf<typeof viewFields>, 'v'>

export const signCustodianView = (view: Omit<CustodianView, 'key'>, signer: Signer): Uint8Array =>
  signMap(DOMAIN, { v: 1, ...view, key: signer.publicKey }, signer)

/** Reads a view strictly: its form, not its signature. @throws EmrError `request_malformed` */
export const decodeCustodianView = (encoded: Uint8Array): SignedMap<CustodianView> =>
  readSignedMap(DOMAIN, viewFields, 'key', encoded)
