import { CID } from 'multiformats/cid'
import type { Signer, Verify } from '../crypto/ed25519.js'
import { EmrError } from '../errors.js'
import { decodeCanonical, encodeCanonical, equalBytes, isBytes, isMapOf } from './canonical.js'
import { cidOf, decodeFileCid, isChainLink } from './cid.js'
import type { NetworkParameters } from './network-parameters.js'
import { readPlainRecord, withoutSignature } from './transaction-layout.js'

const SIGNED_PREFIX = new TextEncoder().encode('emrchain/tx/v1')
/** Longest text of a label, in bytes of UTF-8. */
export const MAX_LABEL_BYTES = 256
/** How far a transaction may be dated after its block, and a block after the clock, in ms. */
export const MAX_TIME_AHEAD = 120_000

/** What the paper's API says of a file, in clear. Only networks with `clearLabels` take it. */
export interface ClearLabel {
  readonly user_id: string
  readonly EHR_name: string
  readonly file_name: string
  /** Cumulative size of the file's DAG in bytes, as IPFS prints it. */
  readonly size: number
}

/** Body of a `record`: the CID of the encrypted file, as plain bytes so that pinning a chain pins no files. */
export interface RecordBody {
  readonly file: Uint8Array
  readonly label?: ClearLabel
}

/** docs/protocol.md, "Transactions". */
export interface Transaction {
  readonly v: 1
  /** Genesis id of the network. */
  readonly chain: CID
  readonly kind: 'record'
  /** When its author signed it, in ms since 1970. */
  readonly at: number
  /** Ed25519 public key of its author. */
  readonly from: Uint8Array
  readonly body: RecordBody
  readonly sig: Uint8Array
}

/** A transaction with its bytes and its id, the CID of those bytes, signature included. */
export interface SignedTransaction extends Transaction {
  readonly id: CID
  readonly bytes: Uint8Array
}

/** How keys and signatures are judged; one rule on every node (docs/protocol.md, "Signatures"). */
export interface SignatureRules {
  verify: Verify
  /** Whether bytes are a canonical key that is not of small order. */
  isValidKey(publicKey: Uint8Array): boolean
}

/** Signs a record. The bytes are what enters the chain. @throws EmrError `transaction_malformed`, `malformed_cid` */
export function signRecord(fields: { chain: CID; at: number; body: RecordBody }, signer: Signer): SignedTransaction {
  const unsigned = {
    v: 1,
    chain: fields.chain,
    kind: 'record',
    at: fields.at,
    from: signer.publicKey,
    body: fields.body,
  }
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
  if (kind !== 'record') throw malformed('The kind is unknown.')
  if (!isChainLink(chain)) throw malformed('chain is not the id of a block.')
  if (typeof at !== 'number' || !Number.isSafeInteger(at) || at < 0) throw malformed('at is not a time in ms.')
  if (!isBytes(from, 32)) throw malformed('from is not 32 bytes.')
  if (!isBytes(sig, 64)) throw malformed('sig is not 64 bytes.')
  return {
    v,
    chain: CID.asCID(chain) ?? chain,
    kind,
    at,
    from,
    body: decodeRecordBody(body),
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
  if (transaction.bytes.length > network.maxTransactionBytes) {
    throw new EmrError('transaction_too_large', undefined, { limit: network.maxTransactionBytes })
  }
  if (!equalBytes(transaction.chain.bytes, genesis.bytes)) throw new EmrError('other_network')
  if (transaction.body.label && !network.clearLabels) throw new EmrError('clear_label_forbidden')
  if (!rules.isValidKey(transaction.from)) throw new EmrError('transaction_bad_key')
  const { signature, message, key } = transactionClaim(transaction)
  if (!rules.verify(signature, message, key)) {
    throw new EmrError('transaction_bad_signature')
  }
}

/** That this signature of this message is by this key. `key` and `signature` are the signed thing's own arrays. */
export interface SignatureClaim {
  readonly signature: Uint8Array
  readonly message: Uint8Array
  readonly key: Uint8Array
}

/** What a transaction claims of its signature. */
export const transactionClaim = ({ bytes, from, sig }: SignedTransaction): SignatureClaim => ({
  signature: sig,
  message: withoutSignature(bytes, SIGNED_PREFIX),
  key: from,
})

/** The same for many. Their messages share memory: an array of its own for each costs more than to fill it. */
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

function decodeRecordBody(body: unknown): RecordBody {
  const labelled = isMapOf(body, ['file', 'label'])
  if (!labelled && !isMapOf(body, ['file'])) throw malformed('The body of a record has a file and perhaps a label.')
  if (!isBytes(body.file)) throw malformed('file is not the bytes of a CID.')
  const file = decodeFileCid(body.file).bytes
  if (!labelled) return { file }
  const label = body.label
  if (!isMapOf(label, ['user_id', 'EHR_name', 'file_name', 'size'])) throw malformed('The label has four fields.')
  const { user_id, EHR_name, file_name, size } = label
  if (!isLabelText(user_id) || !isLabelText(EHR_name) || !isLabelText(file_name)) {
    throw malformed(`Label texts have 1 to ${MAX_LABEL_BYTES} bytes.`)
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw malformed('size is not a length.')
  return { file, label: { user_id, EHR_name, file_name, size } }
}

/**
 * Whether `value` is text that a label can carry: 1 to 256 bytes of well-formed UTF-8 that do not begin with
 * U+FEFF, which decoders of text drop as a byte order mark.
 */
export function isLabelText(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_LABEL_BYTES) return false
  if (value.startsWith('\uFEFF')) return false
  if (isAscii(value)) return true
  const bytes = encoder.encode(value)
  return bytes.length <= MAX_LABEL_BYTES && decoder.decode(bytes) === value
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

function isAscii(value: string): boolean {
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0x7f) return false
  return true
}

const malformed = (detail: string): EmrError => new EmrError('transaction_malformed', detail)
