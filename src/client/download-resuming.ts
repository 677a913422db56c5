import { EmrError, isEmrError } from '../errors.js'
import type { ByteRange } from './byte-range.js'
import type { NodeClient } from './node-client.js'

export interface ResumingOptions {
  /** From where on, and up to where; the whole file if left out. */
  readonly range?: ByteRange | undefined
  /** Called with the place in the file up to which bytes have come. */
  readonly onProgress?: ((place: number) => void) | undefined
  /** Called before each attempt after the first. */
  readonly onRetry?: ((retry: Retry) => void) | undefined
  readonly signal?: AbortSignal | undefined
  /** How long it waits before each further attempt, in ms; there are so many in a row without a byte. */
  readonly pauses?: readonly number[]
  /** A connection on which nothing has come for so long counts as broken, in ms, once a byte has come. */
  readonly idleMs?: number
}

/** Why, and when, a download goes on. */
export interface Retry {
  /** Attempts in a row that brought nothing, this one included, and how many there will be. */
  readonly attempt: number
  readonly of: number
  readonly inMs: number
  readonly error: EmrError
}

const PAUSES = [500, 1000, 2000, 4000, 8000]
const IDLE_MS = 30_000

/**
 * The encrypted bytes of a file from a node, which may go away in between: what broke off is taken up where it stopped.
 * A node that answers with an error, or that cannot be reached from the first, is not asked again.
 *
 * @throws EmrError what `downloadFile` throws in the end
 */
export async function* downloadResuming(
  client: Pick<NodeClient, 'downloadFile'>,
  cid: string,
  { range = { start: 0 }, onProgress, onRetry, signal, pauses = PAUSES, idleMs = IDLE_MS }: ResumingOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = range.start
  let failures = 0
  let wasThere = false
  for (;;) {
    try {
      // From the very beginning, a node that knows no ranges will do.
      const rest = at === 0 && range.end === undefined ? {} : { range: { start: at, end: range.end } }
      for await (const piece of withIdleLimit((until) => client.downloadFile(cid, { ...rest, signal: until }))) {
        at += piece.length
        failures = 0
        wasThere = true
        onProgress?.(at)
        yield piece
      }
      return
    } catch (error) {
      // It broke off behind the last byte.
      if (wasThere && isEmrError(error, 'range_unsatisfiable')) return
      const pause = pauses[failures]
      if (pause === undefined || !isEmrError(error) || !isPassing(error, wasThere || failures > 0)) throw error
      failures++
      onRetry?.({ attempt: failures, of: pauses.length, inMs: pause, error })
      await wait(pause, signal)
    }
  }

  async function* withIdleLimit(download: (signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>) {
    const idle = new AbortController()
    const pieces = download(signal ? AbortSignal.any([signal, idle.signal]) : idle.signal)
    let timer: ReturnType<typeof setTimeout> | undefined
    try {
      // Until the first byte it may take long: the node may have to fetch the file.
      for (let first = true; ; first = false) {
        if (!first) timer = setTimeout(() => idle.abort(), idleMs)
        const next = await pieces.next()
        clearTimeout(timer)
        if (next.done) return
        yield next.value
      }
    } catch (error) {
      if (idle.signal.aborted && signal?.aborted !== true)
        throw new EmrError('node_broke_off', 'Nothing came any more.')
      throw error
    } finally {
      clearTimeout(timer)
      await pieces.return()
    }
  }
}

/** Whether the node may be there again a moment later. */
const isPassing = (error: EmrError, wasThere: boolean): boolean =>
  error.code === 'node_broke_off' || (wasThere && (error.code === 'node_unreachable' || error.code === 'closing'))

const wait = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(new EmrError('cancelled'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop, { once: true })
  })
