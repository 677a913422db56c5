/** Work that never runs twice at a time: who asks while it runs gets the run that begins after it, one for all of them. */
export interface OneAtATime<T> {
  run(): Promise<T>
  /** Resolves when nothing runs. */
  settled(): Promise<void>
}

export function oneAtATime<T>(work: () => Promise<T>): OneAtATime<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined

  function begin(): Promise<T> {
    running = work().finally(() => {
      running = undefined
    })
    return running
  }

  return {
    run() {
      if (!running) return begin()
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined
          return running ?? begin()
        })
      return next
    },
    async settled() {
      while (running || next) await (next ?? running)?.catch(() => undefined)
    },
  }
}
