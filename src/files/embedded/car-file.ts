import { type FileHandle, open } from 'node:fs/promises'
import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { EmrError } from '../../errors.js'
import { encodeCarHeader } from '../../protocol/car.js'
import type { BlockBuffers } from '../block-buffers.js'
import { blockKey, MAX_BLOCK_BYTES, matchesCid } from '../file-block.js'

/** An open CAR of the store, read by block. */
export interface CarFile {
  /**
   * The block, checked, in memory of `buffers` or its own.
   *
   * @throws EmrError `file_damaged` if it is not as its CID says, or not in this CAR
   */
  get(cid: CID, buffers?: BlockBuffers): Promise<Uint8Array>
  has(cid: CID): boolean
  close(): Promise<void>
}

interface Place {
  readonly offset: number
  readonly length: number
}

/** Enough for the length and the CID of some sections of small blocks; large blocks are jumped over. */
const WINDOW_BYTES = 4096

/** The length (4 bytes at most for a block in bounds) and the longest CID of a section. */
const LONGEST_HEAD = 4 + 36

/**
 * Opens the CAR of `root` and learns where each block lies by jumping from section to section; blocks are not read.
 *
 * @throws EmrError `file_damaged`; errors of the file system
 */
export async function openCarFile(path: string, root: CID): Promise<CarFile> {
  const file = await open(path, 'r')
  try {
    const places = await findBlocks(file, root)
    return {
      has: (cid) => places.has(blockKey(cid)),
      close: () => file.close(),
      async get(cid, buffers) {
        const place = places.get(blockKey(cid))
        if (!place) throw damaged('It lacks a block.')
        const bytes = buffers?.take(place.length) ?? Buffer.allocUnsafeSlow(place.length)
        await fill(bytes, file, place.offset)
        if (!(await matchesCid(cid, bytes))) throw damaged('A block is not as its CID says.')
        return bytes
      },
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function findBlocks(file: FileHandle, root: CID): Promise<Map<string, Place>> {
  const { size } = await file.stat()
  const header = encodeCarHeader([root])
  if (header.length > size || Buffer.compare(header, await readExactly(file, 0, header.length)) !== 0) {
    throw damaged('Its header is not that of its name.')
  }
  const places = new Map<string, Place>()
  let window = new Uint8Array(0)
  let windowAt = 0
  for (let at = header.length; at < size; ) {
    const isWhole = at >= windowAt && at + LONGEST_HEAD <= windowAt + window.length
    if (!isWhole && windowAt + window.length < size) {
      window = await readExactly(file, at, Math.min(WINDOW_BYTES, size - at))
      windowAt = at
    }
    const { cid, offset, end } = readHead(window.subarray(at - windowAt), at)
    const length = end - offset
    if (length < 0 || length > MAX_BLOCK_BYTES || end > size) throw damaged('A section is out of bounds.')
    places.set(blockKey(cid), { offset, length })
    at = end
  }
  return places
}

function readHead(bytes: Uint8Array, at: number): { cid: CID; offset: number; end: number } {
  try {
    const [length, width] = varint.decode(bytes)
    const { size } = CID.inspectBytes(bytes.subarray(width, LONGEST_HEAD))
    const cid = CID.decode(bytes.subarray(width, width + size))
    return { cid, offset: at + width + size, end: at + width + length }
  } catch (cause) {
    throw new EmrError('file_damaged', 'A section has no readable head.', {}, { cause })
  }
}

const readExactly = (file: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> =>
  fill(Buffer.allocUnsafeSlow(length), file, position)

/** Reads as many bytes as fit. */
async function fill<T extends Uint8Array>(bytes: T, file: FileHandle, position: number): Promise<T> {
  for (let filled = 0; filled < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, position + filled)
    if (bytesRead === 0) throw damaged('It ends too early.')
    filled += bytesRead
  }
  return bytes
}

const damaged = (detail: string): EmrError => new EmrError('file_damaged', detail)
