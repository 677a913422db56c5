/**
 * chain.car: an append-only CARv1 (ipld.io/specs/transport/car/carv1) whose only root is the block of
 * network parameters. It knows bytes, CIDs and offsets; what a block is, it does not know.
 */
import { readSync } from 'node:fs'
import { type FileHandle, open as openFile } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import type { Section } from '../protocol/block.js'
import { equalBytes } from '../protocol/canonical.js'
import { carSectionLength, decodeCar, encodeCar, encodeCarHeader, encodeCarSections } from '../protocol/car.js'
import { chainDamaged } from './chain-damaged.js'
import { type Scan, scanSections } from './chain-scan.js'
import { isDiskFull, toDiskError } from './disk-error.js'
import { writeFileDurably } from './durable-file.js'
import { equalCids, MAX_SECTION_LENGTH, type Place, parseSection, type StoredSection } from './section.js'

/** What is used of an open file; node:fs/promises gives it. */
export type ChainFileHandle = Pick<FileHandle, 'fd' | 'read' | 'write' | 'datasync' | 'truncate' | 'stat' | 'close'>

export interface ChainFileDependencies {
  open(path: string, flags: string): Promise<ChainFileHandle>
}

const nodeFiles: ChainFileDependencies = { open: openFile }

export interface ChainFile {
  /** Bytes in the file that a finished append has written. */
  readonly length: number
  /** Offset of the first section, behind the CAR header. */
  readonly start: number
  /**
   * Appends sections with one write and one fdatasync; they are durable when it resolves. Calls must
   * not overlap.
   * @returns where each section lies
   * @throws disk_full with the file as it was before; disk_failed, after which the file takes no more
   *   appends until it is opened again, because it is not known what reached the disk
   */
  append(sections: readonly Section[]): Promise<Place[]>
  /**
   * The bytes of the block at this place.
   * @throws chain_damaged if another section is there or it does not match its CID
   */
  read(cid: CID, offset: number, length: number): Promise<Uint8Array>
  /**
   * The sections that fill this range exactly, each checked against its CID when it is taken.
   * @throws chain_damaged, also while they are taken
   */
  readSections(offset: number, length: number): Promise<Iterable<StoredSection>>
  /** Raw, unchecked bytes of a range in chunks of at most 256 KiB, for peers, who check them. */
  readRange(offset: number, length: number): AsyncIterable<Uint8Array>
  /** Checks section after section from `from` to `to` (the end of the file if left out). */
  scan(from: number, to?: number): Scan
  /** Cuts the file to `length` bytes, durably. */
  truncate(length: number): Promise<void>
  close(): Promise<void>
}

const rootsOf = (header: Uint8Array): readonly CID[] => {
  try {
    return decodeCar(header).roots
  } catch {
    return []
  }
}

/** The sections that fill these bytes, which stand at `offset` in the file. */
function* sectionsIn(bytes: Uint8Array, offset: number): Generator<StoredSection, void, void> {
  for (let at = 0; at < bytes.length; ) {
    const parsed = parseSection(bytes, at)
    if (parsed.kind !== 'section') throw chainDamaged(offset + at)
    const { section, length } = parsed
    yield { cid: section.cid, bytes: section.bytes, offset: offset + at, length }
    at += length
  }
}

const RANGE_CHUNK = 256 * 1024

/**
 * A read of so many bytes is done on this thread: what is in the page cache is there in 3 µs, and a thread of the pool
 * takes 50 to say so. After so many without a turn of the event loop one goes by the pool, so that others get theirs.
 */
const SMALL_READ = 16 * 1024
const SMALL_READS_A_TURN = 32

/**
 * Makes a chain file with its first sections, the network parameters before all others. It is there
 * whole or not at all, also after a crash.
 */
export const createChainFile = async (path: string, sections: readonly [Section, ...Section[]]): Promise<void> => {
  try {
    await writeFileDurably(path, encodeCar([sections[0].cid], sections))
  } catch (error) {
    throw toDiskError(error, 'making the chain file')
  }
}

/**
 * Opens an existing chain file.
 * @throws chain_damaged if the CAR header is not readable; data_folder_other_network if its root is
 *   another than `root`
 */
export const openChainFile = async (
  path: string,
  { root }: { readonly root: CID },
  { open }: ChainFileDependencies = nodeFiles,
): Promise<ChainFile> => {
  const header = encodeCarHeader([root])
  let file: ChainFileHandle
  let length: number
  try {
    file = await open(path, 'r+')
    length = (await file.stat()).size
  } catch (error) {
    throw toDiskError(error, 'opening the chain file')
  }
  /** Set when a write or sync failed in a way that leaves open what is on the disk. */
  let failed = false

  let readsOfTurn = 0
  const isDoneHere = (wanted: number): boolean => {
    if (wanted > SMALL_READ || readsOfTurn >= SMALL_READS_A_TURN) return false
    if (readsOfTurn++ === 0) {
      setImmediate(() => {
        readsOfTurn = 0
      })
    }
    return true
  }
  const read = async (offset: number, wanted: number): Promise<Uint8Array> => {
    // No Buffer: to take a part of one takes three times as long, and a chain is many parts.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(wanted).buffer)
    const isHere = isDoneHere(wanted)
    for (let done = 0; done < wanted; ) {
      let count: number
      try {
        count = isHere
          ? readSync(file.fd, bytes, done, wanted - done, offset + done)
          : (await file.read(bytes, done, wanted - done, offset + done)).bytesRead
      } catch (error) {
        throw toDiskError(error, 'reading the chain file')
      }
      if (count === 0) throw chainDamaged(offset)
      done += count
    }
    return bytes
  }

  const cut = async (to: number): Promise<void> => {
    failpoint('chain-file.cut.begin')
    await file.truncate(to)
    failpoint('chain-file.cut.truncated')
    await file.datasync()
    failpoint('chain-file.cut.synced')
    length = to
  }

  const checkHeader = async (): Promise<void> => {
    const found = await read(0, Math.min(header.length, length))
    if (equalBytes(found, header)) return
    // Another network's file begins with the block that its header names as the root; a damaged one does not.
    const first = parseSection(await read(found.length, Math.min(MAX_SECTION_LENGTH, length - found.length)), 0)
    const roots = rootsOf(found)
    if (first.kind !== 'section' || roots.length !== 1 || !roots[0]?.equals(first.section.cid)) throw chainDamaged(0)
    throw new EmrError('data_folder_other_network', undefined, {
      found: first.section.cid.toString(),
      expected: root.toString(),
    })
  }

  const writeAll = async (bytes: Uint8Array, at: number): Promise<void> => {
    failpoint('chain-file.append.begin')
    for (let done = 0; done < bytes.length; ) {
      done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
    }
    failpoint('chain-file.append.written')
    await file.datasync()
    failpoint('chain-file.append.synced')
  }

  try {
    await checkHeader()
  } catch (error) {
    await file.close()
    throw error
  }

  return {
    get length() {
      return length
    },
    start: header.length,

    async append(sections) {
      if (failed) throw new EmrError('disk_failed', 'An earlier write failed; open the data folder again.')
      const places: Place[] = []
      let offset = length
      for (const section of sections) {
        const place = { offset, length: carSectionLength(section) }
        if (place.length > MAX_SECTION_LENGTH)
          throw new EmrError('internal', 'A section is too long for the chain file.')
        places.push(place)
        offset += place.length
      }
      try {
        await writeAll(encodeCarSections(sections, offset - length), length)
      } catch (error) {
        failed = true
        // Best effort: what stays behind the former length is cut when the folder is opened again.
        await cut(length).then(
          () => {
            // A refused write changed nothing; after any other failure only a fresh look at the disk helps.
            failed = !isDiskFull(error)
          },
          () => undefined,
        )
        throw failed && isDiskFull(error)
          ? new EmrError('disk_failed', 'The disk is full and the file could not be cut back.', {}, { cause: error })
          : toDiskError(error, 'writing the chain file')
      }
      length = offset
      return places
    },

    async read(cid, offset, wanted) {
      if (offset < 0 || offset + wanted > length) throw chainDamaged(offset)
      const parsed = parseSection(await read(offset, wanted), 0)
      if (parsed.kind !== 'section' || parsed.length !== wanted || !equalCids(parsed.section.cid, cid))
        throw chainDamaged(offset)
      return parsed.section.bytes
    },

    async readSections(offset, wanted) {
      if (offset < 0 || offset + wanted > length) throw chainDamaged(offset)
      return sectionsIn(await read(offset, wanted), offset)
    },

    async *readRange(offset, wanted) {
      for (let done = 0; done < wanted; done += RANGE_CHUNK)
        yield await read(offset + done, Math.min(RANGE_CHUNK, wanted - done))
    },

    scan: (from, to = length) => scanSections(read, from, Math.min(to, length)),

    async truncate(to) {
      try {
        await cut(to)
      } catch (error) {
        throw toDiskError(error, 'cutting the chain file')
      }
    },

    async close() {
      await file.close()
    },
  }
}
