import { parseChainId } from '../../protocol/cid.js'
import type { AskedScope } from '../consent/scope.js'

/** A scope as a program says it. */
export interface WantedScope extends Omit<AskedScope, 'records' | 'from'> {
  /** Ids of records, as text, in any order; or else `classes`. */
  readonly records?: readonly string[]
  /** In ms since 1970; now if left out. */
  readonly from?: number
}

/** The same with the ids as bytes, from now on where nothing else is said. @throws EmrError `malformed_cid` */
export const askedScope = ({ records = [], from, ...rest }: WantedScope, now: number): AskedScope => ({
  ...rest,
  records: records.map((id) => parseChainId(id).bytes),
  from: from ?? now,
})
