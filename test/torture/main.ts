/**
 * `npm run torture`: what takes too long for `npm test`. All of it, or the parts that the command line names:
 * `npm run torture -- kills`. Prints a table; the exit code is 1 where something was lost or wrong.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { easyNetworkFile } from '../fixtures/block-maker.js'
import { killRounds } from '../fixtures/kill-rounds.js'
import { seedOfRun } from '../fixtures/random.js'
import { consent } from './consent.js'
import { allCrashes, earlyKills, switchKills, type TimedKills } from './crashes.js'
import { custody } from './custody.js'
import { flips } from './flips.js'
import { fuzz } from './fuzz.js'
import { hostile } from './hostile.js'
import { largeFile, MOST_MEMORY } from './large-file.js'
import { partitions } from './partitions.js'
import { slow } from './slow.js'

interface Row {
  readonly what: string
  readonly 'how many': string
  readonly lost: number
  readonly wrong: number
}

const KILLS = 1000
const GIBIBYTE = 1024 ** 3

/** `npm run torture -- kills=50`: fewer or more of them. */
const amounts = new Map(
  process.argv.slice(2).map((word): [string, string | undefined] => {
    const [name = '', amount] = word.split('=')
    return [name, amount]
  }),
)
const amountOf = (part: string, usual: number): number => Number(amounts.get(part) ?? usual)

const parts: Readonly<Record<string, (folder: string) => Promise<Row[]>>> = {
  async kills(folder) {
    const seed = seedOfRun()
    say(`kills: EMRCHAIN_TEST_SEED=${seed}`)
    const rounds = amountOf('kills', KILLS)
    const network = join(folder, 'easy.json')
    writeFileSync(network, JSON.stringify(easyNetworkFile))
    const onRound = (round: number) => round % 10 === 0 && say(`kills: ${round} of ${rounds}`)
    const report = await killRounds({ folder, network, rounds, seed, onRound })
    for (const line of [...report.lost, ...report.wrong]) say(`kills: ${line}`)
    const { kills, transactions, blocks, files } = report
    const many = `${kills} kills, ${transactions} transactions, ${blocks} blocks, ${files} files acknowledged`
    return [{ what: 'a node killed at work', 'how many': many, lost: report.lost.length, wrong: report.wrong.length }]
  },

  partitions: (folder) => partitions(folder, say),

  async memory(folder) {
    const gibibytes = amountOf('memory', 2)
    say(`memory: ${gibibytes} GiB through add and get`)
    const { peaks, seconds, isSame } = await largeFile(folder, gibibytes * GIBIBYTE)
    const file = {
      what: `${gibibytes} GiB through add and get`,
      'how many': `add ${seconds.add.toFixed(1)} s, get ${seconds.get.toFixed(1)} s`,
      lost: isSame ? 0 : 1,
      wrong: 0,
    }
    const rows = peaks.map(({ what, mebibytes }) => ({
      what: `peak memory of ${what}`,
      'how many': `${mebibytes.toFixed(0)} of ${MOST_MEMORY} MiB`,
      lost: 0,
      wrong: mebibytes < MOST_MEMORY ? 0 : 1,
    }))
    return [file, ...rows]
  },

  async reorg() {
    say('reorg: 1,000 blocks one way and the other')
    const { checks, failed } = await runTest('../chain/reorganise.test.js')
    return [{ what: 'reorganisation of 1,000 blocks', 'how many': `${checks} checks`, lost: 0, wrong: failed }]
  },

  crashes: (folder) => allCrashes(folder, amountOf('crashes', 8), say),

  async early(folder) {
    const report = await earlyKills(folder, amountOf('early', 100))
    return [timedKills('early', 'a node killed as it starts', report)]
  },

  async switches(folder) {
    const report = await switchKills(folder, amountOf('switches', 100))
    return [timedKills('switches', 'a node killed as it changes to another branch', report)]
  },

  slow: (folder) => slow(folder, say),

  fuzz: (folder) => fuzz(folder, amountOf('fuzz', 10_000), say),

  hostile: (folder) => hostile(folder, say),

  flips: (folder) => flips(folder, amountOf('flips', 1000), say),

  async mixed() {
    say('mixed: nodes with Kubo and without, 256 MiB and every smaller size')
    const { checks, failed } = await runTest('../files/kubo-mixed.test.js')
    return [{ what: 'nodes with Kubo and without', 'how many': `${checks} checks`, lost: 0, wrong: failed }]
  },

  async consent() {
    return consent(amountOf('consent', 100_000), say)
  },

  custody: (folder) => custody(folder, amountOf('custody', 300), say),

  async cuts() {
    say('cuts: the chain file cut at every byte')
    const of = availableParallelism()
    const shares = Array.from({ length: of }, (_, share) => `${share}/${of}`)
    const tails = await Promise.all(shares.map((share) => runTest('../ledger/torn-tail.test.js', share)))
    const recovery = await runTest('../ledger/recovery.test.js')
    const cuts = tails.reduce((sum, { places }) => sum + places, 0)
    const wrong = tails.reduce((sum, { failed }) => sum + failed, 0)
    return [
      { what: 'the chain file cut in its last 64 KiB', 'how many': `${cuts} cuts`, lost: 0, wrong },
      { what: 'recovery, the long form', 'how many': `${recovery.checks} checks`, lost: 0, wrong: recovery.failed },
    ]
  },
}

/** Too few kills within the scene count as wrong: the rest shows nothing. */
function timedKills(part: string, what: string, { kills, within, faults }: TimedKills): Row {
  for (const fault of faults) say(`${part}: ${fault}`)
  const many = `${kills} kills, ${within} before it had done so`
  return { what, 'how many': many, lost: faults.length, wrong: within > kills * 0.3 ? 0 : 1 }
}

/** Runs a test in its long form, or one process's `share` of it. @returns also how many places its checks speak of */
async function runTest(path: string, share = '0/1'): Promise<{ checks: number; failed: number; places: number }> {
  const env = { ...process.env, EMRCHAIN_LONG: '1', EMRCHAIN_SHARE: share, TAP_TIMEOUT: '20000' }
  const script = fileURLToPath(new URL(path, import.meta.url))
  // A folder of its own: tap keeps what a test writes below the folder it runs in.
  const cwd = mkdtempSync(join(home, 'long-'))
  const child = spawn(process.execPath, [script], { env, cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (piece) => {
    output += piece
  })
  const [code] = await once(child, 'close')
  if (code !== 0) say(output)
  const [, checks = '0', failed = '0'] = /^# \{ total: (\d+)(?:.*fail: (\d+))?/m.exec(output) ?? []
  const places = [...output.matchAll(/(\d+) places$/gm)].reduce((sum, [, many]) => sum + Number(many), 0)
  return { checks: Number(checks), failed: code === 0 ? 0 : Math.max(1, Number(failed)), places }
}

const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

const names = [...amounts.keys()]
const unknown = names.filter((name) => !(name in parts))
if (unknown.length > 0) throw new Error(`Parts are ${Object.keys(parts).join(', ')}; not ${unknown.join(', ')}.`)
const home = mkdtempSync(join(tmpdir(), 'emrchain-torture-'))
const rows: Row[] = []
try {
  for (const [name, run] of Object.entries(parts)) {
    if (names.length > 0 && !names.includes(name)) continue
    const folder = join(home, name)
    mkdirSync(folder)
    rows.push(...(await run(folder)))
  }
} finally {
  rmSync(home, { recursive: true, force: true })
}
console.table(rows)
if (rows.some(({ lost, wrong }) => lost + wrong > 0)) process.exitCode = 1
