import { EmrError, type ErrorCode } from '../../errors.js'
import { abortError } from '../abortable.js'
import type { Watch } from './watch.js'

/** Codes of the system and of undici for a daemon that cannot be reached, or that went away in the middle. */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
])

const MAX_DETAIL = 200

/** Our error for what a call of kubo-rpc-client threw under this watch. */
export const rpcError = (error: unknown, { signal }: Watch): EmrError =>
  signal.aborted ? abortError(signal) : daemonError(error)

/** Our error for one of the client or of its connection. The client exports no error classes, so names are matched. */
export function daemonError(error: unknown): EmrError {
  if (error instanceof EmrError) return error
  const chain = [...causes(error)]
  const http = chain.find(({ name }) => name === 'HTTPError')
  if (http && isMissing(http.message)) return withCause('file_unavailable', http)
  if (http) return saidBy(http.message, http)
  if (chain.some(({ name }) => name === 'TimeoutError')) return withCause('file_store_timeout', error)
  if (chain.some((cause) => 'code' in cause && UNREACHABLE.has(String(cause.code)))) {
    return withCause('file_store_unreachable', error)
  }
  return saidBy(chain.at(-1)?.message ?? String(error), error)
}

/** `file_store_failed` with the daemon's own words. */
export const saidBy = (words: string, cause?: unknown): EmrError =>
  new EmrError('file_store_failed', `It says: ${words.slice(0, MAX_DETAIL)}`, {}, { cause })

/** Whether Kubo says that it has a block not at hand, asked offline. */
const isMissing = (message: string): boolean => /not found locally|could not find|block not found/i.test(message)

/** Whether Kubo says that a CID is not pinned. */
export const isNotPinned = (error: unknown): boolean =>
  [...causes(error)].some(
    ({ name, message }) => name === 'HTTPError' && /is not pinned|not pinned or pinned/i.test(message),
  )

const withCause = (code: ErrorCode, cause: unknown): EmrError => new EmrError(code, undefined, {}, { cause })

/** The error and its causes, outermost first; of several that happened at once, each. */
function* causes(error: unknown): Generator<Error, void, undefined> {
  if (!(error instanceof Error)) return
  yield error
  if (error instanceof AggregateError) for (const one of error.errors) yield* causes(one)
  yield* causes(error.cause)
}
