/** How many a second of processor time, all threads of this process: to wait for a busy machine does not count. */
export function processorRate(work: () => number, seconds: number): number {
  const began = process.cpuUsage()
  for (let done = work(); ; done += work()) {
    const { user, system } = process.cpuUsage(began)
    const took = (user + system) / 1e6
    if (took >= seconds) return done / took
  }
}

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
