import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { failpoint } from '../failpoint.js'

/** Makes the names in a folder durable. Windows cannot sync a folder and needs no such call. */
export const syncFolder = async (folder: string): Promise<void> => {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes the content of a file durable. */
export const syncFile = async (path: string): Promise<void> => {
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Writes a whole file so that after a crash either the old or the new content is there, never a
 * part: temporary file, sync, rename, sync of the folder.
 */
export const writeFileDurably = async (path: string, content: string | Uint8Array): Promise<void> => {
  const temporary = `${path}.new`
  failpoint('durable-file.begin')
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(content)
    failpoint('durable-file.written')
    await handle.sync()
  } finally {
    await handle.close()
  }
  failpoint('durable-file.synced')
  await rename(temporary, path)
  failpoint('durable-file.renamed')
  await syncFolder(dirname(path))
}
