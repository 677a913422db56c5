import * as dagCbor from '@ipld/dag-cbor'
import { EmrError } from '../errors.js'

/** DAG-CBOR bytes of `value`: integers, bytes, text, booleans, null, arrays, maps with text keys, and CIDs. */
export const encodeCanonical = (value: unknown): Uint8Array => dagCbor.encode(value)

/**
 * Decodes canonical DAG-CBOR (docs/protocol.md, "Encoding"). The decoder of the library lets some other
 * forms through (unsorted maps, half floats, ill-formed text), so the value is encoded again and must
 * give the same bytes: one value has one encoding, and an id cannot have a twin.
 *
 * @throws EmrError `malformed_cbor`
 */
export function decodeCanonical(bytes: Uint8Array): unknown {
  let value: unknown
  let again: Uint8Array
  try {
    value = dagCbor.decode(bytes)
    again = dagCbor.encode(value)
  } catch (cause) {
    throw new EmrError('malformed_cbor', undefined, {}, { cause })
  }
  if (!equalBytes(bytes, again)) throw new EmrError('malformed_cbor', 'Encoded again, they differ.')
  return value
}

/** Whether two byte strings are the same. Not for secrets: the time taken tells where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  const { length } = a
  if (length !== b.length) return false
  let at = 0
  // Four at a time take half as long: ids are compared all day.
  for (; at + 3 < length; at += 4) {
    if (a[at] !== b[at] || a[at + 1] !== b[at + 1] || a[at + 2] !== b[at + 2] || a[at + 3] !== b[at + 3]) return false
  }
  for (; at < length; at++) if (a[at] !== b[at]) return false
  return true
}

/** Whether `value` is a map whose keys are exactly `keys`, in any order. */
export function isMapOf(value: unknown, keys: readonly string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  const found = Object.keys(value)
  return found.length === keys.length && keys.every((key) => Object.hasOwn(value, key))
}

/** Whether `value` is a byte string of this length. */
export const isBytes = (value: unknown, length?: number): value is Uint8Array =>
  value instanceof Uint8Array && (length === undefined || value.length === length)
