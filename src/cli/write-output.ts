import { randomBytes } from 'node:crypto'
import { access, type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { EmrError, isEmrError } from '../errors.js'

export interface WriteOptions {
  /** Takes the place of a file that is there. */
  readonly force?: boolean | undefined
}

/** @throws EmrError `output_exists` if something is at `path`; to be asked before any work is done for it */
export async function assertFree(path: string, { force = false }: WriteOptions = {}): Promise<void> {
  if (!force && (await exists(path))) throw new EmrError('output_exists', path)
}

/**
 * Writes a file that only its owner can read. It is under another name until it is whole and on disk, so that
 * nobody meets half a file; whatever ends the work before takes it away.
 *
 * @returns the number of bytes
 * @throws EmrError `output_exists`, `path_not_found` of its folder, `disk_full`, `disk_failed`, and what `contents` throws
 */
export async function writeOutput(
  path: string,
  contents: AsyncIterable<Uint8Array> | Uint8Array,
  options: WriteOptions = {},
): Promise<number> {
  await assertFree(path, options)
  const partial = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.part`)
  const file = await onDisk(path, () => open(partial, 'wx', 0o600))
  try {
    let size = 0
    try {
      for await (const piece of contents instanceof Uint8Array ? [contents] : contents) {
        await onDisk(path, () => file.writeFile(piece))
        size += piece.length
      }
      await onDisk(path, () => file.sync())
    } finally {
      await file.close()
    }
    await onDisk(path, () => (options.force ? rename(partial, path) : renameToFree(partial, path)))
    await syncFolder(dirname(path))
    return size
  } finally {
    await rm(partial, { force: true })
  }
}

/** Makes a folder that only its owner can look into, unless there is one. */
export const makePrivateFolder = (path: string): Promise<unknown> =>
  onDisk(path, () => mkdir(path, { recursive: true, mode: 0o700 }))

/** As rename, but refused where the name is taken, even by a file that came a moment ago. */
async function renameToFree(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EEXIST') throw new EmrError('output_exists', to)
    // Some file systems have no second names.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error
    await assertFree(to)
    await rename(from, to)
  }
}

/** The name is on disk only when the folder is. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder)
    await handle.sync()
  } catch {
    // Not every system lets a folder be synchronised; the file itself is on disk.
  } finally {
    await handle?.close()
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    // A name that leads nowhere is taken all the same.
    return codeOf(error) !== 'ENOENT'
  }
}

async function onDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (isEmrError(cause)) throw cause
    const code = codeOf(cause)
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new EmrError('disk_full', undefined, {}, { cause })
    if (code === 'ENOENT') throw new EmrError('path_not_found', `There is no folder ${dirname(path)}.`, {}, { cause })
    throw new EmrError('disk_failed', `${path}: ${code ?? 'unknown'}.`, {}, { cause })
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
