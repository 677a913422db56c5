/**
 * `npm run bench`: how fast it is here. All benchmarks, or those that the command line names, with `--runs N`,
 * `--records N`, `--quick` and `--json`: `npm run bench -- sync --runs 7 --json`. `--report FOLDER` writes the same JSON
 * and a picture of each plot; `--floors` judges the ratios that must not fall, of the benchmarks that have any. Prints the machine beside the figures: they mean nothing without it, and less than 30 %
 * apart they mean nothing either.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { apiBenchmark } from './api.js'
import { caliperBenchmark } from './caliper.js'
import { decideBenchmark } from './decide.js'
import type { Benchmark, Figure, Plot } from './figures.js'
import { filesBenchmark } from './files.js'
import { benchmarksWithFloors, judgeFloors } from './floors.js'
import { gossip } from './gossip.js'
import { growthBenchmark } from './growth.js'
import { mining } from './mining.js'
import { networkBenchmark } from './network.js'
import { writeReport } from './report.js'
import { retrievalBenchmark } from './retrieval.js'
import { signatures } from './signatures.js'
import { sync } from './sync.js'

const benchmarks: Readonly<Record<string, Benchmark>> = {
  sync,
  gossip,
  decide: decideBenchmark,
  files: filesBenchmark,
  mining,
  signatures,
  api: apiBenchmark,
  growth: growthBenchmark,
  network: networkBenchmark,
  caliper: caliperBenchmark,
  retrieval: retrievalBenchmark,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '5' },
    records: { type: 'string', default: '100000' },
    json: { type: 'boolean', default: false },
    report: { type: 'string' },
    quick: { type: 'boolean', default: false },
    floors: { type: 'boolean', default: false },
  },
})
const wanted = values.floors && positionals.length === 0 ? benchmarksWithFloors : positionals
const unknown = positionals.filter((name) => !(name in benchmarks))
if (unknown.length > 0) throw new Error(`Benchmarks are ${Object.keys(benchmarks).join(', ')}; not ${unknown}.`)
const plots: Plot[] = []
const options = {
  runs: wholeNumber(values.runs),
  records: wholeNumber(values.records),
  isQuick: values.quick,
  say,
  plot: (plot: Plot) => void plots.push(plot),
}

const machine = {
  node: process.version,
  processor: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
  system: `${process.platform} ${process.arch}`,
  // Other work on the same cores makes every figure worse.
  load: `load ${(loadavg()[0] ?? 0).toFixed(1)} at the start`,
}
const home = mkdtempSync(join(tmpdir(), 'emrchain-bench-'))
const results: Record<string, readonly Figure[]> = {}
try {
  for (const [name, run] of Object.entries(benchmarks)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue
    const folder = join(home, name)
    mkdirSync(folder)
    results[name] = await run({ ...options, folder })
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}

const measured = { machine, ...options, results, plots }
if (values.report !== undefined) writeReport(values.report, measured)
if (values.json) process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`)
else {
  console.log(Object.values(machine).join(', '))
  for (const [name, figures] of Object.entries(results)) {
    console.log(`\n${name}`)
    console.table(
      figures.map(({ what, median, least, most, unit, runs }) => ({ what, median, least, most, unit, runs })),
    )
  }
}
if (values.floors) {
  const { lines, hold } = judgeFloors(results)
  console.log(`\n${lines.join('\n')}`)
  if (!hold) process.exitCode = 1
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new Error(`Not a whole number: ${text}`)
  return Number(text)
}
