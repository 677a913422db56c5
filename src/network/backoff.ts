/** The first pause after a failure, and the longest, in ms. */
export const FIRST_PAUSE = 1_000
export const LONGEST_PAUSE = 300_000

/**
 * How long to leave a peer alone after so many failures in a row, in ms: doubled each time, up to five minutes,
 * and less by up to a half at random, so that nodes that lost the same peer do not come back in step.
 */
export function pauseAfter(failures: number, random: () => number): number {
  const whole = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(failures - 1, 30))
  return Math.round(whole * (1 - random() / 2))
}
