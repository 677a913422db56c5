import { bytesToHex } from '@noble/hashes/utils.js'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { parseChainId } from '../../protocol/cid.js'
import { PendingMessage } from '../../protocol/peer-messages.js'
import { Type } from '../../typebox.js'
import { bodyJson, HistoryEntryJson, OutcomeJson, StandingJson } from '../consent-json.js'
import { textIn } from '../guard-readers.js'
import { blockPlace, PaperTransaction, paperTransaction, RecordMatch } from '../paper-json.js'
import { Bytes, problems, rawBody, type TypedServer, takesOnly } from '../route.js'

const MEDIA_TYPE = 'application/vnd.ipld.dag-cbor'

/** `/transactions`: signed transactions as bytes, from people and peers, and where they stand. */
export function transactionRoutes(server: TypedServer, node: EmrNode): void {
  server.post(
    '/transactions',
    {
      config: { access: 'public' },
      onRequest: takesOnly(MEDIA_TYPE),
      schema: {
        tags: ['chain'],
        summary: 'Submit a signed transaction',
        description: 'The answer comes when it is on disk: the node will not forget it before it is in a block.',
        body: rawBody(MEDIA_TYPE, 'the signed transaction'),
        response: { 202: Type.Object({ id: Type.String(), state: Type.Literal('pending') }), ...problems },
      },
    },
    async (request, reply) => {
      if (!(request.body instanceof Uint8Array)) throw new EmrError('unsupported_media_type', `Send ${MEDIA_TYPE}.`)
      const { id } = await node.submitTransaction(request.body, request.sender?.address)
      return reply.code(202).send({ id: id.toString(), state: 'pending' })
    },
  )

  server.get(
    '/transactions',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['chain'],
        summary: 'Ids of the transactions that wait for a block, oldest first',
        response: { 200: PendingMessage, ...problems },
      },
    },
    async () => ({ pending: Array.from(node.pendingTransactions(), ({ id }) => id.toString()) }),
  )

  server.get(
    '/transactions/:id',
    {
      config: {
        access: 'reader',
        // Who signed it, with this key or another of the same identity, may see what became of it. That there is
        // nothing of an id is no secret.
        async isOwn({ params }, key) {
          const found = await node.transaction(parseChainId(textIn(params, 'id') ?? ''))
          return !found || isSamePerson(node, bytesToHex(found.transaction.from), key)
        },
      },
      schema: {
        tags: ['chain'],
        summary: 'A transaction and where it stands',
        params: Type.Object({ id: Type.String({ minLength: 1, maxLength: 128, description: 'CID or 64 digits' }) }),
        querystring: Type.Object(
          { format: Type.Optional(Type.Enum(['json', 'raw'], { description: 'raw: the signed bytes' })) },
          { additionalProperties: false },
        ),
        response: {
          200: {
            description: 'the transaction',
            content: {
              'application/json': {
                schema: Type.Object({
                  state: Type.Enum(['pending', 'confirmed']),
                  transaction: PaperTransaction,
                  at: Type.Integer({ description: 'when it was signed, in ms since 1970' }),
                  kind: Type.String(),
                  body: HistoryEntryJson.properties.body,
                  result: Type.Object(OutcomeJson.properties, {
                    description: 'what the contract says to it; for one that waits, what it would say now',
                  }),
                  standing: Type.Optional(StandingJson),
                  block: Type.Optional(RecordMatch.properties.block),
                  confirmations: Type.Optional(Type.Integer()),
                }),
              },
              'application/vnd.ipld.raw': { schema: Bytes },
            },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const status = await node.transaction(parseChainId(request.params.id))
      if (!status) throw new EmrError('transaction_unknown')
      const { transaction } = status
      if (request.query.format === 'raw') {
        reply.type('application/vnd.ipld.raw')
        return Buffer.from(transaction.bytes)
      }
      const place =
        status.state === 'confirmed'
          ? { block: blockPlace(status.block.header), confirmations: status.confirmations }
          : {}
      const standing = node.consent.standing(transaction.id)
      return {
        state: status.state,
        transaction: paperTransaction(transaction),
        at: transaction.at,
        kind: transaction.kind,
        body: bodyJson(transaction),
        result: { ...node.consent.result(status) },
        ...(standing ? { standing: { ...standing } } : {}),
        ...place,
      }
    },
  )
}

function isSamePerson({ readers }: EmrNode, one: string, other: string): boolean {
  const identity = readers.ownerOf(one)?.identity
  return one === other || (identity !== undefined && readers.ownerOf(other)?.identity.equals(identity) === true)
}
