import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { headerLength, targetLength } from '#emrchain/mining/kernel.js'
import { createMiner } from '#emrchain/mining/miner.js'
import { createControlMemory, openJobControl } from '#emrchain/mining/mining-job.js'
import { createWorkerPool } from '#emrchain/mining/worker-pool.js'
import { paperNetwork } from '#emrchain/protocol/network-parameters.js'
import { startNodeProcess } from '../test/fixtures/node-process.js'
import { type AnswerTimes, answersBesideSearch } from './answers-beside-search.js'
import { type Benchmark, type BenchmarkOptions, type Figure, figure, type Plot } from './figures.js'
import { hashRates, kernels, references } from './hash-rates.js'
import { mineBlocks, storeFile } from './mine-blocks.js'
import { startPrototype } from './peers/prototype-process.js'
import { quantileOf } from './quantile.js'
import { mean } from './rates.js'

/** Values of each run, by what was measured. */
type Series = Map<string, number[]>

const header = Buffer.alloc(headerLength)
const impossible = Buffer.alloc(targetLength)

/**
 * The miner from its kernels to blocks over HTTP: hashes a second and core; workers side by side; how soon a cancelled search is over; and
 * `mine_block` at the prototype's 16 bits, with the durable append, beside the prototype, then at 24 bits.
 */
export const mining: Benchmark = async ({ folder, runs, isQuick, say, leaveOut, plot }) => {
  const rates = await measureRates(runs, { isQuick, say, leaveOut })
  const threads = await measureWorkers(runs, isQuick ? 300 : 1_000)
  const cancels = await measureCancels(isQuick ? 20 : 100)
  const answers = isQuick ? [] : await measureAnswers(folder, runs, 1_000)
  say(`mining: blocks over HTTP, ${runs} runs`)
  const blocks = await measureBlocks(folder, { runs, count: isQuick ? 50 : 200, isQuick, say, leaveOut })
  plot(latencyPlot(blocks.latencies))
  return [
    ...rates,
    ...threads,
    figure('a cancelled search is over, all workers: median', 'ms', [quantileOf(cancels, 0.5)]),
    figure(`the same, longest of ${cancels.length}`, 'ms', [Math.max(...cancels)]),
    ...answers,
    ...blocks.figures,
  ]
}

async function measureRates(
  runs: number,
  options: Pick<BenchmarkOptions, 'isQuick' | 'say' | 'leaveOut'>,
): Promise<Figure[]> {
  const measured: Series = new Map()
  const ways = hashRates(options)
  for (let run = 0; run < runs; run++) {
    for (const { what, measure } of ways) {
      const rate = measure() / 1e6
      measured.set(what, [...(measured.get(what) ?? []), rate])
      options.say(`mining: run ${run + 1} of ${runs}, ${what}: ${rate.toFixed(2)} million/s`)
    }
  }
  const best = measured.get(kernels.vector) ?? measured.get(kernels.script) ?? []
  const ratios = Object.values(references).flatMap((what) => {
    const others = measured.get(what)
    const name = `fastest kernel, of ${what.replace('reference: ', '')}`
    return others ? [figure(name, 'times', timesOf(best, others))] : []
  })
  return [...[...measured].map(([what, values]) => figure(what, 'million/s, core', values)), ...ratios]
}

/** Hashes of all workers together by the clock: what they gain from each other's cores is the point. */
async function measureWorkers(runs: number, ms: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const threads of [...new Set([1, 2, availableParallelism()])]) {
    const values: number[] = []
    const miner = createMiner({ threads })
    for (let run = 0; run < runs; run++) {
      const search = new AbortController()
      const searching = miner.mine(header, impossible, { signal: search.signal }).catch(() => undefined)
      // The threads have started when something is counted.
      const before = miner.hashes()
      while (miner.hashes() === before) await pause(1)
      const [from, at] = [miner.hashes(), performance.now()]
      await pause(ms)
      values.push((miner.hashes() - from) / (performance.now() - at) / 1_000)
      search.abort()
      await searching
    }
    await miner.close()
    figures.push(figure(`workers: ${threads}${threads > 1 ? ' together' : ''}`, 'million/s', values))
  }
  return figures
}

/** From the cancellation until the last worker has said that it left the search, in ms. */
async function measureCancels(count: number): Promise<number[]> {
  const threads = availableParallelism()
  let left = 0
  let onAllLeft: () => void = () => undefined
  const pool = createWorkerPool({
    threads,
    workerUrl: new URL('./worker.js', import.meta.resolve('#emrchain/mining/worker-pool.js')),
    onReply() {
      left++
      if (left === threads) onAllLeft()
    },
    onLoss(cause) {
      throw cause
    },
  })
  const took: number[] = []
  for (let id = 0; id < count; id++) {
    const memory = createControlMemory()
    const control = openJobControl(memory)
    left = 0
    const allLeft = new Promise<void>((resolve) => {
      onAllLeft = resolve
    })
    pool.post({ id, header, target: impossible, first: 0, control: memory })
    while (control.hashes() === 0) await pause(1)
    // Not always at the same place of a slice.
    await pause(5 + Math.random() * 5)
    const at = performance.now()
    control.stop()
    await allLeft
    took.push(performance.now() - at)
  }
  await pool.close()
  return took
}

/** What a search costs those who ask the node for something else, with one thread for it and with one for each core. */
async function measureAnswers(folder: string, runs: number, count: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const threads of new Set([1, availableParallelism()])) {
    const measured: AnswerTimes[] = []
    for (let run = 0; run < runs; run++) {
      const at = join(folder, `answers-${threads}-${run}`)
      mkdirSync(at)
      measured.push(await answersBesideSearch(at, threads, count))
    }
    const named = `/healthz beside a search on ${threads} thread${threads > 1 ? 's' : ''}`
    figures.push(
      ...percentileFigures(
        named,
        measured.map(({ besideSearch }) => besideSearch),
        [0.5, 0.99],
      ),
    )
    figures.push(
      ...percentileFigures(
        `reference: the same node at rest, before the search on ${threads}`,
        measured.map(({ alone }) => alone),
        [0.5, 0.99],
      ),
    )
  }
  return figures
}

interface BlockOptions {
  readonly runs: number
  readonly count: number
  readonly isQuick: boolean
  say(line: string): void
  leaveOut(what: string): void
}

async function measureBlocks(folder: string, { runs, count, isQuick, say, leaveOut }: BlockOptions) {
  const hard = join(folder, 'hard.json')
  const difficulty = { rule: 'fixed', target: '1e00ffff' }
  writeFileSync(hard, JSON.stringify({ ...paperNetwork, name: 'paper-24', difficulty }))
  const threads = { MINING_THREADS: String(availableParallelism()) }
  const ours: number[][] = []
  const theirs: number[][] = []
  const prototype = await startPrototype(leaveOut)
  try {
    const node = await startNodeProcess({ ...threads, DATA: join(folder, 'easy') })
    try {
      const hash = await storeFile(node.url)
      // The engine compiles what the first blocks run through.
      await mineBlocks(node.url, hash, isQuick ? 50 : 200)
      for (let run = 0; run < runs; run++) {
        ours.push(await mineBlocks(node.url, hash, count))
        if (prototype) theirs.push(await mineBlocks(prototype.url, hash, isQuick ? 20 : count))
        say(`mining: run ${run + 1} of ${runs}, 16 bits: ${mean(ours.at(-1) ?? []).toFixed(2)} ms a block`)
      }
    } finally {
      await node.end('SIGTERM')
    }
  } finally {
    await prototype?.end()
  }
  const long: number[] = []
  if (!isQuick) {
    const node = await startNodeProcess({ ...threads, DATA: join(folder, 'hard'), NETWORK: hard })
    try {
      const hash = await storeFile(node.url)
      for (let run = 0; run < runs; run++) long.push(mean(await mineBlocks(node.url, hash, LONG_BLOCKS)))
    } finally {
      await node.end('SIGTERM')
    }
  }
  return {
    latencies: { ours: ours.flat(), theirs: theirs.flat() },
    figures: [
      ...latencyFigures('mine_block, 16 bits', ours),
      ...(prototype ? latencyFigures(`reference: the prototype (${prototype.versions})`, theirs) : []),
      ...(prototype
        ? [figure('mine_block, of the prototype: mean', 'times', timesOf(theirs.map(mean), ours.map(mean)))]
        : []),
      ...(isQuick ? [] : [figure(`mine_block, 24 bits: mean of ${LONG_BLOCKS}`, 'ms', long)]),
    ],
  }
}
const LONG_BLOCKS = 10

function latencyFigures(what: string, runs: readonly number[][]): Figure[] {
  return [figure(`${what}: mean`, 'ms', runs.map(mean)), ...percentileFigures(what, runs, [0.5, 0.95, 0.99])]
}

const percentileFigures = (what: string, runs: readonly number[][], shares: readonly number[]): Figure[] =>
  shares.map((share) =>
    figure(
      `${what}: p${share * 100}`,
      'ms',
      runs.map((values) => quantileOf(values, share)),
    ),
  )

function latencyPlot({ ours, theirs }: { ours: readonly number[]; theirs: readonly number[] }): Plot {
  const points = (values: readonly number[]) =>
    Array.from({ length: 100 }, (_, at) => ({ x: at + 0.5, y: quantileOf(values, (at + 0.5) / 100) }))
  return {
    name: 'mine-block',
    title: 'mine_block over HTTP at 16 bits',
    x: { label: 'share of blocks that take no longer (%)' },
    y: { label: 'time (ms)', isLogarithmic: true },
    series: [
      { name: 'emrchain, durable', points: points(ours) },
      ...(theirs.length > 0 ? [{ name: 'the prototype, in memory', points: points(theirs) }] : []),
    ],
  }
}

/** How many times the second each value of the first is, run by run. */
const timesOf = (values: readonly number[], others: readonly number[]): number[] =>
  values.map((value, run) => value / (others[run] ?? Number.NaN))

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
