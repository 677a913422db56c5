import { AsyncLocalStorage } from 'node:async_hooks'
import { Agent, type Dispatcher, fetch as undiciFetch } from 'undici'
import { daemonError, saidBy } from './rpc-error.js'
import type { Watch } from './watch.js'

/**
 * The way of kubo-rpc-client's calls to the daemon. That client always uses the global `fetch`, which buffers whole
 * uploads (undici keeps a copy of a streamed body in case of a redirect), drops the trailer in which Kubo reports
 * late errors, and gives up after 300 s of silence. Within `call`, and only there, `fetch` is one that sends without
 * buffering, follows no redirect, turns the trailer into an error, and leaves all deadlines to a `Watch`.
 */
export interface RpcFetch {
  /** Runs calls of the client; each sign of life of the daemon restarts the watch. */
  call<T>(watch: Watch, act: () => Promise<T>): Promise<T>
  /** Runs what belongs to the caller, such as the source of an upload, with the `fetch` of the rest of the process. */
  outside<T>(act: () => T): T
  close(): Promise<void>
}

interface Scope {
  readonly dispatcher: Dispatcher
  readonly watch: Watch
}

const scope = new AsyncLocalStorage<Scope | undefined>()
const STREAM_ERROR = 'x-stream-error'

/** Answers are blocks of 2 MiB at most, and short JSON. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024

/** More than the read-ahead of one reader; further readers wait their turn. */
const CONNECTIONS = 32

export function createRpcFetch({ connectMs }: { readonly connectMs: number }): RpcFetch {
  installScopedFetch()
  const dispatcher = new Agent({
    connect: { timeout: connectMs },
    connections: CONNECTIONS,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: MAX_ANSWER_BYTES,
  })
  return {
    call: (watch, act) => scope.run({ dispatcher, watch }, act),
    outside: (act) => scope.run(undefined, act),
    close: () => dispatcher.destroy(),
  }
}

let installed = false

/** Once for the process; outside of `call` the global `fetch` is what it was. */
function installScopedFetch(): void {
  if (installed) return
  installed = true
  const globalFetch = globalThis.fetch
  const scopedFetch: typeof fetch = (input, init) => {
    const current = scope.getStore()
    return current ? rpcFetch(current, input, init) : globalFetch(input, init)
  }
  globalThis.fetch = scopedFetch
}

async function rpcFetch(
  { dispatcher, watch }: Scope,
  input: unknown,
  init: RequestInit | undefined,
): Promise<Response> {
  // The Fetch classes of this undici and those of the runtime are alike, but not the same types.
  const request = {
    ...init,
    // `redirect` and `window` together are what makes undici send a stream without keeping a copy.
    redirect: 'error',
    window: null,
    dispatcher: dispatcher.compose(observe(watch)),
  } as Parameters<typeof undiciFetch>[1]
  const response: unknown = await undiciFetch(String(input), request)
  return response as Response
}

/**
 * Restarts the watch on each part of an answer, and aborts it when the connection or the trailer tells of an error:
 * undici's `fetch` never ends a body that fails in the same tick in which it began.
 */
function observe(watch: Watch): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
      onRequestUpgrade: (controller, status, headers, socket) =>
        handler.onRequestUpgrade?.(controller, status, headers, socket),
      onResponseStart(controller, status, headers, message) {
        watch.restart()
        handler.onResponseStart?.(controller, status, headers, message)
      },
      onResponseData(controller, chunk) {
        watch.restart()
        handler.onResponseData?.(controller, chunk)
      },
      onResponseEnd(controller, trailers) {
        const late = trailers?.[STREAM_ERROR]
        if (late !== undefined) watch.abort(saidBy(String(late)))
        handler.onResponseEnd?.(controller, trailers)
      },
      onResponseError(controller, error) {
        // An AbortError is the client's own doing: it had read enough.
        if (error.name !== 'AbortError') watch.abort(daemonError(error))
        handler.onResponseError?.(controller, error)
      },
    })
}
