import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type {} from '@fastify/multipart'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify'
import { EmrError } from '../errors.js'
import { Type } from '../typebox.js'
import { Problem } from './error-replies.js'

/** The server with types that follow from the schemas. */
export type TypedServer = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

/** The answers that every call can give beside its own: problems, by their status. */
export const problems = {
  '4xx': { description: 'refused; `code` says why', content: { 'application/problem+json': { schema: Problem } } },
  '5xx': { description: 'failed; `code` says why', content: { 'application/problem+json': { schema: Problem } } },
}

/** A JSON answer that the handler writes as a stream of text: documented by its schema, not serialised by it. */
export const streamed = <T extends Type.TSchema>(description: string, schema: T) => ({
  description,
  content: { 'application/json': { schema: Type.Unsafe<Readable>(schema) } },
})

/** Bytes, as a stream or whole. */
export const Bytes = Type.Unsafe<Readable | Buffer>({ type: 'string', format: 'binary' })

/** A body that is taken as bytes, whatever they are. */
export const rawBody = (type: string, description: string) => ({
  content: { [type]: { schema: Type.Unsafe<Buffer>({ description }) } },
})

/**
 * A hook that refuses every content type but one, before the body is read: what may be large because it is
 * bytes must not be parsed as something else first.
 */
export const takesOnly =
  (type: string) =>
  (request: FastifyRequest, _reply: unknown, done: (error?: Error) => void): void => {
    const sent = request.headers['content-type']?.split(';')[0]?.trim().toLowerCase()
    done(sent === type ? undefined : new EmrError('unsupported_media_type', `Send ${type}.`))
  }

/** Whole numbers in a query string arrive as text. */
export const WholeNumberText = Type.String({ pattern: '^(0|[1-9]\\d{0,9})$' })

/** Aborts when the client goes away before it has its answer. */
export function signalOf(reply: { raw: ServerResponse }): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new EmrError('cancelled'))
  })
  return controller.signal
}

/**
 * What a request asks for, as counts and logs may say it: its method and the template of its route. Who asks for
 * what is not there may have written anything, so nothing of that is said.
 */
export function routeOf(request: FastifyRequest): { method: string; route: string } {
  const { url } = request.routeOptions
  return url === undefined ? { method: 'other', route: 'none' } : { method: request.method, route: url }
}
