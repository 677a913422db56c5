import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { encodeCarHeader } from '../../protocol/car.js'
import { blockKey } from '../file-block.js'
import { carSectionHead } from '../walk-file.js'

/**
 * Writes one CARv1 that is there whole or not at all. The root of a file is known only when all its blocks were
 * written, but the header that names it comes first: the file starts with the header of a root of the same length, and
 * `commit` writes the true one over it, then fdatasync, rename, fsync of the folder. The blocks lie in the order in
 * which they came.
 */
export interface CarWriter {
  /** Takes a block; repeated ones are kept once. Waits when the disk is behind. */
  put(cid: CID, bytes: Uint8Array): Promise<void>
  /** Makes the file durable under this name. */
  commit(root: CID, name: string): Promise<void>
  /** Removes what was written; after `commit` it does nothing. */
  discard(): Promise<void>
}

/** Unfinished files end like this; they are removed when the store opens. */
export const UNFINISHED = '.unfinished'

/** Blocks are gathered to this many bytes, or sections, before one write. */
const BATCH_BYTES = 2 * 1024 * 1024
const BATCH_SECTIONS = 256

/** @param placeholder a CID as long as the root will be */
export async function createCarWriter(folder: string, placeholder: CID): Promise<CarWriter> {
  const path = join(folder, `${randomBytes(16).toString('hex')}${UNFINISHED}`)
  const file = await open(path, 'wx', 0o600)
  const header = encodeCarHeader([placeholder])
  const seen = new Set<string>()
  let batch: Uint8Array[] = [header]
  let batched = header.length
  let position = 0
  let writing = Promise.resolve()
  let ended = false

  /** Hands the batch to the disk once the one before it is written. */
  async function flush(): Promise<void> {
    const parts = batch
    const at = position
    const before = writing
    batch = []
    position += batched
    batched = 0
    writing = before.then(() => writeAll(file, parts, at))
    // `commit`, or the next flush, meets the error; until then it must not count as unhandled.
    writing.catch(() => undefined)
    await before
  }

  return {
    async put(cid, bytes) {
      const key = blockKey(cid)
      if (ended || seen.has(key)) return
      seen.add(key)
      const head = carSectionHead(cid, bytes.length)
      batch.push(head, bytes)
      batched += head.length + bytes.length
      if (batched >= BATCH_BYTES || batch.length >= 2 * BATCH_SECTIONS) await flush()
    },

    async commit(root, name) {
      const named = encodeCarHeader([root])
      if (named.length !== header.length) throw new Error('The root is not as long as its placeholder.')
      await flush()
      await writing
      await writeAll(file, [named], 0)
      await file.datasync()
      await file.close()
      ended = true
      await rename(path, join(folder, name))
      await syncFolder(folder)
    },

    async discard() {
      if (ended) return
      ended = true
      await writing.catch(() => undefined)
      await file.close()
      await rm(path, { force: true })
    },
  }
}

async function writeAll(file: FileHandle, parts: readonly Uint8Array[], position: number): Promise<void> {
  let rest = [...parts]
  let at = position
  while (rest.length > 0) {
    // A write may take less than it was given, at the end of a quota for one; the next one then says why.
    let { bytesWritten } = await file.writev(rest, at)
    at += bytesWritten
    while (rest[0] && bytesWritten >= rest[0].length) bytesWritten -= rest.shift()?.length ?? 0
    if (rest[0] && bytesWritten > 0) rest = [rest[0].subarray(bytesWritten), ...rest.slice(1)]
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
