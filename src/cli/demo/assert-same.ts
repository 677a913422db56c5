import { isDeepStrictEqual } from 'node:util'
import { EmrError } from '../../errors.js'

/** @throws EmrError `demo_mismatch`, which says what differs and how */
export function assertSame(what: string, actual: unknown, expected: unknown): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new EmrError('demo_mismatch', `${what} is ${JSON.stringify(actual)} and not ${JSON.stringify(expected)}.`)
}
