import { EmrError, type ErrorCode, errors, isEmrError } from '../errors.js'
import { isCertificateError } from '../protocol/certificate-errors.js'
import { type Static, type TSchema, Value } from '../typebox.js'
import { type ByteRange, rangeHeader, rangeOf } from './byte-range.js'
import { type ByteStream, fromStream } from './byte-streams.js'
import { ProblemAnswer } from './node-answers.js'
import { type RequestSigner, signedHeaders, signerNow } from './request-signer.js'

/** What is asked of `fetch`: that of browsers, of Node and of undici fit. */
export type Fetch = (url: string, request: FetchRequest) => Promise<FetchAnswer>

export interface FetchRequest {
  method: string
  headers: Record<string, string>
  signal: AbortSignal | null
  body?: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>
  duplex?: 'half'
  redirect: 'error'
  window: null
}

export interface FetchAnswer {
  readonly status: number
  readonly ok: boolean
  readonly headers: { get(name: string): string | null }
  readonly body: ByteStream | null
  json(): Promise<unknown>
}

export interface NodeRequest {
  readonly method?: 'GET' | 'POST'
  readonly type?: string
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>
  /** The part of the answer that is wanted; for `bytes` alone. */
  readonly range?: ByteRange | undefined
  readonly signal?: AbortSignal | undefined
}

/** Asks one node. */
export interface NodeRequester {
  /** An answer in JSON, of this form. */
  json<Schema extends TSchema>(path: string, schema: Schema, request?: NodeRequest): Promise<Static<Schema>>
  /** An answer in bytes, as they come; those of `range` where it is given, whether or not the node can send a part. */
  bytes(path: string, request?: NodeRequest): Promise<AsyncGenerator<Uint8Array, void, undefined>>
}

/**
 * Requests to the node at `url`. What the node refuses is thrown under the code that it gives; beside these:
 * `node_unreachable` when nothing answers, `node_broke_off` when it stops in the middle, `node_unexpected` when
 * something else than a node answers, `cancelled` when `signal` says so.
 *
 * @param signer signs a request that the node refused as `reader_unsigned`, and from then on all but streams. A node
 * that does not ask for it sees no key.
 * @throws EmrError `peer_bad_address` if `url` is not one of http or https
 */
export function createNodeRequester(url: string, fetch: Fetch, signer?: RequestSigner): NodeRequester {
  const base = baseOf(url)
  let isAsked = false

  /** Sends a request, signed where the node has asked for it. */
  async function send(path: string, request: NodeRequest): Promise<FetchAnswer> {
    const canSign = signer !== undefined && !(request.body instanceof ReadableStream)
    const isSigned = canSign && isAsked
    try {
      return await exchange(path, request, isSigned)
    } catch (error) {
      if (!canSign || isSigned || !isEmrError(error, 'reader_unsigned') || !(await signerNow(signer))) throw error
    }
    isAsked = true
    return exchange(path, request, true)
  }

  async function signed(method: string, url: string, body: NodeRequest['body']): Promise<Record<string, string>> {
    const by = await signerNow(signer)
    return by && !(body instanceof ReadableStream) ? signedHeaders({ method, url, body }, by) : {}
  }

  async function exchange(
    path: string,
    { method = 'GET', type, body, range, signal }: NodeRequest,
    isSigned: boolean,
  ): Promise<FetchAnswer> {
    const address = new URL(`.${path}`, base).href
    const signature = isSigned ? await signed(method, address, body) : {}
    let answer: FetchAnswer
    try {
      answer = await fetch(address, {
        method,
        headers: {
          ...signature,
          ...(type === undefined ? {} : { 'content-type': type }),
          ...(range === undefined ? {} : { range: rangeHeader(range) }),
        },
        signal: signal ?? null,
        // Without these two fetch keeps a copy of a body that is a stream, for a redirect that might come.
        redirect: 'error',
        window: null,
        ...(body === undefined ? {} : { body: body instanceof Uint8Array ? Uint8Array.from(body) : body }),
        ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
      })
    } catch (error) {
      throw transportError(error, base, signal)
    }
    if (!answer.ok) throw await problemOf(answer, signal)
    return answer
  }

  return {
    async json(path, schema, request = {}) {
      const answer = await send(path, request)
      let value: unknown
      try {
        value = await answer.json()
      } catch (error) {
        if (error instanceof SyntaxError) throw new EmrError('node_unexpected', 'It sent no JSON.')
        throw transportError(error, base, request.signal, 'node_broke_off')
      }
      if (!Value.Check(schema, value)) throw new EmrError('node_unexpected', `${path.split('?')[0]} has another form.`)
      return value
    },

    async bytes(path, request = {}) {
      const answer = await send(path, request)
      const pieces = readAnswer(answer.body, base, request.signal)
      return request.range === undefined ? pieces : rangeOf({ answer, pieces, range: request.range })
    },
  }
}

async function* readAnswer(
  body: ByteStream | null,
  base: URL,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (!body) return
  const pieces = fromStream(body)
  try {
    for (;;) {
      let next: IteratorResult<Uint8Array, void>
      try {
        next = await pieces.next()
      } catch (error) {
        throw transportError(error, base, signal, 'node_broke_off')
      }
      if (next.done) return
      yield next.value
    }
  } finally {
    await pieces.return()
  }
}

function baseOf(url: string): URL {
  let base: URL
  try {
    base = new URL(url)
  } catch {
    throw new EmrError('peer_bad_address')
  }
  if (base.protocol !== 'http:' && base.protocol !== 'https:') throw new EmrError('peer_bad_address')
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  return base
}

/** Causes that say that a connection was there, and ended before its time. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT'])

function transportError(
  error: unknown,
  base: URL,
  signal: AbortSignal | undefined,
  otherwise: ErrorCode = 'node_unreachable',
): EmrError {
  if (isEmrError(error)) return error
  if (signal?.aborted) return new EmrError('cancelled')
  const cause = error instanceof Error ? error.cause : undefined
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  const broken = typeof code === 'string' && BROKEN.has(code)
  if (typeof code === 'string' && isCertificateError(code)) {
    return new EmrError('node_untrusted', base.origin, { reason: code }, { cause: error })
  }
  // Of the URL only the origin is told on: it could carry a password.
  return new EmrError(broken ? 'node_broke_off' : otherwise, base.origin, {}, { cause: error })
}

async function problemOf(answer: FetchAnswer, signal: AbortSignal | undefined): Promise<EmrError> {
  let problem: unknown
  try {
    problem = await answer.json()
  } catch {
    if (signal?.aborted) return new EmrError('cancelled')
  }
  if (Value.Check(ProblemAnswer, problem) && isErrorCode(problem.code)) {
    return new EmrError(problem.code, problem.detail, { status: answer.status })
  }
  return new EmrError('node_unexpected', `It answered with status ${answer.status}.`, { status: answer.status })
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errors, code)
