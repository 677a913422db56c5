import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { parseFileCid } from '../../protocol/cid.js'
import { Type } from '../../typebox.js'
import { type ByteRange, type RangeRequest, requestedRange } from '../byte-range.js'
import { streamOf } from '../file-stream.js'
import { Bytes, problems, signalOf, type TypedServer } from '../route.js'

/** `GET /files/:cid`: the bytes of files, which are encrypted and for all. */
export function ipfsRoutes(server: TypedServer, node: EmrNode): void {
  const params = Type.Object({ cid: Type.String({ minLength: 1, maxLength: 128 }) })

  server.get(
    '/files/:cid',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['files'],
        summary: 'The bytes of a file, fetched from peers where this node lacks it',
        description:
          'Every block is checked against its CID; where one fails the connection is cut. `Range` with one range of bytes, and `If-Range` with the ETag, are taken (RFC 9110); 416 says the size in `Content-Range`.',
        params,
        response: {
          200: { description: 'the bytes', content: { 'application/octet-stream': { schema: Bytes } } },
          206: { description: 'the bytes of the range', content: { 'application/octet-stream': { schema: Bytes } } },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const cid = parseFileCid(request.params.cid)
      const { size, read } = await node.openFile(cid, signalOf(reply))
      const etag = `"${cid}"`
      const { range: asked, 'if-range': ifRange } = request.headers
      reply.header('accept-ranges', 'bytes').header('etag', etag).header('x-content-type-options', 'nosniff')
      const range = rangeOr416(reply, { size, etag, range: asked, ifRange: ifRange?.toString() })
      reply.type('application/octet-stream')
      if (!range) return streamOf(read(), reply.header('content-length', size).raw)
      const { start, end } = range
      reply
        .code(206)
        .header('content-range', `bytes ${start}-${end - 1}/${size}`)
        .header('content-length', end - start)
      return streamOf(read(range), reply.raw)
    },
  )

  /** Says in the answer how much there is, where none of it was asked for. */
  function rangeOr416(reply: FastifyReply, request: RangeRequest): ByteRange | undefined {
    try {
      return requestedRange(request)
    } catch (error) {
      reply.header('content-range', `bytes */${request.size}`)
      throw error
    }
  }

  server.addHook('onSend', async (request, _reply, payload) => {
    // A stream that breaks after its status must end in a cut connection, never as a shorter file.
    if (payload instanceof Readable) {
      payload.once('error', () => request.raw.socket.destroy(new EmrError('file_damaged')))
    }
    return payload
  })
}
