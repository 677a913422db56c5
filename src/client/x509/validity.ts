import { EmrError } from '../../errors.js'

/** The last second that X.509 can write, which stands for no end (RFC 5280, 4.1.2.5). */
const LAST_SECOND = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000

/** A time on the chain: from `from` on, to just before `until`, in ms. */
export interface Period {
  readonly from: number
  readonly until: number
}

/**
 * The whole seconds of a period, first and last included, as X.509 has them. Never a moment more than the chain says.
 *
 * @throws EmrError `certificate_unfit` if there is no such second before the year 10000
 */
export function wholeSeconds({ from, until }: Period): { notBefore: Date; notAfter: Date } {
  const first = Math.ceil(from / 1000)
  const last = Math.min(Math.floor(until / 1000) - 1, LAST_SECOND)
  if (last < first) throw new EmrError('certificate_unfit', 'No whole second before the year 10000 is within its time.')
  return { notBefore: new Date(first * 1000), notAfter: new Date(last * 1000) }
}
