import type { ResultName } from '../../contract/result-codes.js'
import { resultCodes } from '../../contract/result-codes.js'
import { EmrError } from '../../errors.js'

/** What the contract would answer, told before anything is signed; `facts.result` names its code. */
export const unfit = (result: ResultName, why: readonly string[] = []): EmrError =>
  new EmrError('consent_unfit', [`${resultCodes[result][1]} (${result})`, ...why].join(' '), { result })
