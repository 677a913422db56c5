/** Bytes on their way between generators and the streams of the web platform. */

/** What is read of a ReadableStream of bytes; streams of browsers and of Node both fit. */
export interface ByteStream {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>
    cancel(reason?: unknown): Promise<void>
  }
}

/** A stream that asks its source for a piece only when one is wanted, so that nothing gathers in memory. */
export function toStream(source: AsyncGenerator<Uint8Array, void, undefined>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // An empty piece would count as an answer to this pull and end none.
        for (;;) {
          const { done, value } = await source.next()
          if (done) return controller.close()
          if (value.length > 0) return controller.enqueue(value)
        }
      },
      async cancel() {
        await source.return()
      },
    },
    { highWaterMark: 0 },
  )
}

/** The pieces of a stream. Whoever stops early lets go of the stream, and so of its connection. */
export async function* fromStream(stream: ByteStream): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = stream.getReader()
  let ended = false
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || value === undefined) {
        ended = true
        return
      }
      yield value
    }
  } finally {
    if (!ended) await reader.cancel().catch(() => undefined)
  }
}
