import { EmrError } from '../errors.js'

/** The error of a call whose signal was aborted: the signal's reason if that is one of ours, else `cancelled`. */
export const abortError = (signal: AbortSignal): EmrError =>
  signal.reason instanceof EmrError ? signal.reason : new EmrError('cancelled')

/** @throws EmrError if the signal was aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal)
}

/**
 * The source, ended with `abortError` as soon as the signal is aborted, also while the source is silent.
 * Promise.race is not used: against a promise that lives as long as the call it would keep every chunk in memory.
 */
export async function* abortable<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  try {
    for (;;) {
      throwIfAborted(signal)
      const next = await untilAborted(iterator.next(), signal)
      if (next.done) {
        ended = true
        return
      }
      yield next.value
    }
  } finally {
    // Not awaited: a source that hangs would hold up the abort.
    if (!ended) void iterator.return?.()?.then(undefined, () => undefined)
  }
}

/** The promise's outcome, or `abortError` if the signal is aborted first. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(abortError(signal))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
