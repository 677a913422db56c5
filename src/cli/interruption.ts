import { EmrError } from '../errors.js'
import { whenReaderLeaves } from './output.js'

/**
 * Aborts, with `cancelled`, when somebody asks this process to end: Ctrl-C, SIGTERM, or a terminal that
 * closes. Asking a second time in the same way ends the process at once.
 *
 * @param ofReader aborts too when nobody reads the output any more, for a command that has things to put away
 */
export function interruption({ ofReader = false } = {}): AbortSignal {
  const controller = new AbortController()
  if (ofReader) whenReaderLeaves(() => controller.abort(new EmrError('cancelled')))
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
