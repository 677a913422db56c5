import { randomBytes } from 'node:crypto'
import { access, type FileHandle, link, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { EmrError, isEmrError } from '../errors.js'

export interface WriteOptions {
  /** Takes the place of a file that is there. */
  readonly force?: boolean | undefined
}

/**
 * To be asked before any work is done for the output.
 *
 * @throws EmrError `output_exists` if something is at `path`, `usage` where it is empty, as an unset variable of a shell
 */
export async function assertFree(path: string, { force = false }: WriteOptions = {}): Promise<void> {
  if (path === '') throw new EmrError('usage', 'The name of the output file is empty.')
  if (!force && (await exists(path))) throw new EmrError('output_exists', path)
}

/**
 * Writes a file that only its owner can read. It is under another name until it is whole and on disk, so that
 * nobody meets half a file; whatever ends the work before takes it away. A piece must stay as it is while the next one
 * is made.
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
      let writing: Promise<void> = Promise.resolve()
      for await (const piece of contents instanceof Uint8Array ? [contents] : contents) {
        await writing
        // While the next piece is made; who waits for it meets its error.
        writing = onDisk(path, () => file.writeFile(piece))
        writing.catch(() => undefined)
        size += piece.length
      }
      await writing
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

/** The name of what lies in a folder is on disk only when the folder is. */
export async function syncFolder(folder: string): Promise<void> {
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

/** Does `work` on the disk for the output `path`; its errors come out as ours, with the system's as their cause. */
export async function onDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
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

/** The errno of an error of the file system, such as `ENOENT`. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
