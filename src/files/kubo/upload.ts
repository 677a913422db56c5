import { untilAborted } from '../abortable.js'
import { rpcError } from './rpc-error.js'
import type { RpcFetch } from './rpc-fetch.js'
import { createWatch } from './watch.js'

/** Bytes for the daemon; the generator ends with an error of its own when the signal is aborted. */
export type Body = (signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>

/**
 * Streams `body` to the daemon with `send`. There is no limit on the whole, but the daemon may not stand still for
 * longer than `idleMs` while it is its turn. An error of `body` comes out unchanged.
 */
export async function upload<T>(
  rpc: RpcFetch,
  idleMs: number,
  callerSignal: AbortSignal,
  body: Body,
  send: (chunks: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const watch = createWatch(idleMs, callerSignal)
  const chunks = body(watch.signal)
  let failure: { readonly error: unknown } | undefined

  async function* sent(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        watch.pause()
        const next = await rpc.outside(() => chunks.next())
        watch.restart()
        if (next.done) return
        yield next.value
      }
    } catch (error) {
      failure = { error }
      // First cut the connection: the client would end the form properly, and the daemon keep half a file as whole.
      watch.abort(error)
      throw error
    }
  }

  try {
    return await rpc.call(watch, () => untilAborted(send(sent(), watch.signal), watch.signal))
  } catch (error) {
    throw failure ? failure.error : rpcError(error, watch)
  } finally {
    watch.end()
    // Not awaited: the body may be waiting for a source that hangs.
    void chunks.return().catch(() => undefined)
  }
}
