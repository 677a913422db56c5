import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
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

interface Playing {
  /** Resolves when it had done what it began. */
  readonly ready: Promise<void>
  readonly isReady: () => boolean
  kill(): Promise<void>
}

/** Plays a scene in a process of its own; resolves when it has begun. */
async function start(scene: 'linger' | 'switch', home: string): Promise<Playing> {
  const script = fileURLToPath(new URL('../fixtures/crash-child.js', import.meta.url))
  const child = spawn(process.execPath, [script, scene, home], { stdio: ['ignore', 'pipe', 'inherit'], env: {} })
  const exited = once(child, 'exit')
  const lines = createInterface(child.stdout)
  const begun = once(lines, 'line')
  let isReady = false
  const ready = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      if (line !== 'ready') return
      isReady = true
      resolve()
    })
  })
  await begun
  return {
    ready,
    isReady: () => isReady,
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** @returns whether it was killed before it had done what it began */
async function killAfter(milliseconds: number, scene: 'linger' | 'switch', home: string): Promise<boolean> {
  const playing = await start(scene, home)
  await setTimeout(milliseconds)
  const isWithin = !playing.isReady()
  await playing.kill()
  return isWithin
}

export interface TimedKills {
  readonly kills: number
  /** Kills before the scene had done what it began. */
  readonly within: number
  readonly faults: string[]
}

/** Kills a node 0 to 300 ms after its process began to run, mostly in its recovery, on one folder. */
export async function earlyKills(folder: string, kills: number): Promise<TimedKills> {
  const random = createRandom(seedOfRun())
  const stage = await createStage(folder)
  const home = join(folder, 'early')
  const acknowledged = await stage.set('no index', home)
  let within = 0
  for (let kill = 0; kill < kills; kill++) {
    if (await killAfter(random.whole(0, 300), 'linger', home)) within++
  }
  return { kills, within, faults: await judge('reopen', home, acknowledged) }
}

/** Kills a node while it changes from a chain of 60 blocks to a branch that wins, or shortly after, each time anew. */
export async function switchKills(folder: string, kills: number): Promise<TimedKills> {
  const random = createRandom(seedOfRun())
  const stage = await createStage(folder)
  const home = join(folder, 'switch')
  await stage.set('grown', home)
  const whole = await start('switch', home)
  const before = performance.now()
  await whole.ready
  const most = Math.ceil((performance.now() - before) * 1.2)
  await whole.kill()
  rmSync(home, { recursive: true })
  const faults: string[] = []
  let within = 0
  for (let kill = 0; kill < kills; kill++) {
    const acknowledged = await stage.set('grown', home)
    if (await killAfter(random.whole(0, most), 'switch', home)) within++
    faults.push(...(await judge('reopen', home, acknowledged)))
    rmSync(home, { recursive: true })
  }
  return { kills, within, faults }
}
