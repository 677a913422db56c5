import { constants, type FileHandle, open } from 'node:fs/promises'
import { EmrError } from '../errors.js'

/** Bytes read at once: long enough for the cipher to be fast. */
const PIECE = 1024 * 1024

/** A file that is read once, from its beginning. */
export interface RegularFile {
  /** Bytes that it had when it was opened. */
  readonly size: number
  readonly bytes: AsyncIterable<Uint8Array>
  /** The first `length` bytes, fewer if it has no more; `bytes` begins with them all the same. */
  head(length: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** @throws EmrError `input_unreadable` */
export async function openRegularFile(path: string): Promise<RegularFile> {
  const file = await opened(path)
  const stats = await file.stat()
  if (!stats.isFile()) {
    await file.close()
    throw new EmrError('input_unreadable', `${path} is something else.`)
  }
  return {
    size: stats.size,
    bytes: piecesOf(file, path),
    async head(length) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
      return buffer.subarray(0, bytesRead)
    },
    close: () => file.close(),
  }
}

async function* piecesOf(file: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* file.createReadStream({ start: 0, autoClose: false, highWaterMark: PIECE })
  } catch (cause) {
    throw new EmrError('input_unreadable', `Reading ${path} failed.`, {}, { cause })
  }
}

async function opened(path: string): Promise<FileHandle> {
  try {
    // Not blocking: a FIFO that nobody writes to would hold the command for ever.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    const reason = missing ? 'There is no' : 'No permission to read'
    throw new EmrError('input_unreadable', `${reason} ${path}.`, {}, { cause })
  }
}
