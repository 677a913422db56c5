import { chmod, link, mkdir, readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { EmrError, isEmrError } from '../../errors.js'
import { throwIfAborted } from '../abortable.js'
import { createBlockBuffers } from '../block-buffers.js'
import { blockKey, normalCid } from '../file-block.js'
import { describeFile } from '../file-node.js'
import type { FileStore, ReadCall, StoredFile } from '../file-store.js'
import { importFile } from '../import-file.js'
import { createOperations } from '../operations.js'
import { verifyCar } from '../verify-car.js'
import { exportFile, type GetBlock, readFile, type WalkOptions } from '../walk-file.js'
import { openCarFile } from './car-file.js'
import { type CarWriter, createCarWriter, syncFolder, UNFINISHED } from './car-writer.js'
import { diskError, errnoOf } from './disk-error.js'
import { createOpenCars, type Lease } from './open-cars.js'

export interface EmbeddedFileStoreOptions {
  /** Where the CARs lie; made, with mode 0700, if it is not there. */
  readonly folder: string
  /** Below this much free space the health is `degraded`. */
  readonly lowSpaceBytes?: number
}

const IDLE_CARS = 16
const LOW_SPACE_BYTES = 512 * 1024 * 1024

/** What a damaged CAR is called beside the whole one that took its place. */
const ASIDE = '.damaged'

/** As long as the root of every file that `add` makes: a CIDv0. */
const ANY_CIDV0 = CID.createV0(Digest.create(0x12, new Uint8Array(32)))

/**
 * The store that needs no other program: `<folder>/<cid>.car`, one CARv1 for each file, mode 0600. Blocks lie in the
 * order in which they came, `ipfs dag import` takes them in any. A CAR appears whole, by rename, after it was synced;
 * storing a file again puts a fresh CAR in its place, which also mends a damaged one. One process may use a folder.
 *
 * @throws EmrError `disk_full`, `disk_failed`
 */
export async function createEmbeddedFileStore({
  folder,
  lowSpaceBytes = LOW_SPACE_BYTES,
}: EmbeddedFileStoreOptions): Promise<FileStore> {
  await onDisk(() => openFolder(folder))
  const cars = createOpenCars(IDLE_CARS)
  const operations = createOperations()
  /** Files in which a read met damage; they count as not held until they are stored again. */
  const damaged = new Set<string>()
  const nameOf = (root: CID) => `${root}.car`
  const pathOf = (root: CID) => join(folder, nameOf(root))
  const asideOf = (root: CID) => join(folder, `${nameOf(root)}${ASIDE}`)

  async function lease(root: CID): Promise<Lease> {
    try {
      return await cars.lease(nameOf(root), () => openCarFile(pathOf(root), root))
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') throw unavailable(root)
      throw error
    }
  }

  /** The error of a read; damage is remembered. */
  function readError(error: unknown, root: CID, held: Lease | undefined): unknown {
    if (isEmrError(error, 'file_damaged') && held?.isCurrent() !== false) damaged.add(blockKey(root))
    return diskError(error)
  }

  /** Reads a file with its CAR held open. */
  async function* reading(
    root: CID,
    { signal, buffers }: ReadCall & { readonly signal: AbortSignal },
    read: (getBlock: GetBlock, options: WalkOptions) => AsyncIterable<Uint8Array>,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let held: Lease | undefined
    try {
      held = await lease(root)
      const { car } = held
      yield* read((cid) => car.get(cid, buffers), { signal })
    } catch (error) {
      throw readError(error, root, held)
    } finally {
      await held?.release()
    }
  }

  async function readBlock(root: CID, cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal)
    let held: Lease | undefined
    try {
      held = await lease(root)
      if (cid !== root && !held.car.has(cid)) throw unavailable(cid)
      return await held.car.get(cid)
    } catch (error) {
      throw readError(error, root, held)
    } finally {
      await held?.release()
    }
  }

  /** Writes a CAR, whole or not at all. */
  async function writing(
    standIn: CID,
    signal: AbortSignal,
    write: (writer: CarWriter) => Promise<StoredFile>,
  ): Promise<StoredFile> {
    throwIfAborted(signal)
    let writer: CarWriter | undefined
    try {
      writer = await createCarWriter(folder, standIn)
      const file = await write(writer)
      throwIfAborted(signal)
      await writer.commit(file.cid, nameOf(file.cid))
      await cars.drop(nameOf(file.cid))
      damaged.delete(blockKey(file.cid))
      return file
    } catch (error) {
      throw diskError(error)
    } finally {
      await writer?.discard()
    }
  }

  return {
    kind: 'embedded',

    add: (source, { signal: caller } = {}) =>
      operations.run(caller, (signal) =>
        writing(ANY_CIDV0, signal, (writer) => importFile(source, writer.put, signal)),
      ),

    async importCar(cid, source, { signal: caller, maxBytes } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, (signal) =>
        writing(root, signal, async (writer) => {
          let file: StoredFile | undefined
          const buffers = createBlockBuffers()
          for await (const block of verifyCar(root, source, { signal, maxBytes, buffers })) {
            file ??= describeFile(root, block.bytes)
            await writer.put(block.cid, block.bytes)
            buffers.giveBack(block.bytes)
          }
          if (!file) throw new EmrError('car_incomplete')
          return file
        }),
      )
    },

    async has(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, async () => !damaged.has(blockKey(root)) && (await isFile(pathOf(root))))
    },

    async stat(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, async (signal) => describeFile(root, await readBlock(root, root, signal)))
    },

    async *read(cid, { signal: caller, buffers, range } = {}) {
      const root = normalCid(cid)
      yield* operations.stream(caller, (signal) =>
        reading(root, { signal, buffers }, (getBlock, options) => readFile(root, getBlock, { ...options, range })),
      )
    },

    async *exportCar(cid, { signal: caller, buffers } = {}, shape = {}) {
      const root = normalCid(cid)
      yield* operations.stream(caller, (signal) =>
        reading(root, { signal, buffers }, (getBlock, options) => exportFile(cid, getBlock, options, shape)),
      )
    },

    async getBlock(cid, { within = cid, signal: caller } = {}) {
      const root = normalCid(within)
      const block = within === cid ? root : normalCid(cid)
      return operations.run(caller, (signal) => readBlock(root, block, signal))
    },

    list: ({ signal: caller } = {}) =>
      operations.run(caller, async () => {
        const names = await onDisk(() => readdir(folder))
        return names.flatMap((name) => rootOf(name) ?? [])
      }),

    async setAside(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, async () => {
        if (!(await isFile(pathOf(root)))) return undefined
        // A second name, which costs no room: the file keeps its own until a whole one takes it.
        await onDisk(async () => {
          await rm(asideOf(root), { force: true })
          await link(pathOf(root), asideOf(root))
          await syncFolder(folder)
        })
        return asideOf(root)
      })
    },

    // There is nothing to collect: `remove` deletes.
    async *collect({ signal: caller } = {}) {
      await operations.run(caller, async () => undefined)
    },

    async remove(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      await operations.run(caller, async () => {
        await onDisk(async () => {
          for (const path of [pathOf(root), asideOf(root)]) await rm(path, { force: true })
          await syncFolder(folder)
        })
        await cars.drop(nameOf(root))
        damaged.delete(blockKey(root))
      })
    },

    health: () =>
      operations.run(undefined, async () => {
        if (damaged.size > 0) return { state: 'degraded', detail: `Damaged files: ${damaged.size}.` }
        const { bavail, bsize } = await onDisk(() => statfs(folder))
        if (bavail * bsize < lowSpaceBytes) return { state: 'degraded', detail: 'The disk is nearly full.' }
        return { state: 'ok' }
      }),

    async close() {
      await operations.close()
      await cars.close()
    },
  }
}

const unavailable = (cid: CID): EmrError => new EmrError('file_unavailable', undefined, { cid: cid.toString() })

/** The file whose CAR has this name; undefined for anything else that lies in the folder. */
function rootOf(name: string): CID | undefined {
  if (!name.endsWith('.car')) return undefined
  try {
    const root = normalCid(CID.parse(name.slice(0, -'.car'.length)))
    return `${root}.car` === name ? root : undefined
  } catch {
    return undefined
  }
}

async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
  const names = await readdir(folder)
  const unfinished = names.filter((name) => name.endsWith(UNFINISHED))
  await Promise.all(unfinished.map((name) => rm(join(folder, name))))
  await syncFolder(folder)
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw diskError(error)
  }
}

async function onDisk<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw diskError(error)
  }
}
