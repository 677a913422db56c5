/**
 * Starts `work` on what `source` gives, before it is asked for, on at most `limit` at a time, and gives each outcome,
 * as a function that waits for it, in the order of the source: so the source goes on while work is waited for. An error of the source comes after what was
 * started. Whoever stops early stops the source; work under way is left to end by itself.
 */
export async function* runAhead<T, R>(
  source: AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<() => Promise<R>, void, undefined> {
  const started: Promise<R>[] = []
  let running = 0
  let state: 'reading' | 'ended' | 'stopped' = 'reading'
  let failure: { readonly error: unknown } | undefined
  let wakeReader = (): void => undefined
  let wakeTaker = (): void => undefined
  const iterator = source[Symbol.asyncIterator]()

  const begin = async (item: T): Promise<R> => {
    running++
    try {
      return await work(item)
    } finally {
      running--
      wakeReader()
    }
  }
  const read = async (): Promise<void> => {
    while (state === 'reading') {
      if (running >= limit || started.length >= limit) {
        await new Promise<void>((resolve) => {
          wakeReader = resolve
        })
        continue
      }
      const next = await iterator.next()
      if (next.done) break
      const promise = begin(next.value)
      // Met by whoever takes it; until then it must not count as unhandled.
      promise.catch(() => undefined)
      started.push(promise)
      wakeTaker()
    }
  }
  const reading = read()
    .catch((error: unknown) => {
      failure = { error }
    })
    .finally(() => {
      if (state === 'reading') state = 'ended'
      wakeTaker()
    })

  try {
    for (;;) {
      const promise = started.shift()
      if (promise) {
        wakeReader()
        // Wrapped, for a generator would wait for a bare promise before it gives it.
        yield () => promise
      } else if (state === 'reading') {
        await new Promise<void>((resolve) => {
          wakeTaker = resolve
        })
      } else if (failure) throw failure.error
      else return
    }
  } finally {
    if (state === 'reading') {
      state = 'stopped'
      wakeReader()
      // Not awaited: a source that hangs would hold up whoever stops.
      void reading
      void iterator.return?.()?.then(undefined, () => undefined)
    }
  }
}
