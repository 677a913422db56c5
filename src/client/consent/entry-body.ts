import { hexToBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../../errors.js'
import { decodeBody, isKind, type KindAndBody } from '../../protocol/bodies/decode-body.js'
import { parseChainId, parseFileCid } from '../../protocol/cid.js'
import type { PendingEntry } from '../node-answers.js'

/**
 * The kind and body of an entry of a history, as strictly read as from the chain. Undefined of a record with a clear
 * label, which is no matter of consent.
 *
 * @throws EmrError `node_unexpected`
 */
export function entryBody({ kind, body }: Pick<PendingEntry, 'kind' | 'body'>): KindAndBody | undefined {
  try {
    if (!isKind(kind)) throw new Error('unknown kind')
    const fields = fromJson(body)
    if (typeof fields === 'object' && fields !== null && 'label' in fields) return undefined
    return decodeBody(kind, fields)
  } catch (cause) {
    throw new EmrError('node_unexpected', `It sent a ${kind} of another form.`, {}, { cause })
  }
}

/** Ids and files back from CIDs, other bytes back from hexadecimal digits. */
function fromJson(value: unknown, name = ''): unknown {
  if (typeof value === 'string') {
    if (name === 'label') return value
    if (name === 'file') return parseFileCid(value).bytes
    return value.startsWith('bafy') ? parseChainId(value).bytes : hexToBytes(value)
  }
  if (Array.isArray(value)) return value.map((item) => fromJson(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [key, name === 'label' ? field : fromJson(field, key)]),
  )
}
