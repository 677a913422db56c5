import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { EmrError } from '../errors.js'

/**
 * The token in a file: 64 hex digits, that nobody but the owner of the file may read or change.
 *
 * @throws EmrError `token_file_invalid`, which names the file and what is wrong with it
 */
export function readTokenFile(path: string): string {
  const file = opened(path)
  try {
    // Of the file that is open, so that no other can be put in its place meanwhile.
    const stats = fstatSync(file)
    if (!stats.isFile()) throw invalid(path, 'is no file')
    // Windows has no such modes.
    if (process.platform !== 'win32' && (stats.mode & 0o077) !== 0) {
      throw invalid(path, `may be read or changed by others (mode ${(stats.mode & 0o777).toString(8)}); make it 600`)
    }
    const token = readFileSync(file, 'utf8').trim()
    if (!/^[0-9a-f]{64}$/.test(token)) throw invalid(path, 'is not a token of 64 hex digits')
    return token
  } finally {
    closeSync(file)
  }
}

const invalid = (path: string, what: string, cause?: unknown): EmrError =>
  new EmrError('token_file_invalid', `${path} ${what}.`, {}, { cause })

function opened(path: string): number {
  try {
    // Not blocking: a FIFO that nobody writes to would hold the process for ever.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    throw invalid(path, 'cannot be read', cause)
  }
}
