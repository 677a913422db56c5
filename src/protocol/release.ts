import { abytes, concatBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { Signer } from '../crypto/ed25519.js'
import { sha256 } from '../crypto/hash.js'
import { type BodyOf, bytes, id, time, whole } from './bodies/fields.js'
import { link } from './person-request.js'
import { readSignedMap, type SignedMap, signMap } from './signed-map.js'

const REQUEST = new TextEncoder().encode('emrchain/release-request/v1')
const RECEIPT = 'emrchain/release-receipt/v1'

/** What an access stands for, and only the custodians are told. */
export interface ReleaseRequest {
  readonly record: Uint8Array
  /** X25519 key that the answer is to be sealed to: that of the asker's latest version. */
  readonly seal: Uint8Array
  /** 32 random bytes, sent with the request, so that nobody can guess what was asked. */
  readonly salt: Uint8Array
}

/** `commitment` of an access. docs/protocol.md, "Sealed secrets". */
export const releaseCommitment = (chain: CID, { record, seal, salt }: ReleaseRequest): Uint8Array =>
  sha256(
    concatBytes(REQUEST, chain.bytes, abytes(record, 36, 'record'), abytes(seal, 32, 'seal'), abytes(salt, 32, 'salt')),
  )

const receiptFields = {
  v: whole(1, 1),
  chain: link,
  record: id,
  access: id,
  /** Identity of who got it. */
  asker: id,
  custodian: id,
  /** Ed25519 key of the custodian. */
  key: bytes(32),
  /** When it was given out, in ms since 1970, by the custodian's clock. */
  at: time,
}

/** A custodian's signed word that it gave a share out. docs/protocol.md, "Releases". */
export type ReleaseReceipt = Omit<BodyOf<typeof receiptFields>, 'v'>

export const signReleaseReceipt = (receipt: Omit<ReleaseReceipt, 'key'>, signer: Signer): Uint8Array =>
  signMap(RECEIPT, { v: 1, ...receipt, key: signer.publicKey }, signer)

/** Reads a receipt strictly: its form, not its signature. @throws EmrError `request_malformed` */
export const decodeReleaseReceipt = (encoded: Uint8Array): SignedMap<ReleaseReceipt> =>
  readSignedMap(RECEIPT, receiptFields, 'key', encoded)
