import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { EmrError, type ErrorCode, errors, isEmrError } from '../errors.js'
import { ACCEPT_SIGNATURE } from '../protocol/request-signature.js'
import { Type } from '../typebox.js'
import type { RequestSender } from './sender.js'
import { statusCodes } from './status-codes.js'

/** Every refusal, as `application/problem+json` (RFC 9457) with a code of docs/errors.md. */
export const Problem = Type.Object({
  type: Type.Literal('about:blank'),
  title: Type.String({ description: 'the sentence of the catalogue' }),
  status: Type.Integer(),
  code: Type.String({ description: 'stable name of the cause' }),
  detail: Type.Optional(Type.String({ description: 'what is particular to this occurrence' })),
})

/** Which of our codes the errors of Fastify and its plugins are. */
const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_REQ_FILE_TOO_LARGE: 'body_too_large',
  FST_ERR_NOT_FOUND: 'not_found',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'unsupported_media_type',
}

/**
 * Answers every error of a request with its problem; what was not foreseen is logged and answered as `internal`.
 *
 * @param judge hears what was refused of a sender who signed
 */
export function registerErrorReplies(
  server: FastifyInstance,
  judge: (sender: RequestSender, error: unknown) => void,
): void {
  server.setErrorHandler((error: FastifyError | EmrError | Error, request, reply) => {
    // Who only asks cannot be at fault for what is found here.
    if (request.sender?.isNode && request.method === 'POST') judge(request.sender, error)
    sendProblem(reply, request, asEmrError(error))
  })
  const routes: { methods: string[]; pattern: RegExp }[] = []
  server.addHook('onRoute', ({ method, url }) => {
    routes.push({ methods: [method].flat(), pattern: patternOf(url) })
  })
  server.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? ''
    const taken = new Set(routes.flatMap(({ methods, pattern }) => (pattern.test(path) ? methods : [])))
    if (taken.size > 0) reply.header('allow', [...taken].join(', '))
    sendProblem(reply, request, new EmrError(taken.size > 0 ? 'method_not_allowed' : 'not_found'))
  })
}

/** Answers what Fastify refuses before it looks for a route, such as an address that is not well-formed. */
export const answerBadAddress = (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void =>
  sendProblem(reply, request, asEmrError(error))

/** Which of our codes the errors of Node's parser are; what is not here is a `bad_request`. */
const parserCodes: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/**
 * How long a refused connection stays for its client to read the answer, in ms. A connection that is cut while more
 * comes in takes the answer with it; one that only the client can close would stay for as long as he likes.
 */
const LINGER = 1_000

/** Answers what is no request, or none in time, so that nothing of Fastify has seen it, and closes the connection. */
export function answerBadRequest(this: FastifyInstance, error: Error & { code?: string }, socket: Socket): void {
  this.log.trace({ err: error }, 'client error')
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const code = parserCodes[error.code ?? ''] ?? 'bad_request'
  const status = statusCodes[code] ?? 400
  const body = JSON.stringify({ type: 'about:blank', title: errors[code].sentence, status, code })
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'connection: close',
      'content-type: application/problem+json',
      `content-length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  )
  setTimeout(() => socket.destroy(), LINGER).unref()
}

/** Matches the paths of a route. */
function patternOf(url: string): RegExp {
  const parts = url.split('/').map((part) => {
    if (part === '*') return '.*'
    return part.startsWith(':') ? '[^/]+' : part.replace(/[^\w-]/g, '\\$&')
  })
  return new RegExp(`^${parts.join('/')}$`)
}

function asEmrError(error: FastifyError | EmrError | Error): EmrError {
  if (isEmrError(error)) return error
  const code = 'code' in error ? fastifyCodes[error.code] : undefined
  // Only calls that take JSON leave the content type to Fastify.
  if (code) return new EmrError(code, code === 'unsupported_media_type' ? 'Send application/json.' : undefined)
  const status = 'statusCode' in error ? (error.statusCode ?? 500) : 500
  if (status < 500) return new EmrError('bad_request', error.message)
  return new EmrError('internal', undefined, {}, { cause: error })
}

function sendProblem(reply: FastifyReply, request: FastifyRequest, error: EmrError): void {
  const status = statusCodes[error.code] ?? 500
  // That the node closes, or what it works with fails it, is no fault of its own.
  if (status === 500) request.log.error({ err: error, code: error.code }, 'request failed')
  else if (status > 500 && error.code !== 'closing') request.log.warn({ code: error.code }, 'request failed')
  const title = errors[error.code].sentence
  // What a failure of the node itself has to say is for its log.
  const detail = status === 500 ? '' : error.message.slice(title.length).trim()
  reply.code(status).type('application/problem+json')
  if (error.code === 'reader_unsigned') reply.header('accept-signature', ACCEPT_SIGNATURE)
  if (error.code === 'token_required' || error.code === 'reader_unsigned')
    reply.header('www-authenticate', 'Bearer realm="emrchain"')
  if (status === 503) reply.header('retry-after', '5')
  // The rest of an upload is not read any more, so the connection is of no further use.
  if (request.headers['content-type']?.startsWith('multipart/')) reply.header('connection', 'close')
  reply.send({ type: 'about:blank', title, status, code: error.code, ...(detail ? { detail } : {}) })
}
