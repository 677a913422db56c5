/** One search, as the miner sends it to each of its workers. */
export interface MiningJob {
  readonly id: number
  readonly header: Uint8Array
  readonly target: Uint8Array
  /** The first nonce to try. */
  readonly first: number
  /** Memory that the miner and all workers of this job share; see `openJobControl`. */
  readonly control: SharedArrayBuffer
}

/** What a worker says when it has left a job: the nonce it found, or -1. */
export interface MiningReply {
  readonly id: number
  readonly nonce: number
}

/**
 * What the threads of one job tell each other without messages: a stop flag, the next slice nobody has
 * taken, and the number of hashes tried. Each job has its own, so that a worker that is still leaving one
 * job cannot touch the next.
 */
export interface JobControl {
  stop(): void
  isStopped(): boolean
  /** Takes the next slice: 0, 1, 2 and so on, each of them given to one thread only. */
  takeSlice(): number
  addHashes(count: number): void
  hashes(): number
}

const stopFlag = 0
const sliceCounter = 1
const hashCounter = 2

export const createControlMemory = (): SharedArrayBuffer => new SharedArrayBuffer(3 * BigInt64Array.BYTES_PER_ELEMENT)

export const openJobControl = (memory: SharedArrayBuffer): JobControl => {
  const words = new BigInt64Array(memory)
  return {
    stop: () => {
      Atomics.store(words, stopFlag, 1n)
    },
    isStopped: () => Atomics.load(words, stopFlag) !== 0n,
    takeSlice: () => Number(Atomics.add(words, sliceCounter, 1n)),
    addHashes: (count) => {
      Atomics.add(words, hashCounter, BigInt(count))
    },
    hashes: () => Number(Atomics.load(words, hashCounter)),
  }
}
