import { Readable } from 'node:stream'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { MAX_LABEL_BYTES } from '../../protocol/bodies/record.js'
import { parseFileCid } from '../../protocol/cid.js'
import { Type } from '../../typebox.js'
import type { ChainJson } from '../chain-json.js'
import { PaperBlock, paperBlock, paperIndex } from '../paper-json.js'
import { problems, signalOf, streamed, type TypedServer, WholeNumberText } from '../route.js'

const label = (description: string) => Type.String({ minLength: 1, maxLength: MAX_LABEL_BYTES, description })
const Chain = Type.Object({ chain: Type.Array(PaperBlock), length: Type.Integer() })

/** `add_transaction`, `mine_block`, `get_chain`, `is_valid`, `replace_chain`: the paper's calls about the chain. */
export function paperChainRoutes(server: TypedServer, node: EmrNode, json: ChainJson): void {
  for (const url of ['/add_transaction', '/add_hash']) {
    server.post(
      url,
      {
        config: { access: 'operator' },
        schema: {
          tags: ['paper'],
          summary: 'Record a file under a user and a name, signed by the node',
          body: Type.Object(
            { user_id: label('whose record it is'), ipfs_hash: label('CID of the file'), EHR_name: label('its name') },
            { additionalProperties: false },
          ),
          response: {
            201: Type.Object({
              message: Type.String({ description: 'This transaction will be added to blockchain N' }),
              index: Type.Integer({ description: 'N, the index of the next block' }),
              transaction: Type.String({ description: 'id of the transaction' }),
            }),
            ...problems,
          },
        },
      },
      async (request, reply) => {
        const { user_id, EHR_name, ipfs_hash } = request.body
        const file = parseFileCid(ipfs_hash)
        const { transaction, nextIndex } = await node.addRecord({ user_id, EHR_name, file }, signalOf(reply))
        return reply.code(201).send({
          message: `This transaction will be added to blockchain ${nextIndex}`,
          index: nextIndex,
          transaction: transaction.id.toString(),
        })
      },
    )
  }

  server.route({
    method: ['GET', 'POST'],
    url: '/mine_block',
    config: { access: 'operator' },
    schema: {
      tags: ['paper'],
      summary: 'Mine a block of what is pending',
      response: {
        200: Type.Intersect([
          Type.Object({ message: Type.Literal('Congratulations, you just mined a block!') }),
          PaperBlock,
        ]),
        ...problems,
      },
    },
    handler: async (_request, reply) => {
      const block = await node.mine(signalOf(reply))
      return { message: 'Congratulations, you just mined a block!' as const, ...paperBlock(block) }
    },
  })

  server.get(
    '/get_chain',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['paper'],
        summary: 'The chain, or a part of it',
        querystring: Type.Object(
          {
            from: Type.Optional(WholeNumberText),
            to: Type.Optional(WholeNumberText),
            limit: Type.Optional(WholeNumberText),
          },
          { additionalProperties: false, description: 'indexes, both included; or the newest `limit` blocks' },
        ),
        response: {
          200: streamed('`length` is that of the whole chain', Chain),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { from, to, limit } = request.query
      if (limit !== undefined && (from !== undefined || to !== undefined)) {
        throw new EmrError('bad_request', 'Give from and to, or limit.')
      }
      const length = paperIndex(node.tip().header)
      const first = limit === undefined ? Math.max(1, Number(from ?? 1)) : Math.max(1, length - Number(limit) + 1)
      const last = Math.min(length, Number(to ?? length))
      reply.type('application/json; charset=utf-8')
      return Readable.from(jsonOfChain(json, { first, last, before: '', after: `,"length":${length}` }))
    },
  )

  server.get(
    '/is_valid',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['paper'],
        summary: 'Check the whole chain again from genesis',
        response: {
          200: Type.Object({
            message: Type.String(),
            valid: Type.Boolean(),
            code: Type.Optional(Type.String({ description: 'the rule that is broken' })),
            index: Type.Optional(Type.Integer({ description: 'the block that breaks it' })),
          }),
          ...problems,
        },
      },
    },
    async (_request, reply) => {
      const verdict = await node.checkChain(signalOf(reply))
      if (verdict.valid) return { message: 'The blockchain is valid.', valid: true }
      return { message: 'The blockchain is not valid.', valid: false, code: verdict.code, index: verdict.height + 1 }
    },
  )

  server.get(
    '/replace_chain',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['paper'],
        summary: 'Ask all peers for a better chain and take the best',
        response: {
          200: streamed(
            '`new_chain` after a replacement, else `actual_chain`',
            Type.Object({
              message: Type.String(),
              new_chain: Type.Optional(Type.Array(PaperBlock)),
              actual_chain: Type.Optional(Type.Array(PaperBlock)),
            }),
          ),
          ...problems,
        },
      },
    },
    async (_request, reply) => {
      const before = node.tip().header.id
      await node.syncAll()
      const replaced = !node.tip().header.id.equals(before)
      const message = replaced ? 'The chain was replaced by a better one.' : 'The chain is the best that is known.'
      reply.type('application/json; charset=utf-8')
      return Readable.from(
        jsonOfChain(json, {
          first: 1,
          last: paperIndex(node.tip().header),
          before: `"message":${JSON.stringify(message)},`,
          after: '',
          key: replaced ? 'new_chain' : 'actual_chain',
        }),
      )
    },
  )
}

/** The text of `{"chain":[...]}`, some blocks at a time, so that a long chain takes no memory. */
async function* jsonOfChain(
  json: ChainJson,
  part: { first: number; last: number; before: string; after: string; key?: string },
): AsyncGenerator<string | Buffer> {
  yield `{${part.before}"${part.key ?? 'chain'}":[`
  let isFirst = true
  for await (const blocks of json.blocks(part.first - 1, part.last - 1)) {
    if (blocks.length === 0) continue
    // The first block has no comma before it.
    yield isFirst ? blocks.subarray(1) : blocks
    isFirst = false
  }
  yield `]${part.after}}`
}
