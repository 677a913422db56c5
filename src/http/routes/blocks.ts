import { Readable } from 'node:stream'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import type { Block } from '../../protocol/block.js'
import { CAR_MEDIA_TYPE, decodeBlocks, encodeBlocks, encodeHeaders } from '../../protocol/car.js'
import { parseChainId } from '../../protocol/cid.js'
import { MAX_HEADERS, MAX_LOCATOR } from '../../protocol/peer-messages.js'
import { Type } from '../../typebox.js'
import { PaperBlock, paperBlock } from '../paper-json.js'
import { Bytes, problems, rawBody, type TypedServer, takesOnly, WholeNumberText } from '../route.js'

const CarFormat = Type.Literal('car')

/** `/blocks` and `/headers`: the chain as CAR files, for peers, and single blocks for people. */
export function blockRoutes(server: TypedServer, node: EmrNode): void {
  server.post(
    '/blocks',
    {
      config: { access: 'public' },
      onRequest: takesOnly('application/vnd.ipld.car'),
      bodyLimit: 2 * node.network.maxBlockBytes + 1_048_576,
      schema: {
        tags: ['peers'],
        summary: 'Submit mined blocks, parents first, as a CAR',
        body: rawBody('application/vnd.ipld.car', 'transactions, list, signature, header of each block'),
        response: { 202: Type.Object({ tip: Type.String() }), ...problems },
      },
    },
    async (request, reply) => {
      if (!(request.body instanceof Uint8Array)) throw new EmrError('unsupported_media_type', 'Send a CAR.')
      await node.submitBlocks(decodeBlocks(request.body), request.sender?.address)
      return reply.code(202).send({ tip: node.tip().header.id.toString() })
    },
  )

  server.get(
    '/blocks',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['peers'],
        summary: 'Whole blocks of the main chain, as many as one answer takes',
        querystring: Type.Object(
          { format: CarFormat, from: WholeNumberText, to: WholeNumberText },
          { additionalProperties: false, description: 'heights, both included' },
        ),
        response: {
          200: {
            description: 'transactions, list, signature, header of each block',
            content: { 'application/vnd.ipld.car': { schema: Bytes } },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const from = Number(request.query.from)
      const to = Math.min(Number(request.query.to), node.tip().header.height)
      if (from < 1 || from > to) throw new EmrError('block_unknown')
      reply.type(CAR_MEDIA_TYPE)
      return Readable.from(node.blocksAsCar(from, to))
    },
  )

  server.get(
    '/blocks/:id',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['chain'],
        summary: 'A block by its id, its hash or its index',
        params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 128 }) }),
        querystring: Type.Object(
          { format: Type.Optional(Type.Enum(['json', 'car'])) },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: 'the block',
            content: {
              'application/json': { schema: PaperBlock },
              'application/vnd.ipld.car': { schema: Bytes },
            },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const block = await findBlock(node, request.params.id)
      if (!block) throw new EmrError('block_unknown')
      if (request.query.format !== 'car') return paperBlock(block)
      reply.type(CAR_MEDIA_TYPE)
      return Buffer.from(encodeBlocks([block]))
    },
  )

  server.get(
    '/headers',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['peers'],
        summary: 'Headers of the main chain after the newest id of a locator',
        querystring: Type.Object(
          { format: CarFormat, locator: Type.String({ maxLength: 6_000, description: 'ids, newest first, by comma' }) },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: 'signature and header, parents first',
            content: { 'application/vnd.ipld.car': { schema: Bytes } },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const locator = request.query.locator.split(',')
      if (locator.length > MAX_LOCATOR) throw new EmrError('bad_request', `A locator has ${MAX_LOCATOR} ids at most.`)
      reply.type(CAR_MEDIA_TYPE)
      return Buffer.from(encodeHeaders(node.headersAfter(locator.map(parseChainId), MAX_HEADERS)))
    },
  )
}

function findBlock(node: EmrNode, text: string): Promise<Block | undefined> {
  if (/^[1-9]\d{0,9}$/.test(text)) return node.blockAt(Number(text) - 1)
  return node.block(parseChainId(text))
}
