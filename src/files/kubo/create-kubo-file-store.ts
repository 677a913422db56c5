import { type AddOptions, create } from 'kubo-rpc-client'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../../errors.js'
import { encodeCarHeader } from '../../protocol/car.js'
import { abortable, untilAborted } from '../abortable.js'
import { matchesCid, normalCid } from '../file-block.js'
import { describeFile } from '../file-node.js'
import type { FileStore, FileStoreCall, StoredFile } from '../file-store.js'
import { importFile } from '../import-file.js'
import { createOperations } from '../operations.js'
import { verifyCar } from '../verify-car.js'
import { carSectionHead, exportFile, readFile } from '../walk-file.js'
import { createBlockRepair } from './block-repair.js'
import { createClusterStatus } from './cluster-status.js'
import { collectBlocks } from './collect-blocks.js'
import { createKuboSwarm } from './kubo-swarm.js'
import { isNotPinned, rpcError } from './rpc-error.js'
import { createRpcFetch } from './rpc-fetch.js'
import { upload } from './upload.js'
import { authorizationHeaders, withoutUser } from './url-user.js'
import { createWatch } from './watch.js'

/** How long the daemon may be silent, in milliseconds. */
export interface KuboTimeouts {
  /** Until a connection is there. */
  readonly connectMs: number
  /** Until a short question is answered. */
  readonly answerMs: number
  /** While it takes an upload, and until it confirms it. */
  readonly idleMs: number
  /** While it pins a file whose blocks it has. */
  readonly pinMs: number
  /** Until `health` is answered. */
  readonly healthMs: number
  /** Until the first block of a file comes from another daemon. */
  readonly firstBlockMs: number
  /** Until another daemon is dialled, at one address. */
  readonly dialMs: number
}

export interface KuboFileStoreOptions {
  /** The RPC address, such as http://127.0.0.1:5001. User and password in it are sent as Basic authorization. */
  readonly url: URL
  /** Value of the Authorization header, as Kubo's API.Authorizations or a proxy before it asks for. */
  readonly authorization?: string | undefined
  /** The REST API of the IPFS Cluster behind whose proxy the daemon is; its user and password as in `url`. */
  readonly cluster?: URL | undefined
  readonly timeouts?: Partial<KuboTimeouts> | undefined
}

const TIMEOUTS: KuboTimeouts = {
  connectMs: 5_000,
  answerMs: 30_000,
  idleMs: 60_000,
  pinMs: 600_000,
  healthMs: 2_000,
  firstBlockMs: 2_000,
  dialMs: 5_000,
}

/** The profile in full: what is left out would be taken from the daemon's own `Import` settings. */
const ADD_OPTIONS = {
  cidVersion: 0 as const,
  rawLeaves: false,
  chunker: 'size-262144',
  hashAlg: 'sha2-256',
  trickle: false,
  maxFileLinks: 174,
  inline: false,
  pin: true,
  wrapWithDirectory: false,
  fastProvideRoot: false,
}

/**
 * The store behind a Kubo daemon, or behind an IPFS Cluster that speaks like one. Nothing the daemon says is believed:
 * CIDs are computed here and compared, files are read block by block and each is checked, pins are asked for. It is
 * only asked for what it has (`offline`), but by `swarm.fetch`, and for blocks that a pinned file lacks. `stat` looks at the root block alone. A file counts as held when it is pinned; how soon the daemon's disk is
 * synced is its own setting. Blocks of a failed call stay with the daemon, unpinned, until its next collection.
 *
 * @throws EmrError `config_invalid` if user or password in the URL are not well encoded
 */
export function createKuboFileStore({ url, authorization, cluster, timeouts }: KuboFileStoreOptions): FileStore {
  const { connectMs, answerMs, idleMs, pinMs, healthMs, firstBlockMs, dialMs } = { ...TIMEOUTS, ...timeouts }
  const rpc = createRpcFetch({ connectMs })
  const operations = createOperations()
  const copies = cluster && createClusterStatus({ url: cluster, connectMs, answerMs, copyMs: pinMs })
  const kubo = create({ url: withoutUser(url), headers: authorizationHeaders(url, authorization) })

  async function ask<T>(ms: number, signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const watch = createWatch(ms, signal)
    try {
      return await rpc.call(watch, () => untilAborted(act(watch.signal), watch.signal))
    } catch (error) {
      throw rpcError(error, watch)
    } finally {
      watch.end()
    }
  }

  const getUnchecked = (
    cid: CID,
    signal: AbortSignal,
    { ms = answerMs, where = OFFLINE }: { ms?: number; where?: object } = {},
  ): Promise<Uint8Array> => ask(ms, signal, (until) => kubo.block.get(cid, { ...where, signal: until }))

  async function checkedBlock(cid: CID, ms: number, signal: AbortSignal, where: object): Promise<Uint8Array> {
    const bytes = await getUnchecked(cid, signal, { ms, where })
    if (!(await matchesCid(cid, bytes))) throw new EmrError('file_damaged', undefined, { cid: cid.toString() })
    return bytes
  }
  /** Blocks of a file. Those of one that a cluster has pinned may all be with other daemons than the one that is asked. */
  function blocksOf(root: CID, signal: AbortSignal, searchMs = answerMs): (cid: CID) => Promise<Uint8Array> {
    let isElsewhere: Promise<boolean> | undefined
    return async (cid) => {
      let missing: unknown
      if (!(await isElsewhere)) {
        try {
          return await checkedBlock(cid, answerMs, signal, OFFLINE)
        } catch (error) {
          if (!isEmrError(error, 'file_unavailable')) throw error
          missing = error
        }
        isElsewhere ??= isPinned(root, signal)
        if (!(await isElsewhere)) throw missing
      }
      try {
        return await checkedBlock(cid, searchMs, signal, {})
      } catch (error) {
        if (!isEmrError(error, 'file_store_timeout')) throw error
        throw missing ?? new EmrError('file_unavailable', undefined, { cid: cid.toString() })
      }
    }
  }

  const isPinned = (cid: CID, signal: AbortSignal) =>
    ask(answerMs, signal, async (until) => {
      try {
        let pinned = false
        for await (const pin of kubo.pin.ls({ paths: [cid], type: 'recursive', signal: until })) {
          pinned ||= normalCid(pin.cid).equals(cid)
        }
        return pinned
      } catch (error) {
        if (isNotPinned(error)) return false
        throw error
      }
    })

  const repair = createBlockRepair({ kubo, ask: (signal, act) => ask(pinMs, signal, act), getUnchecked, isPinned })

  async function provePin(cid: CID, signal: AbortSignal): Promise<void> {
    if (!(await isPinned(cid, signal))) throw new EmrError('file_store_failed', 'It did not pin the file.')
    // A cluster pins later than it answers.
    await copies?.copied(cid, signal)
  }

  async function pin(root: CID, signal: AbortSignal): Promise<void> {
    await ask(pinMs, signal, (until) => kubo.pin.add(root, { ...OFFLINE, recursive: true, signal: until }))
    await provePin(root, signal)
  }

  async function add(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<StoredFile> {
    const copy = new TransformStream<Uint8Array, Uint8Array>()
    const writer = copy.writable.getWriter()
    const computing = importFile(copy.readable, async () => undefined)
    // Met below when the upload succeeds; when it fails, that error counts.
    computing.catch(() => undefined)
    try {
      const answer = await upload(
        rpc,
        idleMs,
        signal,
        async function* (until) {
          for await (const chunk of abortable(source, until)) {
            // Neither the copy nor the connection is done with it when the source is asked for the next one. The slice() of a
            // Buffer would be the same memory.
            const own = Uint8Array.from(chunk)
            await writer.write(own)
            yield own
          }
          await writer.close()
        },
        (content, until) => {
          const options: AddOptions = { ...ADD_OPTIONS, signal: until }
          return kubo.add({ content }, options)
        },
      )
      const file = await computing
      if (!answer.cid.equals(file.cid)) throw mismatch(file.cid, answer.cid)
      await provePin(file.cid, signal)
      return file
    } finally {
      await writer.abort().catch(() => undefined)
    }
  }

  async function importCar(
    root: CID,
    source: AsyncIterable<Uint8Array>,
    maxBytes: number | undefined,
    signal: AbortSignal,
  ): Promise<StoredFile> {
    let file: StoredFile | undefined
    await upload(
      rpc,
      idleMs,
      signal,
      async function* (until) {
        yield encodeCarHeader([root])
        for await (const { cid, bytes } of verifyCar(root, source, { maxBytes, signal: until })) {
          file ??= describeFile(root, bytes)
          repair.note(root, { cid, bytes })
          yield carSectionHead(cid, bytes.length)
          yield bytes
        }
      },
      async (car, until) => {
        for await (const _ of kubo.dag.import(car, { pinRoots: false, signal: until }));
      },
    )
    if (!file) throw new EmrError('car_incomplete')
    await repair.replace(root, signal)
    // Only now: a pin of an incomplete file would make the daemon search the network for the rest.
    await pin(root, signal)
    return file
  }

  return {
    kind: 'kubo',
    swarm: createKuboSwarm(
      { kubo, operations, ask, pin, findBlock: (cid, ms, signal) => checkedBlock(cid, ms, signal, {}) },
      { isLocal: isLoopback(url), firstBlockMs, blockMs: answerMs, dialMs },
    ),

    add: (source, { signal: caller } = {}) => operations.run(caller, (signal) => add(source, signal)),

    async importCar(cid, source, { signal: caller, maxBytes } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, (signal) => importCar(root, source, maxBytes, signal))
    },

    async has(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, (signal) => isPinned(root, signal))
    },

    async stat(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      return operations.run(caller, async (signal) => describeFile(root, await blocksOf(root, signal)(root)))
    },

    async *read(cid, { signal: caller, range } = {}) {
      const root = normalCid(cid)
      yield* operations.stream(caller, (signal) => readFile(root, blocksOf(root, signal), { signal, range }))
    },

    async *exportCar(cid, { signal: caller } = {}, shape = {}) {
      const root = normalCid(cid)
      yield* operations.stream(caller, (signal) => exportFile(cid, blocksOf(root, signal), { signal }, shape))
    },

    async getBlock(cid, { signal: caller, within = cid } = {}) {
      const [block, root] = [normalCid(cid), normalCid(within)]
      // Whoever asks may name any block: it is not searched for as long as one that a file needs.
      return operations.run(caller, (signal) => blocksOf(root, signal, firstBlockMs)(block))
    },

    // The daemon may be that of others too.
    list: ({ signal: caller } = {}) => operations.run(caller, async () => undefined),

    async setAside(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      await operations.run(caller, (signal) => repair.find(root, signal))
      return undefined
    },

    async *collect({ signal: caller } = {}) {
      yield* operations.stream(caller, (signal) =>
        collectBlocks(rpc, pinMs, signal, (until) => kubo.repo.gc({ signal: until })),
      )
    },

    async remove(cid, { signal: caller } = {}) {
      const root = normalCid(cid)
      await operations.run(caller, async (signal) => {
        if (!(await isPinned(root, signal))) return
        await ask(pinMs, signal, (until) => kubo.pin.rm(root, { recursive: true, signal: until }))
        if (await isPinned(root, signal)) throw new EmrError('file_store_failed', 'It did not unpin the file.')
      })
    },

    ...(copies && {
      async replication(cid: CID, { signal: caller }: FileStoreCall = {}) {
        const root = normalCid(cid)
        return operations.run(caller, (signal) => copies.of(root, signal))
      },
    }),

    health: () =>
      operations.run(undefined, async (signal) => {
        try {
          const { version, repo } = await ask(healthMs, signal, (until) => kubo.version({ signal: until }))
          if (typeof version !== 'string' || typeof repo !== 'string')
            return { state: 'degraded', detail: 'What answers is not Kubo.' }
          await copies?.answers(healthMs, signal)
          return { state: 'ok' }
        } catch (error) {
          if (error instanceof EmrError && error.code !== 'closing') return { state: 'degraded', detail: error.message }
          throw error
        }
      }),

    async close() {
      await operations.close()
      await rpc.close()
      await copies?.close()
    },
  }
}

/** Kubo's option for all calls, which the client passes on but does not declare. */
const OFFLINE = { offline: true }

const isLoopback = ({ hostname }: URL): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)

const mismatch = (expected: CID, answered: CID): EmrError =>
  new EmrError('file_store_mismatch', undefined, { expected: expected.toString(), answered: answered.toString() })
