import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { benchmarkNames } from '../../bench/arguments.js'

const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url))

/** `npm run bench` without its npm; all temporary files are below this folder. */
function startBench(
  words: readonly string[],
  temporary: string,
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  return spawn(process.execPath, [main, ...words], {
    env: { PATH: process.env.PATH, ...env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function runBench(...args: Parameters<typeof startBench>): Promise<{ code: number; out: string; said: string }> {
  const child = startBench(...args)
  if (!child.stdout || !child.stderr) throw new Error('The process has no output.')
  const [out, said, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code, out, said }
}

t.test('a wrong command line is refused before anything is measured', async (t) => {
  const folder = t.testdir({ file: 'no folder' })
  const file = join(folder, 'file')
  const wrong: readonly (readonly [words: readonly string[], complaint: RegExp])[] = [
    [['nonsense'], /'nonsense' is invalid.*Allowed choices are sync, gossip/],
    [['constructor'], /'constructor' is invalid/],
    [['--runs', '0'], /'0' is invalid\. It is a whole number from 1/],
    [['--runs', 'abc'], /'abc' is invalid\. It is a whole number from 1/],
    [['--records', '-1'], /'-1' is invalid\. It is a whole number from 1/],
    [['--bogus'], /unknown option '--bogus'/],
    [['decide', '--report', file], /no report can be written to .*file: EEXIST/],
    [['decide', '--report', join(file, 'below')], /no report can be written to .*below: ENOTDIR/],
  ]
  for (const [words, complaint] of wrong) {
    const { code, out, said } = await runBench(words, folder)
    t.equal(code, 2, words.join(' '))
    t.equal(out, '')
    t.match(said, complaint)
    t.notMatch(said, /\n {4}at /, 'no stack')
  }
  t.strictSame(readdirSync(folder), ['file'])
})

t.test('help names every benchmark', async (t) => {
  const { code, out } = await runBench(['--help'], t.testdir())
  t.equal(code, 0)
  for (const name of benchmarkNames) t.match(out, new RegExp(`^  ${name} +\\S.* on two cores$`, 'm'))
})

t.test('figures as JSON and as a report, with what is left out', async (t) => {
  const folder = t.testdir({ temporary: {} })
  const report = join(folder, 'report')
  const words = ['mining', '--quick', '--runs', '1', '--json', '--floors', '--report', report]
  // No Python and no OpenSSL is there.
  const { code, out, said } = await runBench(words, join(folder, 'temporary'), { PATH: folder })
  const measured = JSON.parse(out)
  // What else this machine does decides as well.
  t.equal(code, measured.floors.hold ? 0 : 1, said)
  t.strictSame(JSON.parse(readFileSync(join(report, 'report.json'), 'utf8')), measured)
  t.strictSame(measured.leftOut, [
    'mining: openssl speed; there is no openssl',
    'mining: the prototype; there is no python3',
  ])
  t.match(measured, { runs: 1, isQuick: true, failed: {}, machine: { node: process.version }, took: { mining: {} } })
  t.equal(measured.floors.lines.length, 3)
  t.match(said, 'left out  mining: mine_block, of the prototype: mean: needs Python 3 with Flask')
  t.match(readFileSync(join(report, 'mine-block.svg'), 'utf8'), `quick form, no basis for figures; 1 run, `)
  t.strictSame(readdirSync(join(folder, 'temporary')), [])
})

t.test('a benchmark that fails is told of, and the next one runs', async (t) => {
  const folder = t.testdir({ temporary: {}, age: '', ipfs: '' })
  writeFileSync(join(folder, 'age-keygen'), '#!/bin/sh\nexit 3\n', { mode: 0o755 })
  const programs = { AGE_BIN: join(folder, 'age'), KUBO_BIN: join(folder, 'ipfs') }
  const words = ['files', 'signatures', '--quick', '--runs', '1', '--json']
  const { code, out, said } = await runBench(words, join(folder, 'temporary'), programs)
  t.equal(code, 1)
  const { failed, results } = JSON.parse(out)
  t.match(failed.files, /^Command failed: .*age-keygen/)
  t.match(said, /signatures: benchmark 2 of 2/)
  t.strictSame(Object.keys(failed), ['files'])
  t.strictSame(Object.keys(results), ['signatures'])
})

t.test('interrupted, it ends what it has started and leaves nothing', async (t) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    const folder = t.testdir()
    // Its nodes write to the same stderr: that it closes shows that they have ended.
    const child = startBench(['sync', '--records', '500', '--runs', '9999'], folder)
    const closed = once(child, 'close')
    if (!child.stderr) throw new Error('The process has no output.')
    const lines: string[] = []
    for await (const line of createInterface(child.stderr)) {
      lines.push(line)
      if (/sync: run 1 of 9999: /.test(line)) child.kill(signal)
    }
    t.strictSame(await closed, [130, null])
    t.equal(lines.at(-1), 'bench: interrupted. All that was started has ended, and its files are gone.')
    t.strictSame(readdirSync(folder), [])
  }
})
