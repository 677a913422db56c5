/** For tests that cut the chain file at every length of a range. */

/** Whether the long form runs: `npm run torture` sets it. The short form takes every 11th place. */
export const isLong = process.env.EMRCHAIN_LONG === '1'
const STEP = isLong ? 1 : 11
/** In the long form several processes share the places; this one has each `of`-th, from the `share`-th on. */
const [share = 0, of = 1] = (process.env.EMRCHAIN_SHARE ?? '0/1').split('/').map(Number)

/**
 * Numbers from `from` to `to`, both included: all of them in the long form, or this process's share of them; spread
 * ones in the short form.
 */
export const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at)
    .filter((at) => (at - from) % STEP === 0 || at === to)
    .filter((_, place) => place % of === share)

/** Runs `check` for every length, four at a time, each worker with a folder name of its own; stops at the first report. */
export const forEvery = async (
  lengths: readonly number[],
  check: (length: number, worker: string) => Promise<string | undefined>,
): Promise<string | undefined> => {
  const left = [...lengths].reverse()
  let report: string | undefined
  const work = async (_: unknown, worker: number): Promise<void> => {
    for (let length = left.pop(); length !== undefined && !report; length = left.pop()) {
      const found = await check(length, `copy${worker}`)
      report ??= found && `at ${length}: ${found}`
    }
  }
  await Promise.all(Array.from({ length: 4 }, work))
  return report
}

/** What differs, as text; undefined if nothing does. */
export const difference = (found: unknown, expected: unknown): string | undefined => {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)]
  return a === b ? undefined : `${a} instead of ${b}`
}
