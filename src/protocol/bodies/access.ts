import { EVERY_ACTION, EVERY_PURPOSE } from '../consent-vocabulary.js'
import { type BodyOf, bytes, id, oneBit, orNull, readBody } from './fields.js'

const fields = {
  record: id,
  /** The grant that is to allow it; null for a patient's own record. */
  grant: orNull(id),
  /** The certificate in whose role the author acts. */
  certificate: orNull(id),
  action: oneBit(EVERY_ACTION),
  purpose: oneBit(EVERY_PURPOSE),
  /** SHA-256 of the request to the custodian, salted: shows which one this stands for and no more. */
  commitment: bytes(32),
}

/** Who reads which record, why, under which grant. docs/protocol.md, "access". */
export type AccessBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export const decodeAccess = (value: unknown): AccessBody => readBody(fields, value)
