import { Worker } from 'node:worker_threads'
import type { MiningJob, MiningReply } from './mining-job.js'

export interface WorkerPoolOptions {
  readonly threads: number
  readonly workerUrl: URL
  onReply(reply: MiningReply): void
  /** A thread ended that `close` did not end; it is out of the pool already. */
  onLoss(cause: unknown): void
}

export interface WorkerPool {
  /** Starts the threads that are missing. */
  warm(): void
  /** Sends a job to every thread, after starting those that are missing. Until `rest` they keep the process up. */
  post(job: MiningJob): void
  /** Ends all threads, so that the next job has new ones: after a fault none of them is trusted. */
  discard(): void
  /** From now on the threads no longer keep the process up. */
  rest(): void
  close(): Promise<void>
}

/** A fixed number of equal threads. What is missing is started when the next job comes. */
export const createWorkerPool = (options: WorkerPoolOptions): WorkerPool => {
  const workers = new Set<Worker>()
  const ending = new Set<Promise<unknown>>()

  const end = (worker: Worker): void => {
    workers.delete(worker)
    const ended: Promise<unknown> = worker.terminate().finally(() => ending.delete(ended))
    ending.add(ended)
  }

  const spawn = (): void => {
    // Without the flags of the main program: some, such as --input-type, do not fit a file, others slow the start.
    const worker = new Worker(options.workerUrl, { execArgv: [] })
    const lost = (cause: unknown): void => {
      if (!workers.has(worker)) return
      end(worker)
      options.onLoss(cause)
    }
    worker.on('message', options.onReply)
    worker.on('error', lost)
    worker.on('messageerror', lost)
    worker.on('exit', (code) => lost(new Error(`exit code ${code}`)))
    worker.unref()
    workers.add(worker)
  }

  const warm = (): void => {
    while (workers.size < options.threads) spawn()
  }

  const discard = (): void => {
    for (const worker of [...workers]) end(worker)
  }

  return {
    warm,
    discard,

    post(job) {
      warm()
      for (const worker of workers) {
        worker.ref()
        worker.postMessage(job)
      }
    },

    rest() {
      for (const worker of workers) worker.unref()
    },

    async close() {
      discard()
      await Promise.all(ending)
    },
  }
}
