/** For tests that cut the chain file at every length of a range. */

/** Numbers from `from` to `to`, both included. */
export const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at)

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
