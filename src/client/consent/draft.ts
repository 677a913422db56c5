import type { CID } from 'multiformats/cid'
import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { decodeBody, isKind, type KindAndBody } from '../../protocol/bodies/decode-body.js'
import { malformed } from '../../protocol/bodies/fields.js'
import { decodeCanonical, encodeCanonical, equalBytes, isBytes, isMapOf } from '../../protocol/canonical.js'
import { isChainLink } from '../../protocol/cid.js'
import { type SignedTransaction, signTransaction } from '../../protocol/transaction.js'

/** Largest transaction of the built-in networks. */
const MAX_BYTES = 8_192

/** Where and when something is signed. */
export interface Stamp {
  /** Genesis id of the network. */
  readonly chain: CID
  /** In ms since 1970. */
  readonly at: number
  /** Largest transaction that the network takes, in bytes; 8,192 if left out. */
  readonly maxBytes?: number
}

/** A transaction that its author has not signed yet: others may have to sign first. */
export type Draft = KindAndBody & Omit<Stamp, 'maxBytes'> & { readonly from: Uint8Array }

/** A draft by `from`, with a body of the form that the network takes. @throws EmrError `transaction_malformed` */
export function draftOf({ chain, at }: Stamp, from: Uint8Array, { kind, body }: KindAndBody): Draft {
  return { chain, at, from, ...decodeBody(kind, body) }
}

/**
 * The draft, signed by its author and ready to be sent.
 *
 * @throws EmrError `consent_unfit` if the signer is not the author; `transaction_too_large`
 */
export function signDraft(draft: Draft, signer: Signer, maxBytes: number = MAX_BYTES): SignedTransaction {
  const { from, ...fields } = draft
  if (!equalBytes(signer.publicKey, from)) throw new EmrError('consent_unfit', 'The draft is by another author.')
  const transaction = signTransaction(fields, signer)
  if (transaction.bytes.length > maxBytes) throw new EmrError('transaction_too_large', undefined, { limit: maxBytes })
  return transaction
}

/** Drafts and signs at once what nobody else has to sign. */
export const signed = (stamp: Stamp, signer: Signer, kindAndBody: KindAndBody): SignedTransaction =>
  signDraft(draftOf(stamp, signer.publicKey, kindAndBody), signer, stamp.maxBytes)

/** A draft as bytes, for whom it is sent to for approval. */
export const encodeDraft = ({ chain, at, from, kind, body }: Draft): Uint8Array =>
  encodeCanonical({ v: 1, chain, kind, at, from, body })

/** Reads what `encodeDraft` wrote, strictly. @throws EmrError `malformed_cbor`, `transaction_malformed`, `malformed_cid` */
export function decodeDraft(bytes: Uint8Array): Draft {
  const map = decodeCanonical(bytes)
  if (!isMapOf(map, ['v', 'chain', 'kind', 'at', 'from', 'body'])) throw malformed('It is no draft.')
  const { v, chain, kind, at, from, body } = map
  if (v !== 1 || !isKind(kind) || !isChainLink(chain) || !isBytes(from, 32)) throw malformed('It is no draft.')
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0) throw malformed('at is not a time in ms.')
  return { chain, at, from, ...decodeBody(kind, body) }
}
