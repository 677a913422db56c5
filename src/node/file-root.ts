import { constants, type FileHandle, open, realpath } from 'node:fs/promises'
import { basename, isAbsolute, join, sep } from 'node:path'
import { EmrError } from '../errors.js'

/**
 * Opens a regular file under `root` for reading. The path is seen from `root`; absolute paths, `..` and
 * symbolic links that lead out are refused before anything is read, and so is whatever lies in `secret`.
 *
 * @throws EmrError `path_forbidden`, `path_not_found`
 */
export async function openUnderRoot(
  root: string,
  path: string,
  secret: string,
): Promise<{ file: FileHandle; name: string }> {
  const parts = path.split(/[/\\]/)
  if (path.includes('\0') || isAbsolute(path) || parts.includes('..')) throw new EmrError('path_forbidden')
  const wanted = join(root, path)
  let file: FileHandle
  try {
    // Not blocking: a FIFO that nobody writes to would hold the call for ever.
    file = await open(wanted, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    throw new EmrError(isErrno(cause, 'ELOOP') ? 'path_forbidden' : 'path_not_found', undefined, {}, { cause })
  }
  try {
    const [opened, real] = [await file.stat(), await realpath(wanted)]
    const allowed = isInside(real, await realpath(root)) && !isInside(real, await realpath(secret))
    if (!opened.isFile() || !allowed) throw new EmrError('path_forbidden')
    return { file, name: basename(real) }
  } catch (error) {
    await file.close()
    throw error
  }
}

const isInside = (path: string, folder: string): boolean =>
  path.startsWith(folder.endsWith(sep) ? folder : folder + sep)

export const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
