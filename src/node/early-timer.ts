/** What a timer for things that came too early needs of the chain. */
export interface EarlyChain {
  tryEarly(): Promise<boolean>
  /** In ms since 1970. */
  nextEarly(): number | undefined
  onEarly(listener: () => void): void
}

export interface EarlyTimerDependencies {
  readonly chain: EarlyChain
  now(): number
  /** Something was new: its branch may lack bodies. */
  onNews(): void
  onTrouble(error: unknown): void
}

/** The longest pause before the clock is looked at again: it may be set meanwhile. */
const MOST_DELAY = 60_000

/** Tries blocks again that were dated too far ahead, when the clock has caught up. Returns what stops it. */
export function startEarlyTimer({ chain, now, onNews, onTrouble }: EarlyTimerDependencies): () => void {
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  const plan = (): void => {
    clearTimeout(timer)
    const due = chain.nextEarly()
    if (due === undefined || stopped) return
    timer = setTimeout(() => void run(), Math.min(MOST_DELAY, Math.max(1, due - now())))
    timer.unref()
  }
  const run = async (): Promise<void> => {
    try {
      if (await chain.tryEarly()) onNews()
    } catch (error) {
      onTrouble(error)
    }
    plan()
  }

  chain.onEarly(plan)
  return () => {
    stopped = true
    clearTimeout(timer)
  }
}
