import { createHash, type Hash } from 'node:crypto'
import { Transform } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { EmrError } from '../errors.js'
import type { EmrNode } from '../node/emr-node.js'
import { PEER_HEADER } from '../protocol/peer-messages.js'
import { contentDigest } from '../protocol/request-signature.js'
import type { AccessRules } from './access.js'
import { calledUrl } from './own-names.js'

/** Who signed a request, by a key that was checked. */
export interface RequestSender {
  readonly key: string
  /** Where this key was proved to answer, if it was. */
  readonly address?: string
  /** Whether it is a node that is known, or says that it is one; else it may be a person. */
  readonly isNode: boolean
}

declare module 'fastify' {
  interface FastifyRequest {
    sender: RequestSender | undefined
    /** Takes in the body as it is read. */
    bodyHash: Hash | undefined
  }
}

/** Whether the body is not read before the handler: a form, which streams, or what comes with a call that takes none. */
function isReadLate({ method, headers }: FastifyRequest): boolean {
  const isForm = headers['content-type']?.trim().toLowerCase().startsWith('multipart/') ?? false
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return isForm || (hasBody && method !== 'POST')
}

/**
 * Checks the signature of every request that has one or says that it comes from a peer: the fields before the
 * body is read, the body before anything is done with it. Others go on as before, without a sender.
 */
export function identifySenders(
  server: FastifyInstance,
  node: EmrNode,
  { origins }: Pick<AccessRules, 'origins'>,
): void {
  server.decorateRequest('sender', undefined)
  server.decorateRequest('bodyHash', undefined)

  server.addHook('onRequest', async (request) => {
    const { headers, raw } = request
    const claimed = single(headers[PEER_HEADER])
    if (claimed === undefined && headers.signature === undefined && headers['signature-input'] === undefined) return
    const url = calledUrl(headers.host ?? '', raw.url ?? '', origins())
    const fields = {
      'content-digest': single(headers['content-digest']),
      'signature-input': single(headers['signature-input']),
      signature: single(headers.signature),
    }
    // A greeting is how a node with a new key takes its old address over: it is called back there.
    const isGreeting = request.method === 'POST' && request.routeOptions.url === '/peers'
    const signed = { method: request.method, url, fields }
    const sender = await node.authenticate(signed, isGreeting ? undefined : claimed)
    request.sender = { ...sender, isNode: claimed !== undefined || sender.address !== undefined }
    // Nobody could say in time whether such a body is the one that was signed; no node sends one.
    if (isReadLate(request))
      throw new EmrError('peer_wrong_digest', 'A signed request has a body that is read at once.')
    request.bodyHash = createHash('sha256')
  })

  server.addHook('preParsing', (request, _reply, payload, done) => {
    if (!request.bodyHash) return done(null, payload)
    const watch = new Transform({
      transform(part: Buffer, _encoding, done) {
        request.bodyHash?.update(part)
        done(null, part)
      },
    })
    payload.once('error', (error: Error) => watch.destroy(error))
    done(null, payload.pipe(watch))
  })

  server.addHook('preValidation', (request, _reply, done) => {
    const { bodyHash } = request
    // A hash that has ended throws where a further part comes, out of the reach of every handler.
    request.bodyHash = undefined
    const isIntact = !bodyHash || contentDigest(bodyHash.digest()) === request.headers['content-digest']
    done(isIntact ? undefined : new EmrError('peer_wrong_digest'))
  })
}

/** Who sent a request that only a peer can make. @throws EmrError `peer_unsigned` */
export function senderOf(request: FastifyRequest): RequestSender {
  if (!request.sender) throw new EmrError('peer_unsigned')
  return request.sender
}

const single = (field: string | string[] | undefined): string | undefined =>
  Array.isArray(field) ? field.join(', ') : field
