import type { Signer } from '../crypto/ed25519.js'
import { type BodyOf, bytes, id, time, whole } from './bodies/fields.js'
import { link } from './person-request.js'
import { readSignedMap, type SignedMap, signMap } from './signed-map.js'

const RECEIPT = 'emrchain/handover-receipt/v1'

const receiptFields = {
  v: whole(1, 1),
  chain: link,
  record: id,
  /** That of the handover, so that no earlier receipt passes for this one. */
  nonce: bytes(16),
  /** When it was kept, in ms since 1970, by the custodian's clock. */
  at: time,
  /** Ed25519 key of the custodian that keeps the share now. */
  key: bytes(32),
}

/** A custodian's signed word that it keeps what another one handed over. docs/protocol.md, "Handing over". */
export type HandoverReceipt = Omit<BodyOf<typeof receiptFields>, 'v'>

export const signHandoverReceipt = (receipt: Omit<HandoverReceipt, 'key'>, signer: Signer): Uint8Array =>
  signMap(RECEIPT, { v: 1, ...receipt, key: signer.publicKey }, signer)

/** Reads a receipt strictly: its form, not its signature. @throws EmrError `request_malformed` */
export const decodeHandoverReceipt = (encoded: Uint8Array): SignedMap<HandoverReceipt> =>
  readSignedMap(RECEIPT, receiptFields, 'key', encoded)
