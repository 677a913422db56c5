import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { failpoint } from '../../failpoint.js'
import { encodeCarHeader } from '../../protocol/car.js'
import { blockKey, MAX_BLOCK_BYTES } from '../file-block.js'
import { carSectionHead } from '../walk-file.js'

/**
 * Writes one CARv1 that is there whole or not at all. The root of a file is known only when all its blocks were
 * written, but the header that names it comes first: the file starts with the header of a root of the same length, and
 * `commit` writes the true one over it, then fdatasync, rename, fsync of the folder. The blocks lie in the order in
 * which they came.
 */
export interface CarWriter {
  /**
   * Takes a block; repeated ones are kept once. Waits when the disk is behind. Once the promise has resolved, the
   * bytes may be written over.
   */
  put(cid: CID, bytes: Uint8Array): Promise<void>
  /** Makes the file durable under this name. */
  commit(root: CID, name: string): Promise<void>
  /** Removes what was written; after `commit` it does nothing. */
  discard(): Promise<void>
}

/** Unfinished files end like this; they are removed when the store opens. */
export const UNFINISHED = '.unfinished'

/** Blocks are gathered to this many bytes before one write; any block fits. */
const BATCH_BYTES = MAX_BLOCK_BYTES + 1024
/** The first batch: most files are small. */
const FIRST_BATCH_BYTES = 300 * 1024

/** @param standIn a CID as long as the root will be */
export async function createCarWriter(folder: string, standIn: CID): Promise<CarWriter> {
  const path = join(folder, `${randomBytes(16).toString('hex')}${UNFINISHED}`)
  const file = await open(path, 'wx', 0o600)
  failpoint('car.begin')
  const header = encodeCarHeader([standIn])
  const seen = new Set<string>()
  /** Two batches take turns: one is filled while the other is written. */
  let batch: Uint8Array = Buffer.allocUnsafeSlow(FIRST_BATCH_BYTES)
  let spare: Uint8Array | undefined
  batch.set(header)
  let batched = header.length
  let position = 0
  let putting = Promise.resolve()
  let writing = Promise.resolve()
  let ended = false

  /** Hands the batch to the disk once the one before it is written. */
  async function flush(): Promise<void> {
    await writing
    const full = batch
    writing = writeAll(file, full.subarray(0, batched), position)
    // `commit`, or the next flush, meets the error; until then it must not count as unhandled.
    writing.catch(() => undefined)
    position += batched
    batched = 0
    batch = spare ?? Buffer.allocUnsafeSlow(BATCH_BYTES)
    spare = full.length === BATCH_BYTES ? full : undefined
  }

  async function append(cid: CID, bytes: Uint8Array): Promise<void> {
    const key = blockKey(cid)
    if (ended || seen.has(key)) return
    seen.add(key)
    const head = carSectionHead(cid, bytes.length)
    if (batched + head.length + bytes.length > batch.length) await flush()
    batch.set(head, batched)
    batch.set(bytes, batched + head.length)
    batched += head.length + bytes.length
  }

  return {
    put(cid, bytes) {
      putting = putting.then(() => append(cid, bytes))
      return putting
    },

    async commit(root, name) {
      const named = encodeCarHeader([root])
      if (named.length !== header.length) throw new Error('The root is not as long as its stand-in.')
      await putting
      await flush()
      await writing
      failpoint('car.written')
      await writeAll(file, named, 0)
      failpoint('car.named')
      await file.datasync()
      failpoint('car.synced')
      await file.close()
      ended = true
      await rename(path, join(folder, name))
      failpoint('car.renamed')
      await syncFolder(folder)
      failpoint('car.done')
    },

    async discard() {
      if (ended) return
      ended = true
      await putting.catch(() => undefined)
      await writing.catch(() => undefined)
      await file.close()
      await rm(path, { force: true })
    },
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    // A write may take less than it was given, at the end of a quota for one; the next one then says why.
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
