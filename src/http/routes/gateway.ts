import type { FastifyReply, FastifyRequest } from 'fastify'
import { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../../errors.js'
import type { EmrNode, FileBytes } from '../../node/emr-node.js'
import { encodeCarHeader } from '../../protocol/car.js'
import { parseFileCid } from '../../protocol/cid.js'
import { Type } from '../../typebox.js'
import { attachment } from '../attachment.js'
import { type ByteRange, requestedRange } from '../byte-range.js'
import { namesTag } from '../entity-tag.js'
import { streamOf } from '../file-stream.js'
import { entityTagOf, GatewayQuery, type GatewayRequest, plainQueryOf, readGatewayRequest } from '../gateway-request.js'
import { Bytes, problems, type TypedServer } from '../route.js'

const RAW_TYPE = 'application/vnd.ipld.raw'
const CAR_TYPE = 'application/vnd.ipld.car'
/** What a CID names never changes. */
const FOR_EVER = 'max-age=29030400, immutable'

/**
 * `GET` and `HEAD /ipfs/:cid`: files as blocks, which whoever asks can check, by the specification of the Trustless
 * Gateway (specs.ipfs.tech/http-gateways/trustless-gateway). It gives what this node holds and fetches nothing.
 */
export function gatewayRoutes(server: TypedServer, node: EmrNode): void {
  const cacheControl = `${node.readers.isOpen ? 'public' : 'private'}, ${FOR_EVER}`
  const files = {
    content: { [CAR_TYPE]: { schema: Bytes }, [RAW_TYPE]: { schema: Bytes } },
  }

  for (const method of ['GET', 'HEAD'] as const) {
    server.route({
      method,
      url: '/ipfs/:cid',
      config: { access: 'reader', swagger: { exposeHeadRoute: true } },
      schema: {
        tags: ['files'],
        summary:
          method === 'GET'
            ? 'A file that this node holds, as a CAR, or one of its blocks'
            : 'The headers of a file or block, and whether this node holds it',
        description:
          'A Trustless Gateway. The form is named by `format`, else by the Accept header. Takes If-None-Match, and Range for blocks.',
        params: Type.Object({ cid: Type.String({ minLength: 1, maxLength: 128 }) }),
        querystring: GatewayQuery,
        response: {
          200: { description: 'checkable against the CID', ...files },
          206: { description: 'the bytes of a block that Range names', ...files },
          304: { description: 'as If-None-Match says, the client has it', ...files },
          ...problems,
        },
      },
      async handler(request, reply) {
        const { cid: text } = request.params
        // A service worker of one file would reach all others of this address.
        if (request.headers['service-worker'] === 'script') throw new EmrError('bad_request', 'No service worker here.')
        const asked = readGatewayRequest(request.query, request.headers.accept)
        const cid = parseGatewayCid(text)
        const { block, car } = await find(node, cid, asked, method).catch((error) => {
          throw wantsCached(request) && isEmrError(error, 'file_unavailable') ? new EmrError('not_cached') : error
        })
        const tag = entityTagOf(cid.toString(), asked)
        const isKnown = namesTag(request.headers['if-none-match'], tag)
        const range = block && !isKnown ? rangeIn(request, reply, block, tag) : undefined
        reply.headers({
          etag: tag,
          vary: 'accept',
          'cache-control': cacheControl,
          'x-content-type-options': 'nosniff',
          'x-ipfs-path': `/ipfs/${text}`,
          'x-ipfs-roots': text,
          ...(asked.negotiated ? { 'content-location': `/ipfs/${text}?${plainQueryOf(request.query, asked)}` } : {}),
        })
        if (isKnown) {
          await letGo(car)
          return sendNothing(reply.code(304))
        }
        const fileName = request.query.filename ?? `${text}.${asked.format === 'raw' ? 'bin' : 'car'}`
        reply.header('content-disposition', attachment(fileName))
        reply.header('accept-ranges', block ? 'bytes' : 'none')
        reply.type(block ? RAW_TYPE : `${CAR_TYPE}; version=1; order=dfs; dups=${asked.shape.dups ? 'y' : 'n'}`)
        if (method === 'HEAD') {
          await letGo(car)
          return sendNothing(block ? reply.header('content-length', block.length) : reply)
        }
        return block ? sendBlock(reply, block, range) : streamOf(car, reply.raw)
      },
    })
  }
}

type Found =
  | { readonly block: Uint8Array; readonly car?: undefined }
  | { readonly block?: undefined; readonly car: FileBytes }

/** For HEAD the CAR has the root alone. @throws EmrError `file_unavailable` and others, before anything is answered */
async function find(node: EmrNode, cid: CID, asked: GatewayRequest, method: 'GET' | 'HEAD'): Promise<Found> {
  if (asked.format === 'raw') return { block: isInline(cid) ? cid.multihash.digest : await node.fileBlock(cid) }
  if (isInline(cid)) return { car: emptyCar(cid) }
  return { car: await node.fileAsCar(cid, method === 'HEAD' ? { onlyRoot: true } : asked.shape) }
}

/** The part of a block that is asked for; of a HEAD there is none. @throws EmrError `range_unsatisfiable` */
function rangeIn(
  { method, headers }: FastifyRequest,
  reply: FastifyReply,
  { length: size }: Uint8Array,
  etag: string,
): ByteRange | undefined {
  if (method !== 'GET') return undefined
  try {
    return requestedRange({ size, etag, range: headers.range, ifRange: headers['if-range']?.toString() })
  } catch (error) {
    reply.header('content-range', `bytes */${size}`)
    throw error
  }
}

function sendBlock(reply: FastifyReply, block: Uint8Array, range: ByteRange | undefined): FastifyReply {
  if (!range) return reply.send(bufferOf(block))
  reply.code(206).header('content-range', `bytes ${range.start}-${range.end - 1}/${block.length}`)
  return reply.send(bufferOf(block.subarray(range.start, range.end)))
}

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** A status and headers alone; the length that they name is that of what was not sent. */
const sendNothing = (reply: FastifyReply): FastifyReply => reply.send()

async function letGo(contents: FileBytes | undefined): Promise<void> {
  await contents?.[Symbol.asyncIterator]().return?.()
}

const wantsCached = (request: FastifyRequest): boolean =>
  /(^|[\s,])only-if-cached($|[\s,])/i.test(request.headers['cache-control'] ?? '')

const IDENTITY = 0x00
const RAW = 0x55

/** Whether the block is written in its CID. `bafkqaaa`, the empty one, is how clients find out what a gateway can do. */
const isInline = (cid: CID): boolean => cid.multihash.code === IDENTITY && cid.code === RAW

/** @throws EmrError `malformed_cid` */
function parseGatewayCid(text: string): CID {
  try {
    const cid = CID.parse(text)
    if (isInline(cid)) return cid
  } catch {
    // Said by what comes now.
  }
  return parseFileCid(text)
}

/** A block that its CID contains is in no CAR. */
function emptyCar(cid: CID): FileBytes {
  async function* header() {
    yield encodeCarHeader([cid])
  }
  return Object.assign(header(), { giveBack: () => undefined })
}
