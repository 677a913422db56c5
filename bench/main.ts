/**
 * `npm run bench`: how fast it is here. What may be typed is in `arguments.ts`; `run-benchmarks.ts` measures, as a process of
 * its own, at the head of a group of processes. A search for a nonce or a rate of signatures holds its thread for many seconds, and
 * Ctrl-C must end at once all that was started, whoever started it, and leave no folder behind.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CommanderError } from 'commander'
import { type BenchArguments, exitCodes, readArguments } from './arguments.js'

try {
  process.exitCode = await measure(readArguments(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage
}

/** @returns the exit code */
async function measure(options: BenchArguments): Promise<number> {
  const home = mkdtempSync(join(tmpdir(), 'emrchain-bench-'))
  const script = fileURLToPath(new URL('./run-benchmarks.js', import.meta.url))
  const measuring = spawn(process.execPath, [script, JSON.stringify(options)], {
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
    // What others put away while they run is removed with the rest.
    env: { ...process.env, TMPDIR: home },
  })
  const exited = once(measuring, 'exit')
  const endAll = (): void => {
    try {
      if (measuring.pid !== undefined) process.kill(-measuring.pid, 'SIGKILL')
    } catch {
      // Nobody of the group is left.
    }
  }
  let isInterrupted = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      isInterrupted = true
      endAll()
    })
  }
  const [code] = await exited
  // Where a benchmark failed, what it had started may still be there.
  endAll()
  rmSync(home, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
  if (isInterrupted)
    process.stderr.write('\nbench: interrupted. All that was started has ended, and its files are gone.\n')
  return isInterrupted ? exitCodes.interrupted : (code ?? exitCodes.failed)
}
