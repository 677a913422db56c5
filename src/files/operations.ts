import { setMaxListeners } from 'node:events'
import { EmrError } from '../errors.js'

/** The calls on one store that are under way, so that `close` can end them all. */
export interface Operations {
  /**
   * Runs a call; its signal is aborted when the caller aborts, and with `closing` when the store closes.
   *
   * @throws EmrError `closing` after `close`
   */
  run<T>(callerSignal: AbortSignal | undefined, act: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** As `run`, for what is consumed piece by piece. */
  stream<T>(
    callerSignal: AbortSignal | undefined,
    read: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined>
  /** Aborts what is under way and waits for calls of `run`; a stream may wait for its consumer for ever. */
  close(): Promise<void>
}

export function createOperations(): Operations {
  const controllers = new Set<AbortController>()
  const running = new Set<Promise<unknown>>()
  let closed = false

  function start(callerSignal: AbortSignal | undefined): { signal: AbortSignal; end: () => void } {
    if (closed) throw new EmrError('closing')
    const controller = new AbortController()
    // Each block that is read ahead listens; that is no leak.
    setMaxListeners(0, controller.signal)
    const stop = () => controller.abort(callerSignal?.reason)
    if (callerSignal?.aborted) stop()
    callerSignal?.addEventListener('abort', stop, { once: true })
    controllers.add(controller)
    const end = () => {
      callerSignal?.removeEventListener('abort', stop)
      controllers.delete(controller)
    }
    return { signal: controller.signal, end }
  }

  return {
    async run(callerSignal, act) {
      const { signal, end } = start(callerSignal)
      const call = act(signal)
      running.add(call)
      try {
        return await call
      } finally {
        running.delete(call)
        end()
      }
    },

    async *stream(callerSignal, read) {
      const { signal, end } = start(callerSignal)
      try {
        yield* read(signal)
      } finally {
        end()
      }
    },

    async close() {
      closed = true
      for (const controller of controllers) controller.abort(new EmrError('closing'))
      await Promise.allSettled(running)
    },
  }
}
