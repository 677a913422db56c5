import { CID } from 'multiformats/cid'
import type { Signer } from '../crypto/ed25519.js'
import { MAX_SEALED_LABEL_SIZE } from '../crypto/label-seal.js'
import { type BodyOf, bytes, type Field, id, malformed, readBody, time, whole } from './bodies/fields.js'
import { isBytes } from './canonical.js'
import { decodeFileCid, isChainLink } from './cid.js'
import type { SignatureClaim } from './signatures-of-others.js'
import { asRequest, readSignedMap, signMap } from './signed-map.js'

/** Longest whole request in bytes. */
export const MAX_REQUEST_BYTES = 16_384

const DOMAIN = 'emrchain/request/v1'

export const link: Field<CID> = (value, name) => {
  if (!isChainLink(value)) throw malformed(`${name} is not the id of a block.`)
  return CID.asCID(value) ?? value
}
const upTo =
  (most: number): Field<Uint8Array> =>
  (value, name) => {
    if (!isBytes(value) || value.length > most) throw malformed(`${name} is not at most ${most} bytes.`)
    return value
  }
const file: Field<Uint8Array> = (value) => {
  if (!isBytes(value)) throw malformed('file is not the bytes of a CID.')
  return decodeFileCid(value).bytes
}

const depositFields = {
  patient: id,
  /** The author's 32 random bytes of the record. */
  nonce: bytes(32),
  /** SHA-256 of the share. */
  commitment: bytes(32),
  file,
  /** `S_off`, sealed to the custodian (`sealDeposit`): the ephemeral key and the ciphertext. */
  enc: bytes(32),
  sealed: bytes(48),
  /** Empty where there is none. */
  label: upTo(MAX_SEALED_LABEL_SIZE),
}
const releaseFields = {
  /** A signed `access` by the same key, whose commitment is that of this request (`releaseCommitment`). */
  access: upTo(8_192),
  salt: bytes(32),
}

const handoverFields = {
  record: id,
  /** `S_off`, sealed as in a deposit of that record. */
  enc: bytes(32),
  sealed: bytes(48),
  /** Empty where there is none. */
  label: upTo(MAX_SEALED_LABEL_SIZE),
}

/** Keep this share for the patient. */
export type DepositBody = BodyOf<typeof depositFields>
/** Give me the share of this record. */
export type ReleaseBody = BodyOf<typeof releaseFields>
/** Keep this share of a record, which I kept: the patient has named you. From one custodian to another. */
export type HandoverBody = BodyOf<typeof handoverFields>

/** What is asked of a custodian, by a person or by another custodian. docs/protocol.md, "Requests to custodians". */
export type KindOfRequest =
  | { readonly kind: 'deposit'; readonly body: DepositBody }
  | { readonly kind: 'release'; readonly body: ReleaseBody }
  | { readonly kind: 'handover'; readonly body: HandoverBody }

const anything: Field<unknown> = (value) => value
const envelope = {
  v: whole(1, 1),
  chain: link,
  kind: (value: unknown) => {
    if (value !== 'deposit' && value !== 'release' && value !== 'handover') throw malformed('The kind is unknown.')
    return value
  },
  /** Id of the custodian that it is for; it is worth nothing at another. */
  to: id,
  /** When it was signed, in ms since 1970. */
  at: time,
  /** Random, so that nobody can send it a second time. */
  nonce: bytes(16),
  from: bytes(32),
  body: anything,
}

export type PersonRequest = KindOfRequest & {
  readonly chain: CID
  readonly to: Uint8Array
  readonly at: number
  readonly nonce: Uint8Array
  /** Ed25519 key of who asks. */
  readonly from: Uint8Array
  /** What it claims of its signature. */
  readonly claim: SignatureClaim
}

/** The signed bytes of a request. */
export const signPersonRequest = (
  { chain, to, at, nonce, kind, body }: KindOfRequest & Pick<PersonRequest, 'chain' | 'to' | 'at' | 'nonce'>,
  signer: Signer,
): Uint8Array => signMap(DOMAIN, { v: 1, chain, kind, to, at, nonce, from: signer.publicKey, body }, signer)

/** Reads a request strictly: its form, not its signature. @throws EmrError `request_malformed` */
export function decodePersonRequest(bytes: Uint8Array): PersonRequest {
  const { fields, claim } = readSignedMap(DOMAIN, envelope, 'from', bytes)
  const { kind, body, chain, to, at, nonce, from } = fields
  const rest = { chain, to, at, nonce, from, claim }
  return asRequest(() => {
    if (kind === 'deposit') return { ...rest, kind, body: readBody(depositFields, body) }
    if (kind === 'release') return { ...rest, kind, body: readBody(releaseFields, body) }
    return { ...rest, kind, body: readBody(handoverFields, body) }
  })
}
