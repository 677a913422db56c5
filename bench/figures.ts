/** What is measured: the middle of some runs, and how far apart they were. */
export interface Figure {
  readonly what: string
  readonly unit: string
  readonly median: number
  readonly least: number
  readonly most: number
  readonly runs: number
}

/** A picture of measured values, such as memory over the length of the chain. */
export interface Plot {
  /** Also the name of its file, so lower case letters, digits and hyphens. */
  readonly name: string
  readonly title: string
  /** Where it was measured. */
  readonly source?: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly {
    readonly name: string
    readonly points: readonly PlotPoint[]
  }[]
}

export interface PlotPoint {
  readonly x: number
  readonly y: number
  /** The least and the most of several runs, where there were several. */
  readonly least?: number
  readonly most?: number
}

export interface Axis {
  /** With its unit. */
  readonly label: string
  readonly isLogarithmic?: boolean
}

export interface BenchmarkOptions {
  /** An empty folder, which is removed afterwards. */
  readonly folder: string
  readonly runs: number
  readonly records: number
  /** Less of everything, for `npm run bench:quick`: what is left must show the ratios all the same. */
  readonly isQuick: boolean
  /** Tells a person how far it is. */
  say(line: string): void
  /** Tells what cannot be measured here, and why; it stands in the report. */
  leaveOut(what: string): void
  plot(plot: Plot): void
}

export type Benchmark = (options: BenchmarkOptions) => Promise<Figure[]>

/** @param values one of each run */
export function figure(what: string, unit: string, values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (position: number): number => Number((sorted[position] ?? Number.NaN).toPrecision(4))
  const middle = (sorted.length - 1) / 2
  const median = Number(((at(Math.floor(middle)) + at(Math.ceil(middle))) / 2).toPrecision(4))
  return { what, unit, median, least: at(0), most: at(sorted.length - 1), runs: sorted.length }
}
