import { setTimeout } from 'node:timers/promises'

/** How long a node waits at its start for what its peers have to tell, in ms. */
export const FIRST_ROUND_TIME = 30_000

/**
 * Resolves when a node has asked each of its peers once, or so many ms are over: a peer that takes for ever stops nothing.
 * Does not reject. A node without peers has asked all of them at once.
 *
 * @param asked resolves when all have answered or failed
 */
export async function firstRound(asked: Promise<void>, limit = FIRST_ROUND_TIME): Promise<void> {
  const timeout = new AbortController()
  const late = setTimeout(limit, undefined, { ref: false, signal: timeout.signal })
  await Promise.race([asked, late]).catch(() => undefined)
  timeout.abort()
  await late.catch(() => undefined)
}
