import { constants, type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { EmrError } from '../../errors.js'
import { BLOCK, encodeEntry, paddingOf } from './folder-entry.js'
import { reading, type ScannedFolder } from './scan-folder.js'

/** Bytes handed on at once: long enough for the cipher to be fast, however small the files are. */
const PIECE = 1024 * 1024

/**
 * The tar of a folder. A piece is good only until the next is asked for.
 *
 * @throws EmrError `input_unreadable`, also if a file is not as long any more as when the folder was looked through
 */
export async function* packFolder({ root, entries }: ScannedFolder): AsyncGenerator<Uint8Array, void, undefined> {
  const piece = Buffer.allocUnsafeSlow(PIECE)
  let filled = 0
  for (const entry of entries) {
    const head = encodeEntry(entry)
    if (filled + head.length > PIECE) {
      yield piece.subarray(0, filled)
      filled = 0
    }
    filled += head.copy(piece, filled)
    if (entry.kind === 'folder') continue

    const path = join(root, ...entry.path.slice(1))
    const file = await opened(path)
    try {
      for (let at = 0; at < entry.size; ) {
        if (filled === PIECE) {
          yield piece
          filled = 0
        }
        const length = Math.min(PIECE - filled, entry.size - at)
        const { bytesRead } = await reading(path, () => file.read(piece, filled, length, at))
        if (bytesRead === 0) throw changed(path)
        filled += bytesRead
        at += bytesRead
      }
      if ((await reading(path, () => file.stat())).size !== entry.size) throw changed(path)
    } finally {
      await file.close()
    }
    // A piece is whole blocks, so there is room.
    piece.fill(0, filled, filled + paddingOf(entry.size))
    filled += paddingOf(entry.size)
  }
  if (filled > 0) yield piece.subarray(0, filled)
  yield Buffer.alloc(2 * BLOCK)
}

/** Not through a link that came in the meantime, and not waiting at a FIFO. */
async function opened(path: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  const file = await reading(path, () => open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK))
  const stats = await file.stat()
  if (stats.isFile()) return file
  await file.close()
  throw changed(path)
}

const changed = (path: string): EmrError => new EmrError('input_unreadable', `${path} changed while it was read.`)
