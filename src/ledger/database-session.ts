/**
 * How an LMDB folder was left, in a small text file beside its pages. LMDB has no checksums of its
 * own and ends the process on pages that make no sense, so its file is judged before it is opened.
 *
 * - `clean <digest>`: closed in order; the digest is that of the pages file, which is read whole for it at each start and end.
 *   `crc32-<hex>` is CRC-32 of each MiB and SHA-256 over these: five times as fast as SHA-256 over all, and what it
 *   is to find are faults of the disk. Before, it was that SHA-256, which is still read.
 * - `open <boot> <file>`: in use, or its process ended without closing. `boot` is the id of the
 *   operating system's run and `file` the device and inode of the pages file: while both are the
 *   same, what was written but not synced is still there, because the page cache holds it.
 * - `damaged`: a value did not match its check.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, readFile, stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import { isThere } from './data-folder.js'
import { syncFile, writeFileDurably } from './durable-file.js'
import { databasePaths } from './layout.js'

/**
 * - `missing`: there is no such folder;
 * - `intact`: closed in order and unchanged since;
 * - `same-boot`: not closed in order, but nothing unsynced can be lost;
 * - `unknown`: not closed in order, and unsynced writes may be lost;
 * - `damaged`: changed behind our back, or in parts.
 */
export type DatabaseCondition = 'missing' | 'intact' | 'same-boot' | 'unknown' | 'damaged'

const PIECE = 1024 * 1024
const CRC32 = 'crc32-'

const bootId = async (): Promise<string> => {
  if (process.platform !== 'linux') return 'none'
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  } catch {
    return 'none'
  }
}

const sha256OfFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: PIECE }), hash)
  return hash.digest('hex')
}

/** Reads until the piece is full or the file ends. */
const readPiece = async (file: FileHandle, piece: Buffer, position: number): Promise<Buffer> => {
  let done = 0
  for (let count = 1; count > 0 && done < piece.length; done += count) {
    count = (await file.read(piece, done, piece.length - done, position + done)).bytesRead
  }
  return piece.subarray(0, done)
}

const crc32OfFile = async (path: string): Promise<string> => {
  const file = await open(path)
  try {
    const hash = createHash('sha256')
    const sum = Buffer.alloc(4)
    // While one piece is summed the next is read.
    let [current, other] = [Buffer.allocUnsafeSlow(PIECE), Buffer.allocUnsafeSlow(PIECE)]
    let position = 0
    for (let piece = await readPiece(file, current, position); piece.length > 0; ) {
      position += piece.length
      const reading = readPiece(file, other, position)
      sum.writeUInt32BE(crc32(piece))
      hash.update(sum)
      piece = await reading
      ;[current, other] = [other, current]
    }
    return `${CRC32}${hash.digest('hex')}`
  } finally {
    await file.close()
  }
}

const openText = async (pages: string): Promise<string> => {
  const { dev, ino } = await stat(pages, { bigint: true })
  return `open ${await bootId()} ${dev}:${ino}`
}

/** Judges a database folder without opening the database. */
export const inspectDatabase = async (folder: string): Promise<DatabaseCondition> => {
  const paths = databasePaths(folder)
  if (!(await isThere(folder))) return 'missing'
  if (!(await isThere(paths.session)) || !(await isThere(paths.pages))) return 'damaged'
  const session = (await readFile(paths.session, 'utf8')).trim()
  if (session.startsWith('clean ')) {
    const digestOf = session.startsWith(`clean ${CRC32}`) ? crc32OfFile : sha256OfFile
    return session === `clean ${await digestOf(paths.pages)}` ? 'intact' : 'damaged'
  }
  if (!session.startsWith('open ')) return 'damaged'
  return session === (await openText(paths.pages)) && !session.startsWith('open none') ? 'same-boot' : 'unknown'
}

/** To be called before the first write of a process. */
export const markOpen = async (folder: string): Promise<void> => {
  const paths = databasePaths(folder)
  await writeFileDurably(paths.session, `${await openText(paths.pages)}\n`)
}

/** To be called when the database is closed: makes its pages durable and notes their digest. */
export const markClean = async (folder: string): Promise<void> => {
  const paths = databasePaths(folder)
  await syncFile(paths.pages)
  await writeFileDurably(paths.session, `clean ${await crc32OfFile(paths.pages)}\n`)
}

/** Makes the next opening refuse the database, whatever its pages look like. */
export const markDamaged = (folder: string): Promise<void> =>
  writeFileDurably(databasePaths(folder).session, 'damaged\n')
