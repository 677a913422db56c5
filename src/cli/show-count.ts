/** A line on stderr that is written over, where a person looks on; otherwise nothing. */
export interface ShownCount {
  say(text: string): void
  /** Takes the line away. */
  stop(): void
}

export interface ShowCountOptions {
  /** How long it may take, in ms, before anything is told; 0 if not given. */
  readonly patience?: number
  /** Clock, in ms. */
  readonly now?: () => number
  readonly stream?: { readonly isTTY?: boolean | undefined; write(text: string): unknown }
}

/** Least time between two changes of the line, in ms. */
const PAUSE = 100
const LINE_BEGIN = '\r\x1b[K'
/** How long a deed may take before its steps are told, in ms. */
const PATIENCE_WITH_STEPS = 1_000

export function showCount({
  patience = 0,
  now = Date.now,
  stream = process.stderr,
}: ShowCountOptions = {}): ShownCount {
  const first = now() + patience
  let last: number | undefined
  return {
    say(text) {
      const time = now()
      if (!stream.isTTY || time < first || time - (last ?? -PAUSE) < PAUSE) return
      last = time
      stream.write(`${LINE_BEGIN}${text}`)
    },
    stop() {
      if (last !== undefined) stream.write(LINE_BEGIN)
    },
  }
}

/** Counts the transactions of a deed, where it takes longer than a second. */
export function showSteps(options: ShowCountOptions = {}) {
  const { say, stop } = showCount({ patience: PATIENCE_WITH_STEPS, ...options })
  return { onSent: (done: number, total: number): void => say(`${done} of ${total} transactions`), stop }
}
