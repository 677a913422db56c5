import { EmrError } from '../errors.js'

/** Bytes from `start` on, up to `end`, which is not included, or to the last. */
export interface ByteRange {
  readonly start: number
  readonly end?: number | undefined
}

/** The `Range` header of a request (RFC 9110, section 14.2). */
export const rangeHeader = ({ start, end }: ByteRange): string => `bytes=${start}-${end === undefined ? '' : end - 1}`

interface RangedAnswer {
  readonly answer: { readonly status: number; readonly headers: { get(name: string): string | null } }
  readonly pieces: AsyncGenerator<Uint8Array, void, undefined>
  readonly range: ByteRange
}

/**
 * The bytes of the range, and no more, from an answer that has this range or, where the other side knows no ranges,
 * the whole.
 *
 * @throws EmrError `node_unexpected` for an answer of another range
 */
export async function* rangeOf({ answer, pieces, range }: RangedAnswer): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    let at = startOf(answer, range)
    for await (const piece of pieces) {
      const wanted = piece.subarray(Math.max(0, range.start - at), Math.max(0, (range.end ?? at + piece.length) - at))
      if (wanted.length > 0) yield wanted
      at += piece.length
      if (range.end !== undefined && at >= range.end) return
    }
  } finally {
    await pieces.return()
  }
}

/** Where in the file the answer begins. */
function startOf({ status, headers }: RangedAnswer['answer'], { start }: ByteRange): number {
  if (status !== 206) return 0
  const [, first] = /^bytes (\d+)-\d+\/(?:\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? []
  if (Number(first) !== start) throw new EmrError('node_unexpected', 'It sent another range than the one asked for.')
  return start
}
