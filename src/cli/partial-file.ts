import { constants, type FileHandle, open, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type DecryptOptions, HEADER_SIZE } from '../crypto/file-cipher.js'
import { type VerifiedPrefix, verifiedPrefix } from '../crypto/verified-prefix.js'
import { EmrError, isEmrError } from '../errors.js'
import { codeOf } from './write-output.js'

/**
 * What has come so far of an encrypted file, beside the output, for a later command to go on from. It is the beginning
 * of the encrypted file as it is, so nothing that is left behind can be read without the key, and each chunk in it
 * shows by its tag whether it is right. The same bytes lie at the same place whoever writes them.
 */
export interface PartialFile {
  readonly path: string
  /** Bytes that were there already and are right. */
  readonly kept: number
  /** Whether those are all of the file. */
  readonly isWhole: boolean
  /** The encrypted file: what is there, and behind it what `download` gives, which is kept as it comes. */
  contents(download: (from: number) => AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>
  /** Bytes that a later command finds, after which this one does nothing more; below a chunk they are taken away. */
  close(): Promise<number>
  /** Takes it away: the file is there, or cannot be had this way. */
  discard(): Promise<void>
}

/** Bytes read at once. */
const PIECE = 1024 * 1024

/** Where what has come of the file `cid` lies, when it is to be written to `output`. */
export const partialPath = (output: string, cid: string): string =>
  join(dirname(output), `.${basename(output).slice(0, 180)}.${cid.slice(-12)}.aes.part`)

/**
 * Opens what is there of an encrypted file, or begins it, with mode 0600. What does not verify is cut off.
 *
 * @throws EmrError `path_not_found` of its folder, `disk_failed`, also where the name is that of something else
 */
export async function openPartialFile(path: string, options: DecryptOptions): Promise<PartialFile> {
  const file = await opened(path)
  let there: VerifiedPrefix
  try {
    const stats = await file.stat()
    // With a second name it would be somebody's file.
    if (!stats.isFile() || stats.nlink !== 1) throw new EmrError('disk_failed', `${path} is something else.`)
    there = await verifiedPrefix(piecesOf(file, stats.size), options)
    await file.truncate(there.size)
  } catch (error) {
    await file.close()
    throw isEmrError(error) ? error : failed(path, error)
  }
  let size = there.size

  return {
    path,
    kept: there.size,
    isWhole: there.isWhole,

    async *contents(download) {
      yield* piecesOf(file, there.size)
      if (there.isWhole) return
      for await (const piece of download(there.size)) {
        // Written while it is decrypted.
        const writing = writeAll(file, piece, size)
        writing.catch(() => undefined)
        yield piece
        await writing.catch((error) => {
          throw failed(path, error)
        })
        size += piece.length
      }
    },

    async close() {
      await file.close()
      if (size > HEADER_SIZE) return size
      await rm(path, { force: true })
      return 0
    },

    async discard() {
      await file.close()
      await rm(path, { force: true })
    },
  }
}

async function opened(path: string): Promise<FileHandle> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
  try {
    return await open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw failed(path, error)
    throw new EmrError('path_not_found', `There is no folder ${dirname(path)}.`, {}, { cause: error })
  }
}

async function* piecesOf(file: FileHandle, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  const piece = Buffer.allocUnsafeSlow(Math.min(PIECE, size))
  for (let at = 0; at < size; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, size - at), at)
    if (bytesRead === 0) return
    yield piece.subarray(0, bytesRead)
    at += bytesRead
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}

function failed(path: string, cause: unknown): EmrError {
  const code = codeOf(cause)
  if (code === 'ENOSPC' || code === 'EDQUOT') return new EmrError('disk_full', undefined, {}, { cause })
  return new EmrError('disk_failed', `${path}: ${code ?? 'unknown'}.`, {}, { cause })
}
