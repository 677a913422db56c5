import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { VERSION } from '#emrchain/node/version.js'

/** Where something was measured: figures mean nothing without it. */
export interface Machine {
  readonly emrchain: string
  readonly node: string
  readonly processor: string
  readonly cores: number
  readonly memory: string
  readonly system: string
}

export const describeMachine = (): Machine => ({
  emrchain: `${VERSION}${commit()}`,
  node: process.version,
  processor: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
  system: `${process.platform} ${process.arch}`,
})

export const machineText = ({ emrchain, node, processor, cores, memory, system }: Machine): string =>
  `emrchain ${emrchain}, Node ${node}, ${processor}, ${cores} cores, ${memory}, ${system}`

/** Programs that run or wait to run, of the last minute. Other work on the same cores makes every figure worse. */
export const loadNow = (): number => Number((loadavg()[0] ?? 0).toFixed(1))

/** The commit that was measured, in brackets; nothing outside a clone. */
function commit(): string {
  try {
    const folder = fileURLToPath(new URL('../../', import.meta.url))
    const flags = ['describe', '--always', '--dirty', '--exclude=*']
    const found = execFileSync('git', flags, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return ` (${found.trim()})`
  } catch {
    return ''
  }
}
