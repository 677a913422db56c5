import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { SignatureVerdict } from '../consensus/checked-signatures.js'
import { EmrError } from '../errors.js'
import { bytesText } from '../protocol/bytes-text.js'
import type { SignatureClaim } from '../protocol/signatures-of-others.js'
import { packClaims, type SliceReply, type SliceTask, verdictCodes } from './signature-slices.js'

export interface SignaturePoolOptions {
  readonly threads?: number
  /** How many claims a thread gets at once: small enough that the first wrong one ends the rest soon. */
  readonly slice?: number
  /** How many keys are remembered as valid. */
  readonly keys?: number
}
const DEFAULT_SLICE = 128
/** Keys take longer. */
const KEYS_A_SLICE = 8
/** Slices that a thread has: one in work, one waiting, so that it never idles for want of an answer. */
const SLICES_A_THREAD = 2
/** Room of a thread for new objects in MiB: what it makes lives for one slice, and a thread would else take 48. */
const YOUNG_GENERATION = 6
const DEFAULT_KEYS = 20_000

/**
 * Threads that check signatures, so that the main thread does not.
 *
 * Claims go to the threads in slices, packed into one piece of memory that is moved and not copied; verdicts come back as
 * a byte each. Keys are judged before, each once, since a bad key is told from a bad signature and costs ten times as
 * much to judge. A verdict is `unknown` until a thread has said otherwise, and where a thread fails, the calls fail
 * that wait for it: nothing is good by default.
 */
export interface SignaturePool {
  /**
   * Judges claims, in their order. After the first that is wrong the others may stay undecided. Calls at one
   * time share the threads slice by slice, so that one whose signatures need the slow check holds up no other.
   *
   * @throws EmrError `closing`; `internal` if a thread fails
   */
  check(claims: readonly SignatureClaim[]): Promise<SignatureVerdict[]>
  /**
   * Finds the good ones among claims, by what is fast alone, so that no wrong one holds up another. The others stay
   * undecided: `check` has to judge them.
   *
   * @throws EmrError as `check`
   */
  sift(claims: readonly SignatureClaim[]): Promise<SignatureVerdict[]>
  close(): Promise<void>
}

interface Call {
  readonly task: SliceTask
  readonly claims: readonly SignatureClaim[]
  readonly verdicts: SignatureVerdict[]
  /** First claim that no thread has yet. */
  next: number
  running: number
  resolve(verdicts: SignatureVerdict[]): void
  reject(error: unknown): void
}

interface Slice {
  readonly call: Call
  readonly from: number
}

const verdictOf = (code: number): SignatureVerdict => {
  if (code === verdictCodes.good) return 'good'
  if (code === verdictCodes.badKey) return 'bad key'
  return code === verdictCodes.badSignature ? 'bad signature' : 'unknown'
}

/** A pool whose threads start when there are slices for them. */
export function createSignaturePool(options: SignaturePoolOptions = {}): SignaturePool {
  const { threads = availableParallelism(), slice: sliceLength = DEFAULT_SLICE, keys: maxKeys = DEFAULT_KEYS } = options
  const workers = new Map<Worker, Slice[]>()
  const calls: Call[] = []
  const goodKeys = new Set<string>()
  const judging = new Map<string, Promise<ReadonlySet<string>>>()
  let ended: EmrError | undefined

  const fail = (error: EmrError): void => {
    ended ??= error
    const failing = new Set([...calls.splice(0), ...[...workers.values()].flat().map(({ call }) => call)])
    for (const call of failing) call.reject(error)
  }

  const start = (): Worker => {
    const worker = new Worker(new URL('./signature-worker.js', import.meta.url), {
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION },
    })
    worker.on('message', (reply: SliceReply) => take(worker, reply))
    worker.once('error', (cause) => fail(new EmrError('internal', 'A thread has failed.', {}, { cause })))
    worker.unref()
    workers.set(worker, [])
    return worker
  }

  const lengthOfSlice = ({ task }: Call): number => (task === 'keys' ? KEYS_A_SLICE : sliceLength)
  /** Threads for slices that no thread is free for: those of a single one need no more than that. */
  function startThreads(): void {
    const waiting = calls.reduce(
      (sum, call) => sum + Math.ceil((call.claims.length - call.next) / lengthOfSlice(call)),
      0,
    )
    const busy = [...workers.values()].filter((slices) => slices.length > 0).length
    while (workers.size < Math.min(threads, busy + waiting)) start()
  }

  /** Gives the next slices to threads with room, a slice of each call in turn. */
  function pump(): void {
    if (workers.size < threads) startThreads()
    for (let round = 0; round < SLICES_A_THREAD; round++) {
      for (const [worker, slices] of workers) {
        if (slices.length > round) continue
        const call = calls.shift()
        if (!call) return
        const from = call.next
        const claims = call.claims.slice(from, from + lengthOfSlice(call))
        call.next += claims.length
        call.running++
        if (call.next < call.claims.length) calls.push(call)
        slices.push({ call, from })
        const request = packClaims(claims, call.task)
        worker.ref()
        worker.postMessage(request, [request.claims.buffer])
      }
    }
  }

  function take(worker: Worker, reply: SliceReply): void {
    const slices = workers.get(worker) ?? []
    const done = slices.shift()
    if (slices.length === 0) worker.unref()
    if (!done) return
    const { call, from } = done
    call.running--
    for (const [at, code] of reply.entries()) {
      call.verdicts[from + at] = verdictOf(code)
      const claim = call.claims[from + at]
      if (call.task === 'keys' && code === verdictCodes.good && claim) goodKeys.add(bytesText(claim.key))
    }
    if (reply.includes(verdictCodes.badSignature)) {
      call.next = call.claims.length
      const waiting = calls.indexOf(call)
      if (waiting >= 0) calls.splice(waiting, 1)
    }
    if (call.running === 0 && call.next >= call.claims.length) call.resolve(call.verdicts)
    pump()
  }

  function run(claims: readonly SignatureClaim[], task: SliceTask): Promise<SignatureVerdict[]> {
    if (ended) return Promise.reject(ended)
    if (claims.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const verdicts = claims.map((): SignatureVerdict => 'unknown')
      calls.push({ task, claims, verdicts, next: 0, running: 0, resolve, reject })
      pump()
    })
  }

  /**
   * The keys that are not valid. Each is judged once, whoever asks meanwhile: one costs as much as ten signatures. What is
   * remembered may be forgotten before the answer is there, and says nothing of these then.
   */
  async function badKeysOf(claims: readonly SignatureClaim[]): Promise<ReadonlySet<string>> {
    if (goodKeys.size > maxKeys) goodKeys.clear()
    const fresh = new Map<string, SignatureClaim>()
    const waiting = new Set<Promise<ReadonlySet<string>>>()
    for (const claim of claims) {
      const name = bytesText(claim.key)
      const underWay = judging.get(name)
      if (underWay) waiting.add(underWay)
      else if (!goodKeys.has(name)) fresh.set(name, claim)
    }
    if (fresh.size > 0) {
      const names = [...fresh.keys()]
      const judged = run([...fresh.values()], 'keys')
        .then((verdicts) => new Set(names.filter((_, at) => verdicts[at] !== 'good')))
        .finally(() => {
          for (const name of names) judging.delete(name)
        })
      for (const name of names) judging.set(name, judged)
      waiting.add(judged)
    }
    return new Set((await Promise.all(waiting)).flatMap((bad) => [...bad]))
  }

  return {
    async check(claims) {
      const badKeys = await badKeysOf(claims)
      const bad = claims.findIndex(({ key }) => badKeys.has(bytesText(key)))
      if (bad < 0) return run(claims, 'signatures')
      return [...(await run(claims.slice(0, bad), 'signatures')), 'bad key']
    },
    sift: (claims) => run(claims, 'sift'),
    async close() {
      fail(new EmrError('closing'))
      await Promise.all([...workers.keys()].map((worker) => worker.terminate()))
      workers.clear()
    },
  }
}
