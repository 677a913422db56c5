import { Readable } from 'node:stream'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { parseFileCid } from '../../protocol/cid.js'
import { Type } from '../../typebox.js'
import { streamOf } from '../file-stream.js'
import { Bytes, problems, signalOf, type TypedServer } from '../route.js'

/** `GET /ipfs/:cid`: files as blocks, which whoever asks can check; `GET /files/:cid`: their bytes. Both are encrypted and for all. */
export function ipfsRoutes(server: TypedServer, node: EmrNode): void {
  const params = Type.Object({ cid: Type.String({ minLength: 1, maxLength: 128 }) })

  server.get(
    '/ipfs/:cid',
    {
      config: { access: 'public' },
      schema: {
        tags: ['files'],
        summary: 'A file that this node holds, as a CAR, or one of its blocks',
        params,
        querystring: Type.Object({ format: Type.Enum(['car', 'raw']) }, { additionalProperties: false }),
        response: {
          200: {
            description: 'checkable against the CID',
            content: { 'application/vnd.ipld.car': { schema: Bytes }, 'application/vnd.ipld.raw': { schema: Bytes } },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const cid = parseFileCid(request.params.cid)
      reply.header('x-content-type-options', 'nosniff')
      if (request.query.format === 'raw') {
        reply.type('application/vnd.ipld.raw')
        return Buffer.from(await node.fileBlock(cid))
      }
      reply.type('application/vnd.ipld.car; version=1; order=dfs; dups=n')
      return streamOf(await node.fileAsCar(cid), reply.raw)
    },
  )

  server.get(
    '/files/:cid',
    {
      config: { access: 'public' },
      schema: {
        tags: ['files'],
        summary: 'The bytes of a file, fetched from peers where this node lacks it',
        description: 'Every block is checked against its CID; where one fails the connection is cut.',
        params,
        response: {
          200: { description: 'the bytes', content: { 'application/octet-stream': { schema: Bytes } } },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const contents = await node.readFile(parseFileCid(request.params.cid), signalOf(reply))
      reply.type('application/octet-stream').header('x-content-type-options', 'nosniff')
      return streamOf(contents, reply.raw)
    },
  )

  server.addHook('onSend', async (request, _reply, payload) => {
    // A stream that breaks after its status must end in a cut connection, never as a shorter file.
    if (payload instanceof Readable) {
      payload.once('error', () => request.raw.socket.destroy(new EmrError('file_damaged')))
    }
    return payload
  })
}
