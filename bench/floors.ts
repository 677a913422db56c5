import type { Figure } from './figures.js'

/** A ratio to the reference of the same run that must not fall below half of what it was when it was last measured. */
interface Floor {
  readonly benchmark: string
  /** The figure, by its words. */
  readonly what: string
  readonly least: number
  /** What the reference needs; where that is missing the figure is. Without this it must be there. */
  readonly needs?: string
}

const floors: readonly Floor[] = [
  { benchmark: 'mining', what: 'fastest kernel, of createHash of the same 180 bytes', least: 15 },
  { benchmark: 'mining', what: 'fastest kernel, of openssl speed, 180 bytes', least: 1.6, needs: 'openssl' },
  { benchmark: 'mining', what: 'mine_block, of the prototype: mean', least: 2.5, needs: 'Python 3 with Flask' },
  { benchmark: 'signatures', what: 'one thread, of the reference', least: 1 },
  { benchmark: 'signatures', what: 'pool, of the reference: a second of processor time', least: 0.9 },
]

/** The benchmarks that have ratios with a floor; each has a quick form. */
export const benchmarksWithFloors: readonly string[] = [...new Set(floors.map(({ benchmark }) => benchmark))]

/**
 * A line for each ratio of the benchmarks that ran, and whether all of them hold. One that is not there does not hold, unless what its
 * reference needs is missing, as the benchmark has said.
 */
export function judgeFloors(results: Readonly<Record<string, readonly Figure[]>>): { lines: string[]; hold: boolean } {
  const lines: string[] = []
  let hold = true
  for (const { benchmark, what, least, needs } of floors) {
    const figures = results[benchmark]
    if (!figures) continue
    const found = figures.find((figure) => figure.what === what)
    const name = `${benchmark}: ${what}`
    if (!found && needs) lines.push(`left out  ${name}: needs ${needs}`)
    else if (!found) lines.push(`MISSING   ${name}`)
    else lines.push(`${found.median >= least ? 'holds ' : 'FALLEN'}    ${name}: ${found.median} times, floor ${least}`)
    if (found ? !(found.median >= least) : !needs) hold = false
  }
  return { lines, hold }
}
