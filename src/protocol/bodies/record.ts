import { isBytes, isMapOf } from '../canonical.js'
import { decodeFileCid } from '../cid.js'
import { EVERY_CLASS, EVERY_PURPOSE, EVERY_SENSITIVITY } from '../consent-vocabulary.js'
import {
  type BodyOf,
  bits,
  bytes,
  compareBytes,
  type Field,
  id,
  malformed,
  mapOf,
  oneBit,
  orNull,
  readBody,
  sorted,
  whole,
} from './fields.js'
import { MAX_CUSTODIANS } from './identity.js'

/** Longest text of a label, in bytes of UTF-8. */
export const MAX_LABEL_BYTES = 256

/** What the paper's API says of a file, in clear. Only networks with `clearLabels` take it. */
export interface ClearLabel {
  readonly user_id: string
  readonly EHR_name: string
  readonly file_name: string
  /** Cumulative size of the file's DAG in bytes, as IPFS prints it. */
  readonly size: number
}

/** A bare `record`: the CID of the encrypted file, as plain bytes so that pinning a chain pins no files. */
export interface BareRecordBody {
  readonly file: Uint8Array
  readonly label?: ClearLabel
}

const file: Field<Uint8Array> = (value) => {
  if (!isBytes(value)) throw malformed('file is not the bytes of a CID.')
  return decodeFileCid(value).bytes
}

/** A custodian's signature that it keeps the share (`depositMessage`). */
const receipt = mapOf({ node: id, key: bytes(32), sig: bytes(64) })
/** A doctor's signature under what a laboratory technician amends (`approvalMessage`). */
const doctorApproval = mapOf({ key: bytes(32), certificate: orNull(id), sig: bytes(64) })

const fields = {
  file,
  patient: id,
  class: oneBit(EVERY_CLASS),
  confidentiality: whole(0, 3),
  sensitivity: bits(EVERY_SENSITIVITY, 0),
  /** Epoch of the patient's class key that `S_chain` is sealed to. */
  epoch: whole(1, 0xffffffff),
  /** HPKE: ephemeral key, then the sealed `S_chain` of 32 bytes and a tag of 16. */
  enc: bytes(32),
  sealed: bytes(48),
  /** SHA-256 of `S_off`, to check what a custodian gives. */
  commitment: bytes(32),
  /** 32 random bytes of the author. */
  nonce: bytes(32),
  /** Why it is written, where the author is not the patient; else the patient's own purpose. */
  purpose: oneBit(EVERY_PURPOSE),
  /** The grant that allows it; null for the patient. */
  grant: orNull(id),
  certificate: orNull(id),
  /** The record that this one replaces. */
  supersedes: orNull(id),
  receipts: sorted(receipt, MAX_CUSTODIANS, (a, b) => compareBytes(a.node, b.node)),
  approval: orNull(doctorApproval),
}

/** A `record` under consent: no text at all. docs/protocol.md, "record". */
export type ConsentRecordBody = BodyOf<typeof fields>
export type RecordBody = BareRecordBody | ConsentRecordBody

/** Whether a record is one of the consent contract. */
export const isConsentRecord = (body: RecordBody): body is ConsentRecordBody => 'patient' in body

/** @throws EmrError `transaction_malformed`, `malformed_cid` */
export function decodeRecord(body: unknown): RecordBody {
  const labelled = isMapOf(body, ['file', 'label'])
  if (!labelled && !isMapOf(body, ['file'])) return readBody(fields, body)
  const cid = file(body.file, 'file')
  if (!labelled) return { file: cid }
  const label = body.label
  if (!isMapOf(label, ['user_id', 'EHR_name', 'file_name', 'size'])) throw malformed('The label has four fields.')
  const { user_id, EHR_name, file_name, size } = label
  if (!isLabelText(user_id) || !isLabelText(EHR_name) || !isLabelText(file_name)) {
    throw malformed(`Label texts have 1 to ${MAX_LABEL_BYTES} bytes.`)
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw malformed('size is not a length.')
  return { file: cid, label: { user_id, EHR_name, file_name, size } }
}

/**
 * Whether `value` is text that a label can carry: 1 to 256 bytes of well-formed UTF-8 that do not begin with
 * U+FEFF, which decoders of text drop as a byte order mark.
 */
export function isLabelText(value: unknown): value is string {
  if (typeof value !== 'string' || value === '' || value.length > MAX_LABEL_BYTES) return false
  if (value.startsWith('\uFEFF')) return false
  if (isAscii(value)) return true
  const encoded = encoder.encode(value)
  return encoded.length <= MAX_LABEL_BYTES && decoder.decode(encoded) === value
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

function isAscii(value: string): boolean {
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0x7f) return false
  return true
}
