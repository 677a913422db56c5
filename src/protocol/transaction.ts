import { CID } from 'multiformats/cid'
import type { Signer, Verify } from '../crypto/ed25519.js'
import { EmrError } from '../errors.js'
import { decodeBody, isKind, type KindAndBody } from './bodies/decode-body.js'
import { malformed } from './bodies/fields.js'
import { type BareRecordBody, type ClearLabel, isConsentRecord } from './bodies/record.js'
import { decodeCanonical, encodeCanonical, equalBytes, isBytes, isMapOf } from './canonical.js'
import { cidOf, isChainLink } from './cid.js'
import type { NetworkParameters } from './network-parameters.js'
import { claimsOfOthers, type SignatureClaim } from './signatures-of-others.js'
import { readPlainRecord, withoutSignature } from './transaction-layout.js'

const SIGNED_PREFIX = new TextEncoder().encode('emrchain/tx/v1')
/** How far a transaction may be dated after its block, and a block after the clock, in ms. */
export const MAX_TIME_AHEAD = 120_000

/** docs/protocol.md, "Transactions". */
export type Transaction = KindAndBody & {
  readonly v: 1
  /** Genesis id of the network. */
  readonly chain: CID
  /** When its author signed it, in ms since 1970. */
  readonly at: number
  /** Ed25519 public key of its author. */
  readonly from: Uint8Array
  readonly sig: Uint8Array
}

/** A transaction with its bytes and its id, the CID of those bytes, signature included. */
export type SignedTransaction = Transaction & {
  readonly id: CID
  readonly bytes: Uint8Array
}

/** A record without consent: the paper's form. */
export type BareRecord = SignedTransaction & { readonly kind: 'record'; readonly body: BareRecordBody }

/** How keys and signatures are judged; one rule on every node (docs/protocol.md, "Signatures"). */
export interface SignatureRules {
  verify: Verify
  /** Whether bytes are a canonical key that is not of small order. */
  isValidKey(publicKey: Uint8Array): boolean
}

/** Signs a record without consent. @throws EmrError `transaction_malformed`, `malformed_cid` */
export function signRecord(fields: { chain: CID; at: number; body: BareRecordBody }, signer: Signer): BareRecord {
  const signed = signTransaction({ ...fields, kind: 'record' }, signer)
  if (signed.kind !== 'record' || isConsentRecord(signed.body)) throw malformed('It is no bare record.')
  return { ...signed, kind: signed.kind, body: signed.body }
}

/** Signs a transaction. The bytes are what enters the chain. @throws EmrError `transaction_malformed`, `malformed_cid` */
export function signTransaction(fields: KindAndBody & { chain: CID; at: number }, signer: Signer): SignedTransaction {
  const { kind, chain, at, body } = fields
  const unsigned = { v: 1, chain, kind, at, from: signer.publicKey, body }
  const sig = signer.sign(signedBytes(unsigned))
  return decodeTransaction(encodeCanonical({ ...unsigned, sig }))
}

/**
 * Reads a transaction strictly: its form only, neither its signature nor the rules of a network.
 *
 * @param id the CID of the bytes, if it has been computed
 * @throws EmrError `malformed_cbor`, `transaction_malformed`, `malformed_cid`
 */
export function decodeTransaction(bytes: Uint8Array, id: CID = cidOf(bytes)): SignedTransaction {
  const map = readPlainRecord(bytes) ?? decodeCanonical(bytes)
  if (!isMapOf(map, ['v', 'chain', 'kind', 'at', 'from', 'body', 'sig'])) throw malformed('It has seven fields.')
  const { v, chain, kind, at, from, body, sig } = map
  if (v !== 1) throw malformed('v is not 1.')
  if (!isKind(kind)) throw malformed('The kind is unknown.')
  if (!isChainLink(chain)) throw malformed('chain is not the id of a block.')
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0) throw malformed('at is not a time in ms.')
  if (!isBytes(from, 32)) throw malformed('from is not 32 bytes.')
  if (!isBytes(sig, 64)) throw malformed('sig is not 64 bytes.')
  return {
    v,
    chain: CID.asCID(chain) ?? chain,
    ...decodeBody(kind, body),
    at,
    from,
    sig,
    id,
    bytes,
  }
}

/**
 * Checks what a network demands of a transaction on its own: size, network, label, key, signature.
 * Whether it is known already, and its date, depend on the chain and the clock and are checked there.
 *
 * @throws EmrError `transaction_too_large`, `other_network`, `clear_label_forbidden`, `transaction_bad_key`,
 * `transaction_bad_signature`
 */
export function checkTransaction(
  transaction: SignedTransaction,
  network: NetworkParameters,
  genesis: CID,
  rules: SignatureRules,
): void {
  checkTerms(transaction, network, genesis)
  checkSignatures(transaction, rules)
}

/**
 * What `checkTransaction` checks but for keys and signatures.
 *
 * @throws EmrError `transaction_too_large`, `other_network`, `clear_label_forbidden`
 */
export function checkTerms(transaction: SignedTransaction, network: NetworkParameters, genesis: CID): void {
  if (transaction.bytes.length > network.maxTransactionBytes) {
    throw new EmrError('transaction_too_large', undefined, { limit: network.maxTransactionBytes })
  }
  if (!equalBytes(transaction.chain.bytes, genesis.bytes)) throw new EmrError('other_network')
  if (clearLabelOf(transaction) && !network.clearLabels) throw clearLabelForbidden(network)
}

/** The refusal of a label in clear, with the command that writes none on this network. */
export const clearLabelForbidden = ({ administrators }: NetworkParameters): EmrError =>
  new EmrError('clear_label_forbidden', `Use "emrchain ${administrators ? 'record' : 'add'}".`)

/**
 * Checks every key and signature of a transaction: its author's, and those that its body carries of others
 * (docs/protocol.md, "Signatures of others"). So the contract need not look at one.
 *
 * @throws EmrError `transaction_bad_key`, `transaction_bad_signature`
 */
export function checkSignatures(transaction: SignedTransaction, rules: SignatureRules): void {
  for (const { signature, message, key } of signatureClaims(transaction)) {
    if (!rules.isValidKey(key)) throw new EmrError('transaction_bad_key')
    if (!rules.verify(signature, message, key)) throw new EmrError('transaction_bad_signature')
  }
}

/** The CID of a record's file, as bytes; undefined of what is no record. */
export const fileOf = ({ kind, body }: KindAndBody): Uint8Array | undefined =>
  kind === 'record' ? body.file : undefined

/** What a transaction says in clear; undefined where it has no label. */
export const clearLabelOf = ({ kind, body }: KindAndBody): ClearLabel | undefined =>
  kind === 'record' && !isConsentRecord(body) ? body.label : undefined

/** What a transaction claims of its signature. */
export const transactionClaim = ({ bytes, from, sig }: SignedTransaction): SignatureClaim => ({
  signature: sig,
  message: withoutSignature(bytes, SIGNED_PREFIX),
  key: from,
})

/** All that a transaction claims of signatures: its author's first, then those of others. */
export const signatureClaims = (transaction: SignedTransaction): SignatureClaim[] => [
  transactionClaim(transaction),
  ...claimsOfOthers(transaction),
]

/** The claims of authors for many. Their messages share memory: an array of its own for each costs more than to fill it. */
export function transactionClaims(transactions: readonly SignedTransaction[]): SignatureClaim[] {
  const room = new Uint8Array(transactions.reduce((sum, { bytes }) => sum + SIGNED_PREFIX.length + bytes.length, 0))
  let at = 0
  return transactions.map(({ bytes, from, sig }) => {
    const message = withoutSignature(bytes, SIGNED_PREFIX, room.subarray(at))
    at += message.length
    return { signature: sig, message, key: from }
  })
}

/** What the author signs: a prefix of its own, so that no other signed bytes can be taken for these. */
function signedBytes(unsigned: Record<string, unknown>): Uint8Array {
  const encoded = encodeCanonical(unsigned)
  const bytes = new Uint8Array(SIGNED_PREFIX.length + encoded.length)
  bytes.set(SIGNED_PREFIX)
  bytes.set(encoded, SIGNED_PREFIX.length)
  return bytes
}
