import { figure, type Plot } from './figures.js'

/** What was measured at one length of the chain, a value for each run. */
export interface Growth {
  /** Records. */
  readonly size: number
  /** In s. */
  readonly start: readonly number[]
  readonly close: readonly number[]
  /** Start without an index. */
  readonly rebuild: readonly number[]
  /** In MiB. */
  readonly resident: readonly number[]
  readonly own: readonly number[]
  /** Bytes a record on disk. */
  readonly chainBytes: number
  readonly indexBytes: number
  readonly stateBytes: number
  /** Records a second. */
  readonly sync: readonly number[]
  /** In s. */
  readonly verify: readonly number[]
  /** Server times in ms. */
  readonly byId: readonly number[]
  readonly byName: readonly number[]
  readonly byUser: readonly number[]
  readonly byCommonName: readonly number[]
}

const RECORDS = { label: 'records on the chain', isLogarithmic: true }

/** Draws what became of a node as its chain grew. */
export function plotGrowth(grown: readonly Growth[], plot: (plot: Plot) => void): void {
  const line = (name: string, read: (one: Growth) => readonly number[]) => ({
    name,
    points: grown.map((one) => {
      const { median, least, most } = figure(name, '', read(one))
      return { x: one.size, y: median, least, most }
    }),
  })
  plot({
    name: 'growth-start',
    title: 'Starting a node until it answers, and closing it',
    x: RECORDS,
    y: { label: 'time (s)' },
    series: [line('start', ({ start }) => start), line('close', ({ close }) => close)],
  })
  plot({
    name: 'growth-memory',
    title: 'Memory of a node at rest',
    x: RECORDS,
    y: { label: 'memory (MiB)' },
    series: [line('all', ({ resident }) => resident), line('without mapped files', ({ own }) => own)],
  })
  plot({
    name: 'growth-disk',
    title: 'What a record takes on disk',
    x: RECORDS,
    y: { label: 'disk (bytes a record)' },
    series: [
      line('all', ({ chainBytes, indexBytes, stateBytes }) => [chainBytes + indexBytes + stateBytes]),
      line('chain.car', ({ chainBytes }) => [chainBytes]),
      line('index', ({ indexBytes }) => [indexBytes]),
    ],
  })
  plot({
    name: 'growth-sync',
    title: 'Taking the chain from another node, and verifying it',
    x: RECORDS,
    y: { label: 'rate (records/s)' },
    series: [
      line('taking it (sync)', ({ sync }) => sync),
      line('emrchain verify', ({ size, verify }) => verify.map((one) => size / one)),
    ],
  })
  plot({
    name: 'growth-lookups',
    title: 'Looking a record up, p50',
    x: RECORDS,
    y: { label: 'server time (ms)', isLogarithmic: true },
    series: [
      line('by id', ({ byId }) => byId),
      line('by file name', ({ byName }) => byName),
      line('by name and user', ({ byUser }) => byUser),
      line('by a name that 256 have', ({ byCommonName }) => byCommonName),
    ],
  })
}
