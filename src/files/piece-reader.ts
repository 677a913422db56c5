import { EmrError } from '../errors.js'

/** A stream of pieces, read by length: a `BytesReader` of @ipld/car, which can also read into memory that is there. */
export interface PieceReader {
  /** The next bytes, `length` or as many as there are; they stay the next ones. */
  upTo(length: number): Promise<Uint8Array>
  /** The next `length` bytes; they stay the next ones unless `seek` is true. */
  exactly(length: number, seek?: boolean): Promise<Uint8Array>
  /** Passes over bytes that `upTo` or `exactly` gave. */
  seek(length: number): void
  /** Passes over the next bytes and copies them to `into`, until that is full. */
  fill(into: Uint8Array): Promise<void>
  /** How many bytes were passed over. */
  readonly pos: number
  /** Whether the source may have more, has ended, or has thrown what the last call threw. */
  readonly source: 'open' | 'ended' | 'failed'
}

/**
 * Only what `upTo` and `exactly` ask for is gathered, and never more than `mostGathered` bytes beside a piece of the
 * source: memory does not follow the lengths that a sender writes. An error of the source comes out unchanged.
 *
 * @throws EmrError `malformed_car` where more is to be gathered, `car_incomplete` where the source ends too early
 */
export function createPieceReader(pieces: AsyncIterator<Uint8Array>, mostGathered: number): PieceReader {
  let rest: Uint8Array = new Uint8Array(0)
  let pos = 0
  let source: PieceReader['source'] = 'open'

  /** Adds the next piece to the rest. @returns whether there was one */
  async function more(): Promise<boolean> {
    if (source === 'ended') return false
    try {
      const next = await pieces.next()
      if (next.done) source = 'ended'
      else rest = rest.length === 0 ? next.value : Buffer.concat([rest, next.value])
      return !next.done
    } catch (error) {
      source = 'failed'
      throw error
    }
  }

  async function upTo(length: number): Promise<Uint8Array> {
    if (!(length <= mostGathered)) throw new EmrError('malformed_car', 'A length is out of range.')
    while (rest.length < length && (await more()));
    return rest.subarray(0, length)
  }

  function seek(length: number): void {
    rest = rest.subarray(length)
    pos += length
  }

  return {
    upTo,
    seek,
    async exactly(length, isPassed = false) {
      const bytes = await upTo(length)
      if (bytes.length < length) throw new EmrError('car_incomplete')
      if (isPassed) seek(length)
      return bytes
    },
    async fill(into) {
      for (let filled = 0; filled < into.length; ) {
        if (rest.length === 0 && !(await more())) throw new EmrError('car_incomplete')
        const part = rest.subarray(0, into.length - filled)
        into.set(part, filled)
        filled += part.length
        seek(part.length)
      }
    },
    get pos() {
      return pos
    },
    get source() {
      return source
    },
  }
}
