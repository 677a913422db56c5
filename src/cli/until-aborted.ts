import { EmrError } from '../errors.js'

/** The same pieces, counted as they are taken, until somebody wants to stop. @throws EmrError `cancelled` */
export async function* untilAborted(
  source: AsyncIterable<Uint8Array>,
  { signal, onProgress }: { signal: AbortSignal; onProgress(bytes: number): void },
): AsyncGenerator<Uint8Array> {
  let count = 0
  for await (const piece of source) {
    if (signal.aborted) throw new EmrError('cancelled')
    yield piece
    count += piece.length
    onProgress(count)
  }
}
