import { randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { EmrError, isEmrError } from '../errors.js'
import { writeFileDurably } from '../ledger/durable-file.js'
import { dataFolderPaths } from '../ledger/layout.js'

/**
 * The operator's token of the node in `folder`: 32 random bytes in hex, in a file of mode 0600 that is made at
 * the first start. Who is not on this machine shows it to use the node's key, disk or settings.
 *
 * @throws EmrError `disk_failed` when the file is there but holds no token, or others may read it
 */
export async function loadOperatorToken(folder: string): Promise<string> {
  const path = dataFolderPaths(folder).token
  let text = await readToken(path)
  if (text === undefined) {
    text = `${randomBytes(32).toString('hex')}\n`
    await writeFileDurably(path, text)
  }
  const token = text.trim()
  if (!/^[0-9a-f]{64}$/.test(token)) throw new EmrError('disk_failed', `${path} is not a token of 64 hex digits.`)
  return token
}

async function readToken(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path)
    // Windows has no such bits.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      throw new EmrError('disk_failed', `${path} may be read by others; its mode must be 0600.`)
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (isEmrError(cause)) throw cause
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new EmrError('disk_failed', `${path} cannot be read.`, {}, { cause })
  }
}
