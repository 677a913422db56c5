export interface CutOptions {
  /** Bytes before the first chunk; none if left out. */
  readonly head?: number
  readonly chunkSize: number
  /** Most chunks in one group. */
  readonly groupChunks: number
}

/**
 * Cuts a byte stream, in whatever pieces it comes, into groups of whole chunks. Yields the head first, if one is
 * asked for (fewer bytes if the stream ends in it); then groups of chunks; last the rest, which is shorter than one
 * chunk and may be empty. So behind the head, the one group shorter than a chunk is the last, and it is always there.
 * A group is good only until the next is asked for: its memory is used again.
 */
export async function* cutChunks(
  source: AsyncIterable<Uint8Array>,
  { head = 0, chunkSize, groupChunks }: CutOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const groupSize = chunkSize * groupChunks
  let pending = new Uint8Array(head > 0 ? head : chunkSize)
  let used = 0
  let inHead = head > 0

  for await (const piece of source) {
    let at = 0
    // The head, and a chunk that an earlier piece began, are gathered in `pending`.
    while ((inHead || used > 0) && at < piece.length) {
      const taken = piece.subarray(at, at + pending.length - used)
      pending.set(taken, used)
      used += taken.length
      at += taken.length
      if (used < pending.length) break
      yield pending
      used = 0
      if (inHead) pending = new Uint8Array(chunkSize)
      inHead = false
    }
    // Whole chunks come straight from the piece, without a copy.
    while (piece.length - at >= chunkSize) {
      const size = Math.min(groupSize, piece.length - at)
      const group = piece.subarray(at, at + size - (size % chunkSize))
      yield group
      at += group.length
    }
    pending.set(piece.subarray(at), used)
    used += piece.length - at
  }
  yield pending.subarray(0, used)
}
