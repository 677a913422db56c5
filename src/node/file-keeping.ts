import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import { createBlockBuffers } from '../files/block-buffers.js'
import { matchesCid, normalCid } from '../files/file-block.js'
import type { FileStore, Replication } from '../files/file-store.js'
import type { JsonTable } from '../ledger/json-table.js'
import type { Network } from '../network/network.js'
import { parseFileCid } from '../protocol/cid.js'
import { MAX_ASKED_FILES } from '../protocol/peer-messages.js'
import { checkFiles, type FileCheckEvent } from './check-files.js'
import type { FilePins } from './file-pins.js'

/**
 * How a file stands here:
 * - `pinned`: it is kept
 * - `damaged`: it is here, and a read met a block that is not as its CID says
 * - `missing`: this node stored it once, and its store does not keep it any more
 * - `unpinning`: it was deleted on purpose, and the store has not let go of it yet
 * - `unpinned`: it was deleted on purpose
 * - `erased`: its patient had it erased
 */
export type KeptState = 'pinned' | 'damaged' | 'missing' | 'unpinning' | 'unpinned' | 'erased'

/** A file that this node keeps or once kept. */
export interface KeptFile {
  readonly cid: CID
  readonly state: KeptState
  /** What it was called when it was added, or what the chain calls it. */
  readonly name?: string
  /** Cumulative size of its DAG in bytes, where it is known. */
  readonly size?: number
  /** Addresses of peers that say that they keep it. */
  readonly copies: readonly string[]
  /** Of a store that is a front for several machines. */
  readonly replication?: Replication
}

export interface KeptPage {
  /** In the order of their CIDs as text. */
  readonly files: readonly KeptFile[]
  /** Peers that did not answer, and so may keep any of them. */
  readonly silent: readonly string[]
  /** Where the next page begins; absent on the last. */
  readonly next?: string
}

export interface Unpinned {
  readonly cid: CID
  /** Whether the file was here until now. */
  readonly wasHere: boolean
  /** Peers that say that they keep it, as far as they were asked. */
  readonly copies: readonly string[]
}

export interface FileKeepingDependencies {
  readonly store: FileStore
  readonly network: Pick<Network, 'holdersOf' | 'blockFrom'>
  readonly pins: FilePins
  readonly knownFiles: JsonTable
  /** Takes a file from a peer into the store. */
  fetch(cid: CID, signal: AbortSignal): Promise<void>
  /** @throws EmrError `record_erased` */
  assertNotErased(cid: CID): Promise<void>
  /** What the chain calls a file. */
  nameOnChain(cid: CID): Promise<string | undefined>
  /** Hears what could not be done now and is tried again at the next start. */
  onTrouble(error: unknown): void
}

/** Which files this node keeps: the wishes of its operator, durable, and how the store and the peers stand to them. */
export interface FileKeeping {
  /** At most `limit` files after the one named `after`, at most 64; peers are asked for a few seconds. */
  list(page: { limit: number; after?: string | undefined }, signal: AbortSignal): Promise<KeptPage>
  /**
   * Keeps a file, fetched from peers where this node lacks it, also one that was unpinned.
   *
   * @returns whether it had to be fetched
   * @throws EmrError `record_erased`, `file_unavailable`
   */
  pin(cid: CID, signal: AbortSignal): Promise<{ cid: CID; fetched: boolean }>
  /**
   * Deletes a file on purpose: from then on nothing but `pin`, or adding it again, brings it back. Unless forced, a peer
   * must say that it keeps the file, and prove that it has its root block.
   *
   * @throws EmrError `file_unavailable` for a file that is not here, `file_last_copy`, `record_erased`
   */
  unpin(cid: CID, how: { force: boolean }, signal: AbortSignal): Promise<Unpinned>
  /** Has the store delete what is not pinned; gives how many blocks it has deleted so far. */
  collect(signal: AbortSignal): AsyncGenerator<number, void, undefined>
  /** Reads and hashes all files; what is not whole is fetched from peers. */
  check(signal: AbortSignal): AsyncGenerator<FileCheckEvent, void, undefined>
  /** Those of these files that this node keeps and gives out. */
  held(cids: readonly CID[]): Promise<CID[]>
  /** Carries on with deletions that a crash or a store that was away has interrupted. Does not reject. */
  finish(): Promise<void>
}

/** How often a whole copy is taken for one damaged file. */
const MENDINGS = 4

export function createFileKeeping(dependencies: FileKeepingDependencies): FileKeeping {
  const { store, network, pins, knownFiles, fetch, assertNotErased, nameOnChain, onTrouble } = dependencies

  async function isErased(cid: CID): Promise<boolean> {
    try {
      await assertNotErased(cid)
      return false
    } catch (error) {
      if (isEmrError(error, 'record_erased')) return true
      throw error
    }
  }

  /** Files that lie in a store of this node's own, by the text of their CIDs. */
  const listed = async (signal: AbortSignal): Promise<Set<string> | undefined> => {
    const all = await store.list({ signal })
    return all && new Set(all.map(String))
  }

  /** Every file that lies here, was added here, or that the operator decided about, in order. */
  const known = (here: ReadonlySet<string> | undefined): string[] =>
    [
      ...new Set([...(here ?? []), ...knownFiles.entries().map(([cid]) => cid), ...pins.all().map(([cid]) => cid)]),
    ].sort()

  async function stateOf(cid: CID, here: ReadonlySet<string> | undefined, signal: AbortSignal): Promise<KeptState> {
    const isHere = await store.has(cid, { signal })
    const lies = isHere || here?.has(cid.toString()) === true
    if (pins.isUnwanted(cid)) return lies ? 'unpinning' : 'unpinned'
    if (isHere) return 'pinned'
    if (lies) return 'damaged'
    return (await isErased(cid)) ? 'erased' : 'missing'
  }

  async function describe(
    cid: CID,
    here: ReadonlySet<string> | undefined,
    signal: AbortSignal,
  ): Promise<Omit<KeptFile, 'copies'>> {
    let state = await stateOf(cid, here, signal)
    if (state === 'erased') return { cid, state }
    const note = noteOf(knownFiles.get(cid.toString()))
    const name = note.name ?? (await nameOnChain(cid))
    let { size } = note
    if (size === undefined && state === 'pinned') {
      try {
        size = (await store.stat(cid, { signal })).size
      } catch (error) {
        if (!isEmrError(error, 'file_damaged') && !isEmrError(error, 'file_unavailable')) throw error
        state = 'damaged'
      }
    }
    const replication = state === 'pinned' ? await store.replication?.(cid, { signal }) : undefined
    return {
      ...{ cid, state },
      ...(name === undefined ? {} : { name }),
      ...(size === undefined ? {} : { size }),
      ...(replication === undefined ? {} : { replication }),
    }
  }

  const saidToKeep = async (cid: CID, signal: AbortSignal): Promise<readonly string[]> =>
    (await network.holdersOf([cid], signal)).holders.get(cid.toString()) ?? []

  /** The same, where one of them gave a root block that is the file's. @throws EmrError `file_last_copy` */
  async function provenCopies(cid: CID, signal: AbortSignal): Promise<readonly string[]> {
    const said = await saidToKeep(cid, signal)
    for (const peer of said) {
      const root = await network.blockFrom(peer, cid, signal).catch(() => undefined)
      if (signal.aborted) throw new EmrError('cancelled')
      if (root && (await matchesCid(cid, root))) return said
    }
    throw new EmrError('file_last_copy', undefined, { cid: cid.toString() })
  }

  /** The note goes first: a file that is gone without one would be fetched back. */
  async function remove(cid: CID): Promise<void> {
    await pins.put(cid, 'unpinning')
    await store.remove(cid)
    await pins.put(cid, 'unpinned')
  }

  /** Pins what a shared store still has, without asking a peer. */
  async function pinWhatIsThere(cid: CID, signal: AbortSignal): Promise<boolean> {
    try {
      await store.stat(cid, { signal })
      await store.importCar(cid, store.exportCar(cid, { signal }), { signal })
      return true
    } catch (error) {
      if (isEmrError(error, 'file_unavailable') || isEmrError(error, 'file_damaged')) return false
      throw error
    }
  }

  async function readThrough(cid: CID, signal: AbortSignal): Promise<void> {
    const buffers = createBlockBuffers()
    for await (const piece of store.exportCar(cid, { signal, buffers })) buffers.giveBack(piece)
  }

  /** Once more for a store that replaces only so many blocks at a time, or did not see those below a damaged one. */
  const mend = (cid: CID, signal: AbortSignal): Promise<{ aside?: string | undefined }> =>
    pins.exclusive(cid, async () => {
      pins.assertWanted(cid)
      for (let left = MENDINGS; ; left--) {
        const aside = await store.setAside(cid, { signal })
        await fetch(cid, signal)
        try {
          await readThrough(cid, signal)
          return { aside }
        } catch (error) {
          if (left <= 1 || !isEmrError(error, 'file_damaged')) throw error
        }
      }
    })

  return {
    async list({ limit, after }, signal) {
      const here = await listed(signal)
      const rest = known(here).filter((cid) => after === undefined || cid > after)
      const page = rest.slice(0, Math.min(limit, MAX_ASKED_FILES)).map(parseFileCid)
      const [files, { holders, silent }] = await Promise.all([
        Promise.all(page.map((cid) => describe(cid, here, signal))),
        network.holdersOf(page, signal),
      ])
      const last = page.at(-1)
      return {
        files: files.map((file) => ({ ...file, copies: holders.get(file.cid.toString()) ?? [] })),
        silent,
        ...(last && rest.length > page.length ? { next: last.toString() } : {}),
      }
    },

    pin(given, signal) {
      const cid = normalCid(given)
      return pins.exclusive(cid, async () => {
        await assertNotErased(cid)
        const isHere = await store.has(cid, { signal })
        const fetched = !isHere && !(await pinWhatIsThere(cid, signal))
        if (fetched) await fetch(cid, signal)
        await pins.put(cid, 'kept')
        return { cid, fetched }
      })
    },

    unpin(given, { force }, signal) {
      const cid = normalCid(given)
      return pins.exclusive(cid, async () => {
        await assertNotErased(cid)
        const state = await stateOf(cid, await listed(signal), signal)
        const wasHere = state === 'pinned' || state === 'damaged' || state === 'unpinning'
        const isKnown = pins.get(cid) !== undefined || knownFiles.get(cid.toString()) !== undefined
        if (!wasHere && !isKnown) throw new EmrError('file_unavailable', 'There is nothing to unpin.')
        // What was decided before only waits for the store, and what is lost already cannot be lost again.
        const isFree = force || !wasHere || pins.isUnwanted(cid)
        const copies = isFree ? await saidToKeep(cid, signal) : await provenCopies(cid, signal)
        await remove(cid)
        return { cid, wasHere, copies }
      })
    },

    async *collect(signal) {
      let blocks = 0
      for await (const _ of store.collect({ signal })) yield ++blocks
    },

    async *check(signal) {
      const files = known(await listed(signal))
        .map(parseFileCid)
        .filter((cid) => !pins.isUnwanted(cid))
      const isWanted = async (cid: CID) => !pins.isUnwanted(cid) && !(await isErased(cid))
      yield* checkFiles({ store, files, isWanted, mend }, signal)
    },

    async held(cids) {
      const kept = await Promise.all(
        cids.map(async (cid) => !pins.isUnwanted(cid) && (await store.has(cid)) && !(await isErased(cid))),
      )
      return cids.filter((_, at) => kept[at])
    },

    async finish() {
      for (const [text, pin] of pins.all()) {
        if (pin !== 'unpinning') continue
        const cid = parseFileCid(text)
        await pins
          .exclusive(cid, async () => {
            if (pins.get(cid) === 'unpinning') await remove(cid)
          })
          .catch(onTrouble)
      }
    },
  }
}

/** Name and size of a note of create_hash. */
function noteOf(value: unknown): { name?: string; size?: number } {
  if (typeof value !== 'object' || value === null) return {}
  return {
    ...('name' in value && typeof value.name === 'string' ? { name: value.name } : {}),
    ...('size' in value && typeof value.size === 'number' ? { size: value.size } : {}),
  }
}
