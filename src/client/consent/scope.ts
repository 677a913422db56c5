import { compareBytes } from '../../protocol/bodies/fields.js'
import type { Scope } from '../../protocol/bodies/scope.js'
import { NO_END } from '../../protocol/consent-vocabulary.js'

/** A scope as a person says it: records or classes, and what need not be said. */
export interface AskedScope extends Pick<Scope, 'actions' | 'purposes' | 'from'> {
  /** Ids of records, in any order; or else `classes`. */
  readonly records?: readonly Uint8Array[]
  /** A mask. */
  readonly classes?: number
  /** Most confidential record that is meant; 1, normal, if left out. */
  readonly confidentiality?: number
  /** A mask of sensitive matters that are meant; none if left out. */
  readonly sensitivity?: number
  /** No end if left out. */
  readonly until?: number
  /** Any number if left out. */
  readonly uses?: number
}

/** The scope as a body has it. What is not said is the narrower, but for the time and the number of uses. */
export const scopeOf = ({
  records = [],
  classes = 0,
  actions,
  purposes,
  confidentiality = 1,
  sensitivity = 0,
  from,
  until = NO_END,
  uses = 0,
}: AskedScope): Scope => ({
  records: [...records].sort(compareBytes),
  classes,
  actions,
  purposes,
  confidentiality,
  sensitivity,
  from,
  until,
  uses,
})
