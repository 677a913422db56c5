import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { failpoints } from '#emrchain/failpoint.js'
import { judge } from '../fixtures/crash-scenes.js'
import { crashAt, createStage } from '../fixtures/crashes.js'
import { createRandom, seedOfRun } from '../fixtures/random.js'

/** Ends a process at the first, second, third time that it comes to each step, up to `times`. */
export async function allCrashes(folder: string, times: number, say: (line: string) => void) {
  const stage = await createStage(folder)
  let crashes = 0
  let acknowledged = 0
  let faults = 0
  let missed = 0
  for (const point of failpoints) {
    for (let nth = 1; nth <= times; nth++) {
      const found = await crashAt(point, nth, stage, join(folder, 'home'))
      if (!found) {
        if (nth === 1) missed++
        break
      }
      crashes++
      acknowledged += found.acknowledged
      faults += found.faults.length
      for (const fault of found.faults) say(`crashes: ${point}, time ${nth}: ${fault}`)
    }
    say(`crashes: ${point} done`)
  }
  const many = `${crashes} ends at ${failpoints.length} steps, ${acknowledged} acknowledgements`
  return [{ what: 'a process ended at each step', 'how many': many, lost: faults, wrong: missed }]
}

/** Kills a node 0 to 300 ms after its process began to run, mostly in its recovery. */
export async function earlyKills(folder: string, kills: number) {
  const random = createRandom(seedOfRun())
  const stage = await createStage(folder)
  const script = fileURLToPath(new URL('../fixtures/crash-child.js', import.meta.url))
  const home = join(folder, 'early')
  const acknowledged = await stage.set('no index', home)
  let beforeReady = 0
  for (let kill = 0; kill < kills; kill++) {
    const child = spawn(process.execPath, [script, 'linger', home], { stdio: ['ignore', 'pipe', 'inherit'], env: {} })
    const exited = once(child, 'exit')
    let ready = false
    const started = new Promise<void>((resolve) => {
      child.stdout.on('data', (piece) => {
        resolve()
        if (String(piece).includes('ready')) ready = true
      })
    })
    await started
    await setTimeout(random.whole(0, 300))
    if (!ready) beforeReady++
    child.kill('SIGKILL')
    await exited
  }
  return { kills, beforeReady, faults: await judge('reopen', home, acknowledged) }
}
