import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFileDurably } from '../ledger/durable-file.js'
import { dataFolderPaths } from '../ledger/layout.js'
import { readTokenFile } from './token-file.js'

/**
 * The operator's token of the node in `folder`: 32 random bytes in hex, in a file of mode 0600 that is made at
 * the first start. Who is not on this machine shows it to use the node's key, disk or settings.
 *
 * @throws EmrError `token_file_invalid` when the file is there but holds no token, or others may read it
 */
export async function loadOperatorToken(folder: string): Promise<string> {
  const path = dataFolderPaths(folder).token
  if (existsSync(path)) return readTokenFile(path)
  const token = randomBytes(32).toString('hex')
  await writeFileDurably(path, `${token}\n`)
  return token
}
