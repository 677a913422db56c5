import { erasureGrounds } from '../consent-vocabulary.js'
import { type BodyOf, id, oneOf, readBody } from './fields.js'

const fields = { record: id, ground: oneOf<number>(erasureGrounds) }

/** The patient has a record's secrets destroyed. docs/protocol.md, "erasure". */
export type ErasureBody = BodyOf<typeof fields>

/** @throws EmrError `transaction_malformed` */
export const decodeErasure = (value: unknown): ErasureBody => readBody(fields, value)
