import { EmrError } from '../../errors.js'

/** Errors of a full disk or an exhausted quota. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** `disk_full` or `disk_failed` for an error of the file system; any other error as it is. */
export function diskError(cause: unknown): unknown {
  const code = errnoOf(cause)
  if (code === undefined) return cause
  return new EmrError(FULL.has(code) ? 'disk_full' : 'disk_failed', undefined, { errno: code }, { cause })
}

/** The errno of an error of the file system, such as `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}
