import type { CID } from 'multiformats/cid'
import { untilAborted } from '../abortable.js'
import { rpcError, saidBy } from './rpc-error.js'
import type { RpcFetch } from './rpc-fetch.js'
import { createWatch } from './watch.js'

/** One line of the daemon's answer: a block that it deleted, or why it could not. */
export interface Collected {
  readonly cid?: CID | null
  readonly err?: Error | null
}

/**
 * The blocks that the daemon deletes, as it says so. It may be silent for `idleMs`: it marks what is pinned first. What
 * it could not delete does not end the collection, and is told at its end.
 *
 * @throws EmrError `file_store_failed` with the daemon's words on the first block that stayed
 */
export async function* collectBlocks(
  rpc: Pick<RpcFetch, 'call'>,
  idleMs: number,
  callerSignal: AbortSignal,
  begin: (signal: AbortSignal) => AsyncIterable<Collected>,
): AsyncGenerator<CID, void, undefined> {
  const watch = createWatch(idleMs, callerSignal)
  const lines = begin(watch.signal)[Symbol.asyncIterator]()
  let failure: Error | undefined
  let ended = false
  try {
    for (;;) {
      watch.restart()
      const next = await rpc.call(watch, () => untilAborted(lines.next(), watch.signal))
      watch.pause()
      if (next.done) break
      const { cid, err } = next.value
      if (err) failure ??= err
      else if (cid) yield cid
    }
    ended = true
    if (failure) throw saidBy(failure.message, failure)
  } catch (error) {
    ended = true
    throw rpcError(error, watch)
  } finally {
    watch.end()
    if (!ended) void lines.return?.()?.then(undefined, () => undefined)
  }
}
