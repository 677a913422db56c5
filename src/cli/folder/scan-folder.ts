import { access, constants, lstat, readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { EmrError, isEmrError } from '../../errors.js'
import { BLOCK, encodeEntry, type FolderEntry, isPlainName, MOST_ENTRIES, paddingOf } from './folder-entry.js'

/** A folder as it was when it was looked through. */
export interface ScannedFolder {
  /** Its name, the first part of every path. */
  readonly name: string
  /** Where it lies. */
  readonly root: string
  readonly entries: readonly FolderEntry[]
  readonly files: number
  /** Bytes of its tar. */
  readonly size: number
}

/**
 * Looks through a folder before anything of it is sent: each file must be one that can be read, and nothing else may be
 * in it but files and folders. Links are refused: what they lead to may be anywhere, and change.
 *
 * @throws EmrError `folder_unfit`, `input_unreadable`
 */
export async function scanFolder(path: string): Promise<ScannedFolder> {
  const root = resolve(path)
  const name = basename(root)
  if (!isPlainName(name)) throw new EmrError('folder_unfit', `${root} has no name that a record can carry.`)
  const entries: FolderEntry[] = [{ path: [name], kind: 'folder', size: 0 }]
  await scan(root, [name], entries)
  const files = entries.filter(({ kind }) => kind === 'file').length
  if (files === 0) throw new EmrError('folder_unfit', `${path} has no file in it.`)
  // Two empty blocks end a tar.
  const size = entries.reduce((sum, entry) => sum + tarSize(entry), 2 * BLOCK)
  return { name, root, entries, files, size }
}

async function scan(folder: string, path: readonly string[], entries: FolderEntry[]): Promise<void> {
  const names = await reading(folder, () => readdir(folder))
  names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  for (const name of names) {
    const place = join(folder, name)
    if (!isPlainName(name)) throw new EmrError('folder_unfit', `${place} has a name that a record cannot carry.`)
    if (entries.length >= MOST_ENTRIES) throw new EmrError('folder_unfit', `It has more than ${MOST_ENTRIES} entries.`)
    const stats = await reading(place, () => lstat(place))
    const below = [...path, name]
    if (stats.isDirectory()) {
      entries.push({ path: below, kind: 'folder', size: 0 })
      await scan(place, below, entries)
    } else if (stats.isFile()) {
      await reading(place, () => access(place, constants.R_OK))
      entries.push({ path: below, kind: 'file', size: stats.size })
    } else {
      const what = stats.isSymbolicLink() ? 'a symbolic link' : 'neither a file nor a folder'
      throw new EmrError('folder_unfit', `${place} is ${what}.`)
    }
  }
}

const tarSize = (entry: FolderEntry): number => encodeEntry(entry).length + entry.size + paddingOf(entry.size)

/** Whatever the system says of it, it cannot be read. */
export async function reading<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (isEmrError(cause)) throw cause
    throw new EmrError('input_unreadable', `No permission to read ${path}, or it went away.`, {}, { cause })
  }
}
