import { accessSync, constants, mkdirSync } from 'node:fs'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { benchmarksWithFloors } from './floors.js'

interface About {
  readonly what: string
  /** What the long form takes on two cores, in seconds: once, and again for each run. */
  readonly once: number
  readonly aRun: number
  /** Whether that is for 100,000 records, and more or less for others. */
  readonly bySize?: true
}

/** In the order in which they run. */
const abouts = {
  sync: { what: 'a new node takes a chain of signed records', once: 25, aRun: 11, bySize: true },
  gossip: { what: 'a transaction and a block go through ten nodes', once: 5, aRun: 1 },
  decide: { what: 'decisions of the contract over a state in memory', once: 3, aRun: 2 },
  files: { what: 'encrypt and store 200 MiB, and get it back', once: 5, aRun: 8 },
  mining: { what: 'hashes a second, and blocks over HTTP', once: 10, aRun: 35 },
  signatures: { what: 'verifications a second, on one thread and by the pool', once: 3, aRun: 6 },
  api: { what: 'transactions, searches and the whole chain over HTTP', once: 25, aRun: 20 },
  growth: { what: 'a node as its chain grows to --records', once: 60, aRun: 20, bySize: true },
  network: { what: 'records on the chains of three nodes, for a minute a run', once: 30, aRun: 70 },
  caliper: { what: 'the sweep of Hyperledger Caliper over three nodes', once: 10, aRun: 30 },
  retrieval: { what: 'a file of 20.5 MB by way of another node, 20 times', once: 90, aRun: 0 },
} as const satisfies Record<string, About>

export type BenchmarkName = keyof typeof abouts

export const benchmarkNames = Object.keys(abouts) as BenchmarkName[]

/** How much is measured. */
export interface BenchForm {
  readonly runs: number
  readonly records: number
  readonly isQuick: boolean
}

export interface BenchArguments extends BenchForm {
  /** In the order in which they run. */
  readonly names: readonly BenchmarkName[]
  readonly json: boolean
  readonly report: string | undefined
  readonly floors: boolean
}

const DEFAULT_RUNS = 5
const DEFAULT_RECORDS = 100_000

/** `usage`: the command line is wrong; as for `emrchain`. */
export const exitCodes = { failed: 1, usage: 2, interrupted: 130 } as const

/**
 * What was typed behind `npm run bench --`. The folder of a report is there and can be written to afterwards: that it cannot is
 * no news for the end of an hour.
 *
 * @throws CommanderError where the command line is wrong, or asks for help; what it says has been printed
 */
export function readArguments(words: readonly string[]): BenchArguments {
  const command = new Command('npm run bench --')
    .description('How fast emrchain is here, beside references of the same run: docs/benchmarks.md.')
    .addArgument(new Argument('[names...]', 'which benchmarks; all of them without a name').choices(benchmarkNames))
    .addOption(new Option('--runs <number>', 'how often each is measured').default(DEFAULT_RUNS).argParser(wholeNumber))
    .addOption(
      new Option('--records <number>', 'length of the chain, for sync and growth')
        .default(DEFAULT_RECORDS)
        .argParser(wholeNumber),
    )
    .option('--quick', 'less of everything: shows ratios, and is no basis for figures')
    .option('--json', 'one JSON document on stdout; "npm run --silent bench" adds nothing to it')
    .option('--report <folder>', 'write report.json and the plots there, after each benchmark')
    .option('--floors', `judge the ratios that must not fall; without names, of ${benchmarksWithFloors.join(' and ')}`)
    .addHelpText('after', () => `\n${helpAfter()}\n`)
    .showHelpAfterError('"npm run bench -- --help" shows the rest.')
    .exitOverride()
  command.parse(words, { from: 'user' })
  const { runs, records, quick = false, json = false, report, floors = false } = command.opts()
  const complaint = report === undefined ? undefined : whyUnfit(report)
  if (complaint) command.error(`error: no report can be written to ${report}: ${complaint}`)
  const [given = []] = command.processedArgs as [(readonly string[])?]
  const named = given.length === 0 && floors ? benchmarksWithFloors : given
  const names = benchmarkNames.filter((name) => named.length === 0 || named.includes(name))
  return { names, runs, records, isQuick: quick, json, report, floors }
}

/** What a benchmark is about, and how long its long form may take. */
export function aboutOf(name: BenchmarkName, { runs, records, isQuick }: BenchForm): string {
  const { what, once, aRun, bySize }: About = abouts[name]
  const seconds = (once + aRun * runs) * (bySize ? Math.max(1, records / DEFAULT_RECORDS) : 1)
  const time = seconds < 60 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`
  return isQuick ? what : `${what}; some ${time} on two cores`
}

function helpAfter(): string {
  const usual = { runs: DEFAULT_RUNS, records: DEFAULT_RECORDS, isQuick: false }
  const lines = benchmarkNames.map((name) => `  ${name.padEnd(11)} ${aboutOf(name, usual)}`)
  return `Benchmarks:
${lines.join('\n')}

Examples:
  $ npm run bench -- signatures --runs 7
  $ npm run bench -- growth --records 1000000 --report figures
  $ npm run --silent bench -- mining --quick --json | jq .results.mining

Exit codes: 0, 1 where a benchmark failed or a ratio fell, 2 where the command line is wrong, 130 after Ctrl-C.`
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('It is a whole number from 1 to 9,999,999.')
  return Number(text)
}

/** Makes the folder of a report. @returns why it cannot be used, if it cannot */
function whyUnfit(folder: string): string | undefined {
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
