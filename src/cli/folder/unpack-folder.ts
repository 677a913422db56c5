import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { EmrError } from '../../errors.js'
import { assertFree, codeOf, onDisk, syncFolder } from '../write-output.js'
import { readFolder } from './read-folder.js'

/** What was written. */
export interface UnpackedFolder {
  readonly files: number
  /** Bytes of all files. */
  readonly size: number
}

/** Files whose bytes the disk is asked for at the same time. */
const SYNCED_AT_ONCE = 16

/**
 * Writes the folder that a tar was made of, readable only for its owner. It appears under its name when it is whole and
 * on disk; whatever ends the work before takes it away. Nothing that is there is ever written over.
 *
 * @throws EmrError `output_exists`, `folder_malformed`, `path_not_found`, `disk_full`, `disk_failed`, and what `tar` throws
 */
export async function unpackFolder(path: string, tar: AsyncIterable<Uint8Array>): Promise<UnpackedFolder> {
  await assertFree(path)
  const partial = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.part`)
  await onDisk(path, () => mkdir(partial, { mode: 0o700 }))
  try {
    const written = await writeEntries(partial, tar)
    await onDisk(path, () => syncAll(written.paths))
    // A file in its place would be kept by the system; an empty folder that came a moment ago is as good as none.
    await assertFree(path)
    await onDisk(path, () => rename(partial, path))
    await syncFolder(dirname(path))
    return { files: written.files, size: written.size }
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

async function writeEntries(
  root: string,
  tar: AsyncIterable<Uint8Array>,
): Promise<UnpackedFolder & { paths: readonly string[] }> {
  const paths: string[] = [root]
  let name: string | undefined
  let files = 0
  let size = 0
  for await (const { path, kind, contents } of readFolder(tar)) {
    const [top, ...below] = path
    const place = join(root, ...below)
    // The folder itself comes first and once; it is `root` here, whatever it is called.
    const isFirst = name === undefined
    name ??= top
    if (top !== name || isFirst !== (below.length === 0 && kind === 'folder')) {
      throw new EmrError('folder_malformed', 'It is not one folder.')
    }
    if (isFirst) continue
    await writing(place, async () => {
      if (kind === 'folder') return mkdir(place, { mode: 0o700 })
      const file = await open(place, 'wx', 0o600)
      try {
        for await (const piece of contents()) {
          await writeAll(file, piece)
          size += piece.length
        }
      } finally {
        await file.close()
      }
      files++
      return undefined
    })
    paths.push(place)
  }
  return { files, size, paths }
}

async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let written = 0; written < piece.length; ) {
    written += (await file.write(piece, written, piece.length - written)).bytesWritten
  }
}

/** A name that is taken, and a folder that was not there before what is in it, are faults of the tar. */
async function writing(place: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await onDisk(place, work)
  } catch (error) {
    const code = error instanceof Error ? codeOf(error.cause) : undefined
    if (code !== 'EEXIST' && code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ENAMETOOLONG') throw error
    throw new EmrError(
      'folder_malformed',
      'Two of its names are one here, or a folder is missing.',
      {},
      { cause: error },
    )
  }
}

/** What lies in a folder is on disk when it and the folder are. */
async function syncAll(paths: readonly string[]): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const handle = await open(path)
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    }
  }
  await Promise.all(Array.from({ length: SYNCED_AT_ONCE }, worker))
}
