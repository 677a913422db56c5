import { EVERY_ACTION, EVERY_CLASS, EVERY_PURPOSE, EVERY_SENSITIVITY } from '../consent-vocabulary.js'
import { type BodyOf, bits, ids, malformed, time, whole } from './fields.js'

/** Most records that one grant can name. */
export const MAX_NAMED_RECORDS = 16

/** What is asked for or granted: which records, what for, how long. */
export const scopeFields = {
  /** The records that it names, by id; none where it goes by class. */
  records: ids(MAX_NAMED_RECORDS),
  /** The classes of records, 0 where it names records. */
  classes: bits(EVERY_CLASS, 0),
  actions: bits(EVERY_ACTION),
  purposes: bits(EVERY_PURPOSE),
  /** Most confidential record that it reaches. */
  confidentiality: whole(0, 3),
  /** Sensitive matters that it reaches. */
  sensitivity: bits(EVERY_SENSITIVITY, 0),
  /** In force from this time on, in ms, to just before `until`. */
  from: time,
  until: time,
  /** How many accesses it allows; 0 for any number. */
  uses: whole(0, 0xffffffff),
}
export type Scope = BodyOf<typeof scopeFields>

/** Checks what one field does not show. @throws EmrError `transaction_malformed` */
export function checkScope({ records, classes, from, until }: Scope): void {
  if (records.length > 0 === classes > 0) throw malformed('It names records or classes, and not both.')
  if (until <= from) throw malformed('until is not after from.')
}
