import { EmrError } from '../errors.js'

/** Bytes from `start` to `end`, which is not included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** What a request asks of a body of `size` bytes whose ETag is `etag`. */
export interface RangeRequest {
  readonly size: number
  readonly etag: string
  /** The `Range` header. */
  readonly range: string | undefined
  /** The `If-Range` header. */
  readonly ifRange: string | undefined
}

/**
 * The part that is asked for by RFC 9110, section 14; undefined where the whole is the answer: without `Range`, with
 * another unit or several ranges, with a header that is not in form, and where `If-Range` names another body.
 *
 * @throws EmrError `range_unsatisfiable` if no byte of the range is there
 */
export function requestedRange({ size, etag, range, ifRange }: RangeRequest): ByteRange | undefined {
  if (range === undefined || (ifRange !== undefined && ifRange !== etag)) return undefined
  const [, first = '', last = ''] = /^bytes=[ \t]*(\d{0,16})-(\d{0,16})[ \t]*$/i.exec(range) ?? []
  if (first === '' && last === '') return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  // A range that ends before it begins is not in form.
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  if (start >= end) throw new EmrError('range_unsatisfiable', undefined, { size })
  return { start, end }
}
