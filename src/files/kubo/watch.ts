import { EmrError } from '../../errors.js'

/** A deadline on the daemon: when it passes, `signal` is aborted with `file_store_timeout`. */
export interface Watch {
  readonly signal: AbortSignal
  /** The daemon gave a sign of life, or it is its turn: the time starts again. */
  restart(): void
  /** It is not the daemon's turn: the time stands still. */
  pause(): void
  /** Ends the call itself with this error. */
  abort(reason: unknown): void
  end(): void
}

/** @param ms how long the daemon may be silent */
export function createWatch(ms: number, callerSignal: AbortSignal | undefined): Watch {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const pause = () => clearTimeout(timer)
  const abort = (reason: unknown) => {
    pause()
    controller.abort(reason)
  }
  const restart = () => {
    pause()
    if (!controller.signal.aborted)
      timer = setTimeout(() => abort(new EmrError('file_store_timeout', undefined, { ms })), ms)
  }
  const stop = () => abort(callerSignal?.reason)
  restart()
  if (callerSignal?.aborted) stop()
  callerSignal?.addEventListener('abort', stop, { once: true })
  return {
    signal: controller.signal,
    restart,
    pause,
    abort,
    end() {
      pause()
      callerSignal?.removeEventListener('abort', stop)
    },
  }
}
