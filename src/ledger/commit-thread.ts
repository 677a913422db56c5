import { Worker } from 'node:worker_threads'
import { EmrError } from '../errors.js'
import { failpoint } from '../failpoint.js'
import { type PageWrite, packWrites } from './page-writes.js'
import type { CommitReply, CommitRequest } from './pages.js'

/** Writes transactions of one database off the main thread; those that are asked for meanwhile share the next commit. */
export interface CommitThread {
  /**
   * Resolves when all the writes are committed, rejects when none is.
   * The rejection has the `code` that LMDB or the system gave.
   */
  commit(writes: readonly PageWrite[]): Promise<void>
  /** Waits for what was asked, then ends the thread. */
  close(): Promise<void>
}

interface Waiting {
  readonly writes: readonly PageWrite[]
  resolve(): void
  reject(error: unknown): void
}

/** The thread starts with the first commit. */
export const createCommitThread = (folder: string, durable: boolean): CommitThread => {
  let worker: Worker | undefined
  let queued: Waiting[] = []
  let underWay: Waiting[] = []
  let isScheduled = false
  let ended: unknown
  let onIdle: (() => void) | undefined

  const settle = (settleOne: (one: Waiting) => void): void => {
    const done = underWay
    underWay = []
    for (const one of done) settleOne(one)
  }
  const start = (): Worker => {
    const started = new Worker(new URL('./commit-worker.js', import.meta.url), {
      workerData: { folder, durable },
      execArgv: [],
    })
    started.on('message', (reply: CommitReply) => {
      failpoint('commit.answered')
      settle((one) => {
        if (reply.done) one.resolve()
        else one.reject(Object.assign(new Error('the commit was refused'), { code: reply.code }))
      })
      next()
    })
    const end = (cause: unknown): void => {
      ended ??= cause ?? new EmrError('disk_failed', 'The thread that commits has ended.')
      underWay.push(...queued)
      queued = []
      settle((one) => one.reject(ended))
      onIdle?.()
    }
    started.once('error', end)
    started.once('exit', () => end(undefined))
    return started
  }
  const next = (): void => {
    if (underWay.length > 0) return
    if (queued.length === 0) {
      // A thread with nothing to do must not keep the process alive.
      worker?.unref()
      onIdle?.()
      return
    }
    underWay = queued
    queued = []
    worker ??= start()
    worker.ref()
    const request = packWrites(underWay.flatMap(({ writes }) => writes))
    worker.postMessage(request satisfies CommitRequest, [request.buffer])
    failpoint('commit.sent')
  }

  return {
    commit: (writes) =>
      new Promise((resolve, reject) => {
        if (ended !== undefined) return reject(ended)
        queued.push({ writes, resolve, reject })
        if (isScheduled) return
        isScheduled = true
        // After the other calls of this turn, so that they share the commit.
        queueMicrotask(() => {
          isScheduled = false
          next()
        })
      }),

    async close() {
      if (queued.length + underWay.length > 0) {
        await new Promise<void>((resolve) => {
          onIdle = resolve
        })
      }
      const last = worker
      if (!last || ended !== undefined) return
      ended = new EmrError('closing')
      last.ref()
      const exited = new Promise<void>((resolve) => last.once('exit', () => resolve()))
      last.postMessage('close' satisfies CommitRequest)
      await exited
    },
  }
}
