import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { MAX_REQUEST_BYTES } from '../../protocol/person-request.js'
import type { ReleaseReceipt } from '../../protocol/release.js'
import type { SignedMap } from '../../protocol/signed-map.js'
import { type Static, Type } from '../../typebox.js'
import { Bytes, problems, rawBody, type TypedServer, takesOnly, WholeNumberText } from '../route.js'
import { senderOf } from '../sender.js'

const MEDIA_TYPE = 'application/vnd.ipld.dag-cbor'
const Id = Type.String({ minLength: 1, maxLength: 128, description: 'CID or 64 digits' })
const hex = (description: string) => Type.String({ pattern: '^([0-9a-f]{2})*$', description })
const text = (id: Uint8Array): string => chainCidAt(id, 0).toString()
const idOf = (value: string): Uint8Array => parseChainId(value).bytes
/** Receipts in one answer. */
const MOST_RELEASES = 100

const ReleaseJson = Type.Object({
  custodian: Type.String({ description: 'id of the node that gave the share out' }),
  asker: Type.String({ description: 'id of who got it' }),
  access: Type.String({ description: 'id of the access that it was for' }),
  at: Type.Integer({ description: 'when, in ms since 1970, by the clock of the custodian' }),
  key: hex('Ed25519 key of the custodian'),
  receipt: hex('the receipt as it was signed (docs/protocol.md, "Custodians")'),
  next: Type.String({ description: '`after` of the question for those that follow' }),
})

function releaseJson({ fields, bytes }: SignedMap<ReleaseReceipt>): Static<typeof ReleaseJson> {
  const [custodian, access] = [text(fields.custodian), text(fields.access)]
  return {
    ...{ custodian, asker: text(fields.asker), access, at: fields.at },
    ...{ key: bytesToHex(fields.key), receipt: bytesToHex(bytes), next: `${access}.${custodian}` },
  }
}

/** The body as it came. @throws EmrError `unsupported_media_type` */
function bytesOf(body: unknown): Uint8Array {
  if (!(body instanceof Uint8Array)) throw new EmrError('unsupported_media_type', `Send ${MEDIA_TYPE}.`)
  return body
}

const taken = (description: string) => ({
  config: { access: 'public' as const },
  onRequest: takesOnly(MEDIA_TYPE),
  bodyLimit: MAX_REQUEST_BYTES,
  body: rawBody(MEDIA_TYPE, description),
})

/** `/shares`: what people ask of this node as a custodian, and custodians of each other. */
export function shareRoutes(server: TypedServer, { custody }: EmrNode): void {
  const deposit = taken('a signed `deposit`')
  server.post(
    '/shares',
    {
      config: deposit.config,
      onRequest: deposit.onRequest,
      bodyLimit: deposit.bodyLimit,
      schema: {
        tags: ['custody'],
        summary: 'Have a share and a sealed label kept for a patient',
        description: 'The answer comes when both are on disk. It is an entry of `receipts` of the record.',
        body: deposit.body,
        response: {
          200: Type.Object({ node: Type.String(), key: hex('Ed25519 key'), sig: hex('over the deposit') }),
          ...problems,
        },
      },
    },
    async (request) => {
      const { node, key, sig } = await custody.deposit(bytesOf(request.body))
      return { node: text(node), key: bytesToHex(key), sig: bytesToHex(sig) }
    },
  )

  const release = taken('a signed `release`')
  server.post(
    '/shares/:record/release',
    {
      config: release.config,
      onRequest: release.onRequest,
      bodyLimit: release.bodyLimit,
      schema: {
        tags: ['custody'],
        summary: 'Get the share of a record, sealed to who asks, if consent allows it',
        description: 'It may take 40 s: another node has to take the access, and the custodians have to agree.',
        params: Type.Object({ record: Id }),
        body: release.body,
        response: {
          200: Type.Object({
            custodian: Type.String(),
            access: Type.String({ description: 'id of the access' }),
            enc: hex('ephemeral key'),
            ct: hex('sealed share and label'),
          }),
          ...problems,
        },
      },
    },
    async (request) => {
      const record = parseChainId(request.params.record)
      const { custodian, access, enc, ct } = await custody.release(bytesOf(request.body), record.bytes)
      return { custodian: text(custodian), access: text(access), enc: bytesToHex(enc), ct: bytesToHex(ct) }
    },
  )

  server.get(
    '/shares/:record/releases',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['custody'],
        summary: 'Signed receipts of the releases of a record that this node knows of, by access and custodian',
        params: Type.Object({ record: Id }),
        querystring: Type.Object(
          {
            limit: Type.Optional(WholeNumberText),
            after: Type.Optional(
              Type.String({ pattern: '^\\w{1,128}\\.\\w{1,128}$', description: '`next` of the last one so far' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ releases: Type.Array(ReleaseJson) }), ...problems },
      },
    },
    async ({ params, query: { limit, after } }) => {
      const [access = '', custodian = ''] = after?.split('.') ?? []
      const found = custody.releasesOf(parseChainId(params.record).bytes, {
        limit: Math.min(Number(limit ?? MOST_RELEASES), MOST_RELEASES),
        after: after === undefined ? undefined : { access: idOf(access), custodian: idOf(custodian) },
      })
      return { releases: found.map(releaseJson) }
    },
  )

  const view = taken('a question of another custodian')
  server.post(
    '/shares/views',
    {
      config: view.config,
      onRequest: view.onRequest,
      bodyLimit: view.bodyLimit,
      schema: {
        tags: ['custody'],
        summary: 'How this node sees the tip and pending withdrawals of consent, signed',
        description: 'For who signs the request as a node that is a custodian of the patient.',
        body: view.body,
        response: {
          200: { description: 'the view', content: { [MEDIA_TYPE]: { schema: Bytes } } },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { key } = senderOf(request)
      const answer = await custody.view(bytesOf(request.body), hexToBytes(key))
      reply.type(MEDIA_TYPE)
      return Buffer.from(answer)
    },
  )

  const handover = taken('a signed `handover` of another custodian')
  server.post(
    '/shares/handovers',
    {
      config: handover.config,
      onRequest: handover.onRequest,
      bodyLimit: handover.bodyLimit,
      schema: {
        tags: ['custody'],
        summary: 'Have a share kept that another custodian of the patient kept until now',
        description: 'The answer comes when it is on disk.',
        body: handover.body,
        response: {
          200: { description: 'the signed receipt', content: { [MEDIA_TYPE]: { schema: Bytes } } },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const answer = await custody.takeOver(bytesOf(request.body))
      reply.type(MEDIA_TYPE)
      return Buffer.from(answer)
    },
  )

  const receipt = taken('a signed receipt of a release')
  server.post(
    '/shares/releases',
    {
      config: receipt.config,
      onRequest: receipt.onRequest,
      bodyLimit: receipt.bodyLimit,
      schema: {
        tags: ['custody'],
        summary: 'Tell this node that a custodian gave a share out',
        body: receipt.body,
        response: { 200: Type.Object({ isNew: Type.Boolean() }), ...problems },
      },
    },
    async (request) => ({ isNew: await custody.takeReceipt(bytesOf(request.body)) }),
  )
}
