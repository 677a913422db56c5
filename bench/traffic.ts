import { readFileSync, rmSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** Bytes over the connections of a process, both ways: those on which it called others, and those on which it was called. */
export interface Traffic {
  readonly calling: number
  readonly called: number
}

/** How long a process may take to answer, in ms. */
const PATIENCE = 10_000

/** What a process has counted so far that `report-traffic.ts` watches. */
export async function readTraffic({ pid, trafficFile }: { pid: number; trafficFile: string }): Promise<Traffic> {
  rmSync(trafficFile, { force: true })
  process.kill(pid, 'SIGUSR2')
  for (const end = Date.now() + PATIENCE; Date.now() < end; await setTimeout(10)) {
    const traffic = readIfThere(trafficFile)
    if (traffic) return traffic
  }
  throw new Error('The process does not say what it has counted.')
}

function readIfThere(path: string): Traffic | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  const traffic: unknown = JSON.parse(text)
  if (typeof traffic !== 'object' || traffic === null || !('calling' in traffic && 'called' in traffic)) {
    throw new Error(`Not a count of traffic: ${text}`)
  }
  return { calling: Number(traffic.calling), called: Number(traffic.called) }
}
