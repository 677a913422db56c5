import { EmrError } from '../errors.js'

/**
 * Aborts, with `cancelled`, when somebody asks this process to end: Ctrl-C, SIGTERM, or a terminal that
 * closes. Asking a second time in the same way ends the process at once.
 */
export function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => controller.abort(new EmrError('cancelled')))
  }
  return controller.signal
}

/** Resolves when a signal aborts. */
export const whenAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
