import { availableParallelism } from 'node:os'
import { EmrError } from '../errors.js'
import { assertKernelInput, nonceOffset } from './kernel.js'
import { createControlMemory, type JobControl, type MiningReply, openJobControl } from './mining-job.js'
import { createNativeKernel } from './native-kernel.js'
import { createWorkerPool } from './worker-pool.js'

export interface MinerOptions {
  /** Worker threads, 1 to 256. Default: one for each core, at most 8, as each takes about 12 MiB. */
  readonly threads?: number
}

export interface MinerDependencies {
  /** The compiled worker; it takes a `MiningJob` a message and answers with a `MiningReply`. */
  readonly workerUrl?: URL
}

export interface MineOptions {
  /** Gives the search up: `mine` rejects with `cancelled` at once, the threads stop within a slice. */
  readonly signal?: AbortSignal
}

export interface MinedHeader {
  readonly nonce: number
  /** A copy of the header with this nonce in it. */
  readonly header: Uint8Array
  /** Nonces tried by all threads until the find. */
  readonly hashes: number
  /** Duration of the search itself, without the time spent in the queue. */
  readonly ms: number
}

export interface Miner {
  readonly threads: number

  /**
   * Finds a nonce with which SHA-256 of the 180-byte header is at most the 32-byte target (both big-endian).
   * The search begins at the nonce that the header holds. With one thread the first that fits is returned, with
   * more it is any. A call while another runs waits for its turn, in the order of the calls.
   *
   * Rejects with `header_malformed`, `header_bad_target` or `header_bad_nonce` (first two bytes not zero) for
   * what it cannot search, `cancelled`, `closing`, `mining_exhausted` (no nonce left) and `mining_failed` (a
   * worker died or answered wrongly; the next call has new workers).
   */
  mine(header: Uint8Array, target: Uint8Array, options?: MineOptions): Promise<MinedHeader>

  /** Hashes a second of the running search, else of the last one, else 0. */
  hashRate(): number

  /** Whether a search runs. */
  isSearching(): boolean

  /** Nonces tried since the miner was made. */
  hashes(): number

  /** Starts the threads before the first search needs them. They live until `close`; idle, they keep no process up. */
  warm(): void

  /** Rejects what runs and waits with `closing` and ends the threads. */
  close(): Promise<void>
}

interface Search {
  readonly id: number
  readonly header: Uint8Array
  readonly target: Uint8Array
  readonly first: number
  readonly memory: SharedArrayBuffer
  readonly control: JobControl
  startedAt: number
  workersLeft: number
  settle(outcome: MinedHeader | EmrError): void
}

const defaultThreads = (): number => Math.min(8, availableParallelism())

const firstNonce = (header: Uint8Array): number => {
  const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength)
  if (bytes.readUInt16BE(nonceOffset - 2) !== 0) throw new EmrError('header_bad_nonce')
  return bytes.readUIntBE(nonceOffset, 6)
}

/**
 * A miner over worker threads, which are started for the first search and kept for the next: with a
 * difficulty of 16 bits a search is as short as the start of a thread. Throws `config_invalid`.
 */
export const createMiner = (options: MinerOptions = {}, dependencies: MinerDependencies = {}): Miner => {
  const threads = options.threads ?? defaultThreads()
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new EmrError('config_invalid', `A miner has 1 to 256 threads, not ${threads}.`)
  }
  const check = createNativeKernel()
  const queue: Search[] = []
  let running: Search | undefined
  let lastRate = 0
  let finishedHashes = 0
  let lastId = 0
  let closing: Promise<void> | undefined

  const rateOf = (search: Search): number => {
    const ms = performance.now() - search.startedAt
    return ms > 0 ? (search.control.hashes() * 1000) / ms : 0
  }

  const finish = (search: Search, outcome: MinedHeader | EmrError): void => {
    search.control.stop()
    if (search === running) {
      lastRate = rateOf(search)
      finishedHashes += search.control.hashes()
      running = undefined
      if (outcome instanceof EmrError && outcome.code === 'mining_failed') pool.discard()
      else pool.rest()
    } else {
      const place = queue.indexOf(search)
      if (place === -1) return
      queue.splice(place, 1)
    }
    search.settle(outcome)
    startNext()
  }

  const sealed = (search: Search, nonce: number): MinedHeader | EmrError => {
    // One hash more, so that no fault of a kernel can pass a worthless block on.
    check.set(search.header, search.target)
    if (check.scan(nonce, 1) !== nonce) return new EmrError('mining_failed', 'A found nonce does not meet the target.')
    const header = Uint8Array.from(search.header)
    Buffer.from(header.buffer).writeUIntBE(nonce, nonceOffset, 6)
    return { nonce, header, hashes: search.control.hashes(), ms: performance.now() - search.startedAt }
  }

  const onReply = (reply: MiningReply): void => {
    const search = running
    if (search?.id !== reply.id) return
    search.workersLeft--
    if (reply.nonce !== -1) finish(search, sealed(search, reply.nonce))
    else if (search.workersLeft === 0) finish(search, new EmrError('mining_exhausted'))
  }

  const onLoss = (cause: unknown): void => {
    if (running) finish(running, new EmrError('mining_failed', 'A worker thread ended.', {}, { cause }))
  }

  const workerUrl = dependencies.workerUrl ?? new URL('./worker.js', import.meta.url)
  const pool = createWorkerPool({ threads, workerUrl, onReply, onLoss })

  const startNext = (): void => {
    const search = queue[0]
    if (running || !search || closing) return
    queue.shift()
    running = search
    search.startedAt = performance.now()
    search.workersLeft = threads
    const { id, header, target, first, memory } = search
    try {
      pool.post({ id, header, target, first, control: memory })
    } catch (cause) {
      finish(search, new EmrError('mining_failed', 'A worker thread did not start.', {}, { cause }))
    }
  }

  return {
    threads,

    async mine(header, target, { signal } = {}) {
      assertKernelInput(header, target)
      const first = firstNonce(header)
      if (closing) throw new EmrError('closing')
      if (signal?.aborted) throw new EmrError('cancelled')
      return new Promise<MinedHeader>((resolve, reject) => {
        const memory = createControlMemory()
        const search: Search = {
          id: ++lastId,
          header: Uint8Array.from(header),
          target: Uint8Array.from(target),
          first,
          memory,
          control: openJobControl(memory),
          startedAt: 0,
          workersLeft: 0,
          settle(outcome) {
            signal?.removeEventListener('abort', cancel)
            if (outcome instanceof EmrError) reject(outcome)
            else resolve(outcome)
          },
        }
        const cancel = (): void => finish(search, new EmrError('cancelled'))
        signal?.addEventListener('abort', cancel)
        queue.push(search)
        startNext()
      })
    },

    hashRate: () => (running ? rateOf(running) : lastRate),
    isSearching: () => running !== undefined,
    hashes: () => finishedHashes + (running?.control.hashes() ?? 0),

    warm() {
      if (!closing) pool.warm()
    },

    close() {
      if (!closing) {
        closing = pool.close()
        for (const search of running ? [running, ...queue] : [...queue]) finish(search, new EmrError('closing'))
      }
      return closing
    },
  }
}
