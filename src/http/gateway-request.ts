import { EmrError } from '../errors.js'
import type { EmrNode } from '../node/emr-node.js'
import { Type } from '../typebox.js'

/** Forms that other gateways have and this one does not: it gives only what can be checked against the CID. */
const OTHER_FORMATS = ['tar', 'dag-json', 'dag-cbor', 'json', 'cbor', 'ipns-record'] as const

/** The query of a Trustless Gateway (specs.ipfs.tech/http-gateways/trustless-gateway). */
export const GatewayQuery = Type.Object(
  {
    format: Type.Optional(
      Type.Enum(['car', 'raw', ...OTHER_FORMATS], { description: 'counts before the Accept header; only car and raw' }),
    ),
    filename: Type.Optional(Type.String({ minLength: 1, maxLength: 255, description: 'for Content-Disposition' })),
    download: Type.Optional(Type.Enum(['true', 'false'], { description: 'every answer is an attachment anyway' })),
    'dag-scope': Type.Optional(Type.Enum(['all', 'entity', 'block'], { description: 'of a CAR; block is its root' })),
    'entity-bytes': Type.Optional(
      Type.String({
        pattern: '^-?\\d{1,15}:(\\*|-?\\d{1,15})$',
        description: 'of a CAR: only the blocks of these bytes, both included; negative ones count from the end',
      }),
    ),
    'car-version': Type.Optional(Type.Enum(['1'])),
    'car-order': Type.Optional(Type.Enum(['dfs', 'unk'])),
    'car-dups': Type.Optional(Type.Enum(['y', 'n'], { description: 'whether repeated blocks come each time' })),
  },
  { additionalProperties: false },
)
export type GatewayQuery = Type.Static<typeof GatewayQuery>

type CarShape = NonNullable<Parameters<EmrNode['fileAsCar']>[1]>

/** What a request asks of the gateway. */
export interface GatewayRequest {
  readonly format: 'raw' | 'car'
  /** Of a CAR. */
  readonly shape: CarShape
  /** What stands before the CID in the entity tag: which part of the file is asked for. */
  readonly part: string
  /** Whether the Accept header had a say, so that the answer must tell the address that says the same. */
  readonly negotiated: boolean
}

/**
 * Reads query and Accept header; what the query says counts first.
 *
 * @throws EmrError `not_acceptable` for forms that this gateway does not give, `bad_request` where none is named
 */
export function readGatewayRequest(query: GatewayQuery, accept: string | undefined): GatewayRequest {
  const ranges = mediaRangesOf(accept)
  const given = ranges.find(({ format }) => !query.format || format === query.format)
  const format = query.format ?? given?.format
  if (format !== 'raw' && format !== 'car') throw unfit(format, accept)
  const negotiated = ranges.length > 0
  if (format === 'raw') return { format, shape: {}, part: '', negotiated }
  const dups = (query['car-dups'] ?? given?.dups) === 'y'
  const scope = query['dag-scope'] ?? 'all'
  const span = scope === 'block' ? undefined : query['entity-bytes']
  const shape = { onlyRoot: scope === 'block', bytes: askedBytes(span), dups }
  const part = span !== undefined ? `entity-${span}.` : scope === 'all' ? '' : `${scope}.`
  return { format, shape, part, negotiated }
}

/** Weak for a CAR, whose order of blocks is this implementation's own. */
export const entityTagOf = (cid: string, { format, shape, part }: GatewayRequest): string =>
  format === 'raw' ? `"${cid}.raw"` : `W/"${part}${cid}.car${shape.dups ? '.dups' : ''}"`

/** The query that asks for the same without an Accept header. */
export function plainQueryOf(query: GatewayQuery, { format, shape }: GatewayRequest): string {
  const plain = new URLSearchParams({ ...query, format, ...(shape.dups ? { 'car-dups': 'y' } : {}) })
  return plain.toString()
}

interface MediaRange {
  readonly format: 'raw' | 'car'
  readonly dups: string | undefined
  readonly quality: number
}

/** What this gateway can give of what an Accept header names, the most wanted first (RFC 9110, section 12.5.1). */
function mediaRangesOf(accept = ''): MediaRange[] {
  const ranges = accept.split(',').flatMap((range): MediaRange[] => {
    const [type = '', ...rest] = range.split(';').map((part) => part.trim().toLowerCase())
    const parameters = new Map(rest.map((part): [string, string] => [part.split('=')[0] ?? '', textOf(part)]))
    const { version = '1', order = 'dfs', dups, q = '1' } = Object.fromEntries(parameters)
    const quality = Number(q)
    if (!(quality > 0)) return []
    if (type === 'application/vnd.ipld.raw') return [{ format: 'raw', dups: undefined, quality }]
    if (type !== 'application/vnd.ipld.car' || version !== '1') return []
    if (!['dfs', 'unk', ''].includes(order) || !['y', 'n', undefined].includes(dups)) return []
    return [{ format: 'car', dups, quality }]
  })
  return ranges.sort((a, b) => b.quality - a.quality)
}

const textOf = (parameter: string): string => (parameter.split('=')[1] ?? '').replace(/^"(.*)"$/, '$1')

function askedBytes(text: string | undefined): CarShape['bytes'] {
  const [from, to] = text?.split(':') ?? []
  return from === undefined ? undefined : { from: Number(from), to: to === '*' ? undefined : Number(to) }
}

function unfit(format: string | undefined, accept = ''): EmrError {
  if (format !== undefined) return new EmrError('not_acceptable', 'It is given with format=raw or format=car.')
  // Whoever takes anything has not chosen.
  const isOpen = accept === '' || /(\*|application)\/\*/.test(accept)
  const detail = 'Ask for format=raw or format=car, or accept application/vnd.ipld.raw or application/vnd.ipld.car.'
  return new EmrError(isOpen ? 'bad_request' : 'not_acceptable', detail)
}
