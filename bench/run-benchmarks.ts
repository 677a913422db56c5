/**
 * Run by main.ts, with the arguments as JSON: measures, says on stderr how far it is, and prints figures on stdout. The exit code is 1
 * where a benchmark failed or a ratio fell.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { endWithReader } from '#emrchain/cli/output.js'
import { aboutOf, type BenchArguments, exitCodes } from './arguments.js'
import { benchmarks } from './benchmarks.js'
import { figureTable } from './figure-table.js'
import type { Figure, Plot } from './figures.js'
import { judgeFloors } from './floors.js'
import { describeMachine, loadNow, machineText } from './machine.js'
import { writeReport } from './report.js'

const { names, runs, records, isQuick, json, report, floors } = JSON.parse(process.argv[2] ?? '{}') as BenchArguments
// Whoever started it is gone.
process.stdin
  .resume()
  .once('end', () => process.exit(exitCodes.failed))
  .unref()
endWithReader()

const began = performance.now()
const machine = describeMachine()
const load = loadNow()
const form = { runs, records, isQuick }
const measured = {
  machine,
  began: new Date().toISOString(),
  load,
  ...form,
  /** Of each benchmark how long it took, and the load when it was over, its own included. */
  took: {} as Record<string, { seconds: number; load: number }>,
  /** What could not be measured here, and why. */
  leftOut: [] as string[],
  failed: {} as Record<string, string>,
  results: {} as Record<string, readonly Figure[]>,
  plots: [] as Plot[],
  floors: undefined as ReturnType<typeof judgeFloors> | undefined,
}
const runsText = `${runs} ${runs === 1 ? 'run' : 'runs'}`
const formText = isQuick ? `quick form, no basis for figures; ${runsText}` : runsText
const { emrchain, node, processor, cores } = machine
/** Beneath each plot. */
const source = `${formText}, emrchain ${emrchain}, Node ${node}, ${processor}, ${cores} cores, load ${load} at the start`
if (!json) console.log(`${machineText(machine)}, load ${load} at the start; ${formText}`)
if (load > cores / 2) say(`Other programs are busy here (load ${load}, ${cores} cores): figures will be worse.`)

for (const [at, name] of names.entries()) {
  const folder = join(tmpdir(), name)
  mkdirSync(folder)
  const before = performance.now()
  say(`${name}: benchmark ${at + 1} of ${names.length}, ${aboutOf(name, form)}`)
  try {
    measured.results[name] = await benchmarks[name]({
      ...{ folder, ...form, say },
      leaveOut(what) {
        measured.leftOut.push(`${name}: ${what}`)
        say(`${name}: left out: ${what}`)
      },
      plot: (plot) => void measured.plots.push({ ...plot, source }),
    })
  } catch (error) {
    // The others have figures all the same.
    measured.failed[name] = error instanceof Error ? error.message : String(error)
    process.exitCode = exitCodes.failed
    say(`${name} FAILED: ${error instanceof Error ? error.stack : error}`)
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  const seconds = Number(((performance.now() - before) / 1_000).toFixed(1))
  measured.took[name] = { seconds, load: loadNow() }
  say(`${name}: over after ${seconds} s`)
  const figures = measured.results[name]
  if (figures && !json) console.log(`\n${figureTable(name, figures)}\n`)
  if (report !== undefined) writeReport(report, measured)
}

if (floors) measured.floors = judgeFloors(measured.results)
if (measured.floors?.hold === false) process.exitCode = exitCodes.failed
const endings = [
  ...(measured.floors?.lines ?? []),
  ...measured.leftOut.map((what) => `left out  ${what}`),
  ...Object.entries(measured.failed).map(([name, why]) => `FAILED    ${name}: ${why}`),
]
if (report !== undefined) {
  writeReport(report, measured)
  endings.push(`report    ${resolve(report, 'report.json')}, plots beside it: ${measured.plots.length}`)
}
if (json) process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`)
for (const line of endings) (json ? console.error : console.log)(line)

/** Tells how far it is, with the minutes and seconds since the beginning. */
function say(line: string): void {
  const seconds = Math.floor((performance.now() - began) / 1_000)
  process.stderr.write(`${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} ${line}\n`)
}
