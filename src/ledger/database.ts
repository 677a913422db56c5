/**
 * LMDB with byte keys and byte values. Every value carries a check of itself and its key, because
 * LMDB notices no flipped bit: what it returns was put under this key.
 */
import { spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { constants } from 'node:os'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { sealValue, unsealValue } from './checked-value.js'
import { createCommitThread } from './commit-thread.js'
import { inspectDatabase, markClean, markDamaged, markOpen } from './database-session.js'
import { isDiskFull, toDiskError } from './disk-error.js'
import { syncFolder } from './durable-file.js'
import { databasePaths, ownerKey } from './layout.js'
import type { PageWrite } from './page-writes.js'
import { openPages, type Pages, putAll } from './pages.js'

export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface RowRange {
  readonly start: Uint8Array
  /** First key that is not of the range. */
  readonly end: Uint8Array
  readonly limit?: number
}

/** Writes of one transaction. */
export interface Writes {
  put(key: Uint8Array, value: Uint8Array): void
  remove(key: Uint8Array): void
}

export interface Database {
  /** @throws index_damaged */
  get(key: Uint8Array): Uint8Array | undefined
  /** Rows in key order. @throws index_damaged */
  rows(range: RowRange): Row[]
  /**
   * Writes in one transaction, off this thread, together with others that are asked for at the same
   * time. Resolves when it is on disk (durable database) or visible.
   * @throws disk_full, disk_failed; nothing of it is written then
   */
  write(fill: (writes: Writes) => void): Promise<void>
  /** Writes in one transaction on this thread, visible when it returns. @throws as `write` */
  writeNow(fill: (writes: Writes) => void): void
  /** Notes that the database contradicts itself: the next opening refuses it. */
  condemn(): EmrError
  close(): Promise<void>
}

export interface DatabaseOptions {
  readonly folder: string
  /** Whether a write waits for the disk. A database that can be rebuilt need not. */
  readonly durable: boolean
  /** Id of the data folder that the database belongs to. */
  readonly owner: string
  /** Version of what its rows mean; left out where FORMAT_VERSION says it. */
  readonly version?: number
  /** Bytes of the check of a row that has a key alone: 8 where it is left out. */
  readonly emptyCheckLength?: number
}

const damagedDatabase = (folder: string, detail: string): EmrError =>
  new EmrError('index_damaged', detail, { database: basename(folder) })

/** Lets another process read the database, since LMDB ends the one that meets impossible pages. */
export const isReadable = (folder: string, depth: 'walk' | 'values'): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const script = fileURLToPath(new URL('./check-database.js', import.meta.url))
    const child = spawn(process.execPath, [script, folder, depth], { stdio: 'ignore', env: {} })
    child.once('error', (error) => reject(toDiskError(error, 'starting the check of a database')))
    child.once('exit', (code) => resolve(code === 0))
  })

/** Makes an empty database; its folder is there whole or not at all, also after a crash. */
export const createDatabase = async ({ folder, owner, version }: DatabaseOptions): Promise<void> => {
  const { fresh } = databasePaths(folder)
  const key = ownerKey(version)
  try {
    failpoint('database.create.begin')
    await rm(fresh, { recursive: true, force: true })
    const pages = openPages(fresh, { durable: true })
    pages.transactionSync(() => putAll(pages, [[key, sealValue(key, Buffer.from(owner))]]))
    await pages.close()
    failpoint('database.create.filled')
    await markClean(fresh)
    failpoint('database.create.clean')
    await rename(fresh, folder)
    failpoint('database.create.renamed')
    await syncFolder(dirname(folder))
  } catch (error) {
    throw toDiskError(error, 'making a database')
  }
}

/**
 * Opens an existing database after judging its file.
 * @throws index_damaged if it is damaged, of another data folder or version, or (not durable) may have lost writes
 */
export const openDatabase = async (options: DatabaseOptions): Promise<Database> => {
  const { folder, durable, owner, version } = options
  const condition = await inspectDatabase(folder).catch((error: unknown) => {
    throw toDiskError(error, 'reading a database')
  })
  if (condition === 'missing' || condition === 'damaged') throw damagedDatabase(folder, `Its folder is ${condition}.`)
  if (condition === 'unknown' && !durable) throw damagedDatabase(folder, 'Its last writes may be lost.')
  if (condition !== 'intact' && !(await isReadable(folder, durable ? 'values' : 'walk')))
    throw damagedDatabase(folder, 'It cannot be read.')

  let pages: Pages
  try {
    await markOpen(folder)
    failpoint('database.open.marked')
    pages = openPages(folder, { durable })
  } catch (error) {
    throw toDiskError(error, 'opening a database')
  }
  const database = checkedDatabase(pages, options)
  const found = database.get(ownerKey(version))
  if (!found || Buffer.from(found).toString() !== owner) {
    await pages.close()
    throw damagedDatabase(folder, 'It belongs to another data folder, or another version of this program made it.')
  }
  return database
}

const PROBE = new Uint8Array(1024 * 1024)

/** Whether the disk refuses a file of 1 MiB for lack of room. */
const isRoomGone = (folder: string): boolean => {
  const path = databasePaths(folder).probe
  try {
    writeFileSync(path, PROBE)
    return false
  } catch (error) {
    return isDiskFull(error)
  } finally {
    rmSync(path, { force: true })
  }
}

/**
 * What a failed commit means. LMDB reports a write that the disk took in part as an input/output error
 * (mdb.c: "short write, filesystem full?"), so the disk itself is asked then.
 */
const commitError = (error: unknown, folder: string): EmrError => {
  const named = toDiskError(error, 'writing a database')
  const isUnclear = named.code === 'disk_failed' && named.facts.cause === String(constants.errno.EIO)
  return isUnclear && isRoomGone(folder) ? new EmrError('disk_full', undefined, {}, { cause: error }) : named
}

const collect = (fill: (writes: Writes) => void, emptyCheckLength: number | undefined): PageWrite[] => {
  const collected: PageWrite[] = []
  fill({
    put: (key, value) => void collected.push([key, sealValue(key, value, emptyCheckLength)]),
    remove: (key) => void collected.push([key, null]),
  })
  return collected
}

const checkedDatabase = (pages: Pages, { folder, durable, emptyCheckLength }: DatabaseOptions): Database => {
  const thread = createCommitThread(folder, durable)
  let condemned = false

  const condemn = (): EmrError => {
    condemned = true
    return damagedDatabase(folder, 'It is rebuilt or refused at the next start.')
  }
  const unseal = (key: Uint8Array, sealed: Uint8Array): Uint8Array => {
    const value = unsealValue(key, sealed, emptyCheckLength)
    if (!value) throw condemn()
    return value
  }
  const reading = <T>(read: () => T): T => {
    try {
      return read()
    } catch (error) {
      const named = toDiskError(error, 'reading a database')
      if (named.code === 'index_damaged') condemned = true
      throw named
    }
  }
  return {
    condemn,

    get: (key) =>
      reading(() => {
        const sealed = pages.get(key)
        return sealed && unseal(key, sealed)
      }),

    rows: ({ start, end, limit }) =>
      reading(() => {
        const found: Row[] = []
        for (const { key, value } of pages.getRange({ start, end, ...(limit === undefined ? {} : { limit }) })) {
          const bytes = Uint8Array.from(key as Uint8Array)
          found.push({ key: bytes, value: unseal(bytes, value) })
        }
        return found
      }),

    async write(fill) {
      const writes = collect(fill, emptyCheckLength)
      try {
        await thread.commit(writes)
      } catch (error) {
        throw commitError(error, folder)
      } finally {
        // The next read sees what the thread committed.
        pages.resetReadTxn()
      }
    },

    writeNow(fill) {
      const writes = collect(fill, emptyCheckLength)
      try {
        pages.transactionSync(() => putAll(pages, writes))
      } catch (error) {
        throw commitError(error, folder)
      }
    },

    async close() {
      try {
        failpoint('database.close.begin')
        await thread.close()
        await pages.close()
        failpoint('database.close.closed')
        await (condemned ? markDamaged(folder) : markClean(folder))
        failpoint('database.close.marked')
      } catch (error) {
        throw toDiskError(error, 'closing a database')
      }
    },
  }
}

/** Removes a database that can be rebuilt. */
export const removeDatabase = async (folder: string): Promise<void> => {
  try {
    await rm(folder, { recursive: true, force: true })
  } catch (error) {
    throw toDiskError(error, 'removing a database')
  }
}
