import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import { type BlockBuffers, createBlockBuffers } from '../files/block-buffers.js'
import { matchesCid, normalCid } from '../files/file-block.js'
import { describeFile } from '../files/file-node.js'
import type { CarShape, FileStore } from '../files/file-store.js'
import type { JsonTable } from '../ledger/json-table.js'
import type { Network } from '../network/network.js'
import { begun } from './begun.js'
import { download, safeBaseName } from './download.js'
import type { FileBytes, NamedFile, OpenFile } from './emr-node.js'
import type { FilePins } from './file-pins.js'
import { openUnderRoot } from './file-root.js'

export interface FileServiceOptions {
  readonly fileRoot: string
  /** The data folder: its key and state are never read as files, although it may lie in the file root. */
  readonly dataFolder: string
  readonly downloads: string
  /** Largest file that is taken from a peer, in bytes. */
  readonly maxFileBytes: number
}

export interface FileServiceDependencies {
  readonly store: FileStore
  readonly network: Pick<Network, 'fetchFile' | 'fetchBlock' | 'hasReachedDaemons'>
  /** Answers of create_hash: what a file is called, by its CID. */
  readonly knownFiles: JsonTable
  readonly pins: FilePins
  /** @throws EmrError `record_erased` where this node neither gives a file out nor fetches it */
  assertNotErased(cid: CID): Promise<void>
  /** What the chain calls a file. */
  nameOnChain(cid: CID): Promise<string | undefined>
}

/** Files of this node and, where it lacks one, of its peers. */
export interface FileService {
  createHash(file: { path: string } | { name: string; source: Readable }, signal: AbortSignal): Promise<NamedFile>
  /** Name and size for a record of this file: as create_hash answered, else from the file's own root block. */
  describe(cid: CID, signal: AbortSignal): Promise<{ name: string | undefined; size: number }>
  /** Takes the file from a peer into the store, whatever is there. @throws EmrError `record_erased`, `file_unavailable` */
  fetch(cid: CID, signal: AbortSignal): Promise<void>
  getFile(cid: CID, signal: AbortSignal): Promise<{ path: string; size: number }>
  readFile(cid: CID, signal: AbortSignal): Promise<FileBytes>
  openFile(cid: CID, signal: AbortSignal): Promise<OpenFile>
  fileAsCar(cid: CID, shape?: CarShape): Promise<FileBytes>
  fileBlock(cid: CID): Promise<Uint8Array>
}

export function createFileService(dependencies: FileServiceDependencies, options: FileServiceOptions): FileService {
  const { store, network, knownFiles, pins, assertNotErased, nameOnChain } = dependencies
  const { fileRoot, dataFolder, downloads, maxFileBytes } = options

  async function add(source: AsyncIterable<Uint8Array>, name: string, signal: AbortSignal): Promise<NamedFile> {
    const { cid, size } = await store.add(source, { signal })
    await knownFiles.put(cid.toString(), { name, size })
    if (pins.isUnwanted(cid)) await pins.exclusive(cid, () => want(cid, signal))
    return { cid, name, size }
  }

  /** Who adds a file wants it. Where it was being deleted at the same time, it has gone with the copy that was there. */
  async function want(cid: CID, signal: AbortSignal): Promise<void> {
    if (!(await store.has(cid, { signal })))
      throw new EmrError('file_unpinned', 'That was while it was added; add it again.')
    await pins.put(cid, 'kept')
  }

  async function addFromRoot(path: string, signal: AbortSignal): Promise<NamedFile> {
    const { file, name } = await openUnderRoot(fileRoot, path, dataFolder)
    try {
      return await add(piecesOf(file), name, signal)
    } finally {
      await file.close()
    }
  }

  /**
   * From the daemons that the own one is connected to, where there are any, and from the peers themselves. A
   * daemon that knows none of a peer is asked last: who runs it may have connected it by other means.
   */
  async function fetchFromOthers(cid: CID, signal: AbortSignal): Promise<void> {
    const limits = { signal, maxBytes: maxFileBytes }
    const fromDaemons = async () => (await store.swarm?.fetch(cid, limits)) !== undefined
    const daemonsFirst = network.hasReachedDaemons()
    if (daemonsFirst && (await fromDaemons())) return
    try {
      await network.fetchFile(cid, (car) => store.importCar(cid, car, limits), signal)
    } catch (error) {
      if (!isEmrError(error, 'file_unavailable') || daemonsFirst || !(await fromDaemons())) throw error
    }
  }

  async function fetch(cid: CID, signal: AbortSignal): Promise<void> {
    await assertNotErased(cid)
    await fetchFromOthers(cid, signal)
    try {
      await assertNotErased(cid)
    } catch (error) {
      // The erasure was carried out while the file was on its way.
      if (isEmrError(error, 'record_erased')) await store.remove(cid)
      throw error
    }
  }

  /** Makes sure that the store holds the file. @throws EmrError `record_erased`, `file_unpinned` */
  async function hold(cid: CID, signal: AbortSignal): Promise<void> {
    await assertNotErased(cid)
    pins.assertWanted(cid)
    if (await store.has(cid, { signal })) return
    await fetch(cid, signal)
    try {
      pins.assertWanted(cid)
    } catch (error) {
      // It was unpinned while it was on its way.
      await store.remove(cid)
      throw error
    }
    // A store that others use too does not list what is this node's.
    if (pins.get(cid) === undefined) await pins.put(cid, 'kept')
  }

  return {
    createHash: (file, signal) =>
      'path' in file ? addFromRoot(file.path, signal) : add(file.source, safeBaseName(file.name), signal),

    async describe(cid, signal) {
      const known = knownFiles.get(normalCid(cid).toString())
      if (isNamedSize(known)) return known
      try {
        return { name: undefined, size: (await store.stat(cid, { signal })).size }
      } catch (error) {
        if (!isEmrError(error, 'file_unavailable')) throw error
      }
      await assertNotErased(cid)
      const sizeOf = async (root: Uint8Array): Promise<number> => {
        if (!(await matchesCid(cid, root))) throw new EmrError('wrong_cid')
        return describeFile(cid, root).size
      }
      return { name: undefined, size: await network.fetchBlock(cid, sizeOf, signal) }
    },

    fetch,

    async getFile(cid, signal) {
      await hold(cid, signal)
      const known = knownFiles.get(normalCid(cid).toString())
      const name = isNamedSize(known) ? known.name : await nameOnChain(cid)
      const contents = lend((buffers) => store.read(cid, { signal, buffers }))
      return download(downloads, name ?? cid.toString(), contents)
    },

    async readFile(cid, signal) {
      await hold(cid, signal)
      return lend((buffers) => store.read(cid, { signal, buffers }))
    },

    async openFile(cid, signal) {
      await hold(cid, signal)
      const { fileSize } = await store.stat(cid, { signal })
      return {
        size: fileSize,
        read: (range) => lend((buffers) => store.read(cid, { signal, buffers, ...(range ? { range } : {}) })),
      }
    },

    async fileAsCar(cid, shape) {
      await assertNotErased(cid)
      // What is on its way out is not given out; a Kubo has the blocks until its next collection.
      if (pins.isUnwanted(cid) || !(await store.has(cid))) throw new EmrError('file_unavailable')
      return begun(lend((buffers) => store.exportCar(cid, { buffers }, shape)))
    },
    async fileBlock(cid) {
      await assertNotErased(cid)
      if (pins.isUnwanted(cid)) throw new EmrError('file_unavailable')
      return store.getBlock(cid)
    },
  }
}

/** A file from its beginning, in one piece of memory that is filled again and again. */
async function* piecesOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  const piece = Buffer.allocUnsafeSlow(256 * 1024)
  for (;;) {
    const { bytesRead } = await file.read(piece, 0, piece.length)
    if (bytesRead === 0) return
    yield piece.subarray(0, bytesRead)
  }
}

/** What is read into buffers that come back. */
function lend(read: (buffers: BlockBuffers) => AsyncIterable<Uint8Array>): FileBytes {
  const buffers = createBlockBuffers()
  const pieces = read(buffers)
  return { [Symbol.asyncIterator]: () => pieces[Symbol.asyncIterator](), giveBack: buffers.giveBack }
}

const isNamedSize = (value: unknown): value is { name: string; size: number } =>
  typeof value === 'object' &&
  value !== null &&
  'name' in value &&
  typeof value.name === 'string' &&
  'size' in value &&
  typeof value.size === 'number'
