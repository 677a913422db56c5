import { constants } from 'node:os'
import { EmrError } from '../errors.js'

const { ENOSPC, EFBIG, EDQUOT } = constants.errno
const full = new Set<unknown>(['ENOSPC', 'EFBIG', 'EDQUOT', ENOSPC, EFBIG, EDQUOT])

/** LMDB's own codes for pages that are not what they should be (lmdb.h: MDB_PAGE_NOTFOUND to MDB_INVALID). */
const damaged = new Set<unknown>([-30797, -30796, -30795, -30794, -30793])

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

/** Whether the error says that there is no more room: disk, quota or file size limit. */
export const isDiskFull = (error: unknown): boolean => full.has(codeOf(error))

/** The errno of a failed call such as `ENOENT`, or undefined. */
export const errno = (error: unknown): string | undefined => {
  const code = codeOf(error)
  return typeof code === 'string' ? code : undefined
}

/**
 * What a failed call of the file system or of LMDB means: `disk_full`, `index_damaged` (LMDB found
 * impossible pages) or `disk_failed`. An EmrError passes through as it is.
 * @param doing what was being done, such as "writing the chain file"
 */
export const toDiskError = (error: unknown, doing: string): EmrError => {
  if (error instanceof EmrError) return error
  const code = codeOf(error)
  const facts = { cause: String(code ?? 'unknown') }
  if (full.has(code)) return new EmrError('disk_full', undefined, facts, { cause: error })
  const kind = damaged.has(code) ? 'index_damaged' : 'disk_failed'
  return new EmrError(kind, `It failed while ${doing} (${facts.cause}).`, facts, { cause: error })
}
