import { Header } from 'tar/header'
import { Pax } from 'tar/pax'
import { EmrError } from '../../errors.js'
import { BLOCK, FOLDER_MARK, type FolderEntry, isPlainName, MOST_ENTRIES, paddingOf } from './folder-entry.js'

/** More than names take. */
const MOST_EXTENSION = 64 * 1024

/** Whether a file that begins like this was made of a folder; its first KiB is enough. */
export function isFolderTar(beginning: Uint8Array): boolean {
  const bytes = Buffer.from(beginning.buffer, beginning.byteOffset, beginning.length)
  if (bytes.length < 2 * BLOCK) return false
  const header = new Header(bytes, 0)
  const { size = 0 } = header
  if (!header.cksumValid || header.type !== 'ExtendedHeader' || BLOCK + size > bytes.length) return false
  return Pax.parse(bytes.toString('utf8', BLOCK, BLOCK + size)).comment === FOLDER_MARK
}

/** An entry, and its bytes, which are to be read before the next entry is asked for; a piece is good until the next. */
export interface ReadEntry extends FolderEntry {
  contents(): AsyncGenerator<Uint8Array, void, undefined>
}

/**
 * The entries of a tar that was made of a folder, in constant memory. Nothing of it is believed: it may hold files and
 * folders, in the form in which they are packed, and nothing else.
 *
 * @throws EmrError `folder_malformed`; errors of `source` come out unchanged
 */
export async function* readFolder(source: AsyncIterable<Uint8Array>): AsyncGenerator<ReadEntry, void, undefined> {
  const bytes = createReader(source)
  try {
    for (let count = 0; ; count++) {
      if (count > MOST_ENTRIES) throw malformed('It has too many entries.')
      const entry = await nextEntry(bytes)
      if (!entry) break
      let left = entry.size
      const contents = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        while (left > 0) {
          const piece = await bytes.some(left)
          left -= piece.length
          yield piece
        }
      }
      yield { ...entry, contents }
      if (left > 0) throw new Error('The entry was not read to its end.')
      if ((await bytes.exactly(paddingOf(entry.size))).some((byte) => byte !== 0))
        throw malformed('A gap is not empty.')
    }
    await bytes.restIsEmpty()
  } finally {
    await bytes.close()
  }
}

/** Undefined at the end. */
async function nextEntry(bytes: Reader): Promise<FolderEntry | undefined> {
  let header = new Header(await bytes.exactly(BLOCK), 0)
  let extension: Pax | undefined
  if (header.cksumValid && header.type === 'ExtendedHeader') {
    const { size = 0 } = header
    if (size > MOST_EXTENSION) throw malformed('A name is too long.')
    const text = Buffer.from(await bytes.exactly(size)).toString('utf8')
    await bytes.exactly(paddingOf(size))
    extension = Pax.parse(text)
    header = new Header(await bytes.exactly(BLOCK), 0)
  } else if (header.nullBlock) return undefined
  if (!header.cksumValid) throw malformed('A header does not fit its sum.')
  const isFolder = header.type === 'Directory'
  if (!isFolder && header.type !== 'File') throw malformed('Something in it is neither a file nor a folder.')
  const path = extension?.path ?? header.path ?? ''
  const size = extension?.size ?? header.size ?? 0
  const parts = (isFolder ? path.replace(/\/$/, '') : path).split('/')
  if (!parts.every(isPlainName)) throw malformed('A path leads out of it, or is none.')
  if (!Number.isSafeInteger(size) || size < 0) throw malformed('A size is none.')
  return { path: parts, kind: isFolder ? 'folder' : 'file', size: isFolder ? 0 : size }
}

type Reader = ReturnType<typeof createReader>

/** Bytes of a stream, as many as are asked for. */
function createReader(source: AsyncIterable<Uint8Array>) {
  const iterator = source[Symbol.asyncIterator]()
  let piece: Uint8Array = new Uint8Array(0)
  let hasEnded = false

  /** Up to `most` bytes, at least one. @throws EmrError `folder_malformed` at the end */
  async function some(most: number): Promise<Uint8Array> {
    while (piece.length === 0) {
      const next = await iterator.next()
      if (next.done) {
        hasEnded = true
        throw malformed('It ends too early.')
      }
      piece = next.value
    }
    const taken = piece.subarray(0, most)
    piece = piece.subarray(taken.length)
    return taken
  }

  return {
    some,

    async exactly(length: number): Promise<Buffer> {
      const all = Buffer.alloc(length)
      for (let filled = 0; filled < length; ) {
        const taken = await some(length - filled)
        all.set(taken, filled)
        filled += taken.length
      }
      return all
    },

    /** Reads to the end, which shows too that nothing is missing of what is encrypted. */
    async restIsEmpty(): Promise<void> {
      for (;;) {
        if (piece.some((byte) => byte !== 0)) throw malformed('Something is behind its end.')
        const next = await iterator.next()
        if (next.done) {
          hasEnded = true
          return
        }
        piece = next.value
      }
    },

    async close(): Promise<void> {
      if (!hasEnded) await iterator.return?.()
    },
  }
}

const malformed = (detail: string): EmrError => new EmrError('folder_malformed', detail)
