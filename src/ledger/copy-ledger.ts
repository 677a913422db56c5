/** Copies of a ledger that may be in use: its state as of one moment, and the chain file up to what counted then. */
import { chmod, mkdir, open as openFile, readFile } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import type { Section } from '../protocol/block.js'
import { encodeCarHeader, encodeCarSection } from '../protocol/car.js'
import { chainDamaged } from './chain-damaged.js'
import { openChainFile } from './chain-file.js'
import { isReadable, openDatabase } from './database.js'
import { markClean } from './database-session.js'
import { toDiskError } from './disk-error.js'
import { syncFolder, writeFileDurably } from './durable-file.js'
import { type DataFolder, databasePaths } from './layout.js'
import { createNodeState, type DurableChain, type NodeState } from './node-state.js'
import { openPages } from './pages.js'

const damagedState = (): EmrError => new EmrError('index_damaged', 'It cannot be read.', { database: 'state' })

/**
 * Copies version.json and the state as of one commit; a node may be writing. LMDB gives a reader one
 * moment, in which length and tip of the chain and what is pending belong together.
 *
 * @param look is given the copy while it is open
 * @returns length and tip of the chain that go with the copied state
 * @throws index_damaged if the copy cannot be read or a value does not match its check; disk_full, disk_failed
 */
export const copyState = async (
  from: DataFolder,
  to: DataFolder,
  owner: string,
  look: (state: NodeState) => void = () => undefined,
): Promise<DurableChain> => {
  try {
    await writeFileDurably(to.version, await readFile(from.version))
    await mkdir(to.state, { mode: 0o700 })
    if (!(await isReadable(from.state, 'values'))) throw damagedState()
    const pages = openPages(from.state, { readOnly: true })
    try {
      await pages.backup(to.state, false)
    } finally {
      await pages.close()
    }
    await chmod(databasePaths(to.state).pages, 0o600)
    if (!(await isReadable(to.state, 'values'))) throw damagedState()
    await markClean(to.state)
    await syncFolder(to.folder)
  } catch (error) {
    throw toDiskError(error, 'copying the state')
  }
  const state = createNodeState(await openDatabase({ folder: to.state, durable: true, owner }))
  try {
    const chain = state.chain()
    if (!chain) throw new EmrError('index_damaged', 'It knows no chain.', { database: 'state' })
    look(state)
    return chain
  } finally {
    await state.close()
  }
}

const BATCH_BYTES = 1024 * 1024

export interface CopyChainOptions {
  /** The block of network parameters. */
  readonly root: CID
  /** How much of the file is copied, in bytes: a number that was durable once. */
  readonly length: number
  /** Sees each section that was copied, and the offset behind it. */
  readonly onSection?: (section: Section, end: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Copies the beginning of a chain file, each section checked against its CID on the way; durable when it
 * resolves. A node may append meanwhile, since it never changes what was durable.
 *
 * @throws chain_damaged, data_folder_other_network, cancelled, disk_full, disk_failed
 */
export const copyChain = async (from: string, to: string, options: CopyChainOptions): Promise<void> => {
  const { root, length, onSection, signal } = options
  const source = await openChainFile(from, { root }, { open: (path) => openFile(path, 'r') })
  try {
    if (source.length < length) throw chainDamaged(source.length, 'It is shorter than what was acknowledged.')
    const target = await openFile(to, 'wx', 0o600)
    try {
      let batch: Uint8Array[] = [encodeCarHeader([root])]
      let bytes = 0
      const flush = async (): Promise<void> => {
        await target.writeFile(Buffer.concat(batch))
        batch = []
        bytes = 0
      }
      const scan = source.scan(source.start, length)
      for await (const section of scan) {
        if (signal?.aborted) throw new EmrError('cancelled')
        const encoded = encodeCarSection(section)
        batch.push(encoded)
        bytes += encoded.length
        onSection?.(section, section.offset + section.length)
        if (bytes >= BATCH_BYTES) await flush()
      }
      if (scan.end?.kind !== 'clean') throw chainDamaged(scan.end?.offset ?? 0)
      await flush()
      await target.sync()
    } finally {
      await target.close()
    }
  } catch (error) {
    throw toDiskError(error, 'copying the chain file')
  } finally {
    await source.close()
  }
}
