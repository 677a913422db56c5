import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rm } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { FileBytes } from './emr-node.js'
import { isErrno } from './file-root.js'

/**
 * Writes a file into a folder under its own name, or the next free one: `MRI.pdf.aes`, `MRI.pdf (1).aes`.
 * Nothing is ever overwritten, and a file that is not complete does not stay.
 *
 * @param name any text; only its base name is used
 * @returns the path that was written and the number of bytes
 * @throws EmrError `disk_full`, `disk_failed`, and what `contents` throws
 */
export async function download(
  folder: string,
  name: string,
  contents: FileBytes,
): Promise<{ path: string; size: number }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const partial = join(folder, `.${randomBytes(8).toString('hex')}.part`)
  try {
    failpoint('download.begin')
    const size = await write(partial, contents)
    failpoint('download.written')
    const path = await giveFreeName(partial, folder, safeBaseName(name))
    failpoint('download.named')
    return { path, size }
  } catch (error) {
    if (isErrno(error, 'ENOSPC')) throw new EmrError('disk_full', undefined, {}, { cause: error })
    throw error
  } finally {
    await rm(partial, { force: true })
  }
}

async function write(path: string, contents: FileBytes): Promise<number> {
  const file = await open(path, 'wx', 0o600)
  try {
    let size = 0
    for await (const piece of contents) {
      await file.writeFile(piece)
      size += piece.length
      contents.giveBack(piece)
    }
    await file.sync()
    return size
  } finally {
    await file.close()
  }
}

/** Longest name that is written, in bytes of UTF-8: fits every file system, with a copy's number, and a label. */
const MAX_NAME_BYTES = 200
/** Control characters, those that turn the direction of text, and what other systems give a meaning. */
const UNSAFE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069<>:"|?*]/gu

/** The last part of a name, without what a file system or a terminal could take for more than a name. */
export function safeBaseName(name: string): string {
  const base = name.split(/[/\\]/).at(-1) ?? ''
  const plain = base.replace(UNSAFE, '_').replace(/^\.+/, '_')
  return plain === '' ? 'file' : firstBytes(plain, MAX_NAME_BYTES)
}

/** As many whole characters of a text as fit into `limit` bytes of UTF-8. */
function firstBytes(text: string, limit: number): string {
  let kept = ''
  let bytes = 0
  for (const character of text) {
    bytes += Buffer.byteLength(character)
    if (bytes > limit) break
    kept += character
  }
  return kept
}

/** A second name for the file, which the system refuses where the name is taken. */
async function giveFreeName(partial: string, folder: string, name: string): Promise<string> {
  const extension = extname(name)
  const stem = name.slice(0, name.length - extension.length)
  for (let copy = 0; copy < 10_000; copy++) {
    const path = join(folder, copy === 0 ? name : `${stem} (${copy})${extension}`)
    try {
      await link(partial, path)
      return path
    } catch (cause) {
      if (!isErrno(cause, 'EEXIST')) throw new EmrError('disk_failed', undefined, {}, { cause })
    }
  }
  throw new EmrError('disk_failed', 'There are too many files of this name in the download folder.')
}
