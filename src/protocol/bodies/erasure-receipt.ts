import { EVERY_PART } from '../consent-vocabulary.js'
import { type BodyOf, bits, id, readBody } from './fields.js'

const fields = { erasure: id, parts: bits(EVERY_PART) }

/** A node says what it has destroyed for an erasure. docs/protocol.md, "erasure_receipt". */
export type ErasureReceiptBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export const decodeErasureReceipt = (value: unknown): ErasureReceiptBody => readBody(fields, value)
