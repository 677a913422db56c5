import { open, readFile, rm } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { EmrError } from '../errors.js'

/** How long another process may hold the lock, in ms, and how often it is looked at. */
const PATIENCE = 30_000
const PAUSE = 50

/**
 * Does `work` while no other process does work under the lock of this path. A lock whose process is gone does not
 * count.
 *
 * @throws EmrError `wallet_in_use`, `cancelled`
 */
export async function withLock<Result>(
  path: string,
  signal: AbortSignal,
  work: () => Promise<Result>,
): Promise<Result> {
  const lock = `${path}.lock`
  const deadline = Date.now() + PATIENCE
  while (!(await take(lock))) {
    if (signal.aborted) throw new EmrError('cancelled')
    if (await isLeftBehind(lock)) await rm(lock, { force: true })
    else if (Date.now() > deadline) throw new EmrError('wallet_in_use', lock)
    else await setTimeout(PAUSE)
  }
  try {
    return await work()
  } finally {
    await rm(lock, { force: true })
  }
}

async function take(lock: string): Promise<boolean> {
  try {
    const file = await open(lock, 'wx', 0o600)
    await file.writeFile(String(process.pid))
    await file.close()
    return true
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'EEXIST') return false
    throw new EmrError('disk_failed', `${lock}: ${String(code)}.`, {}, { cause })
  }
}

async function isLeftBehind(lock: string): Promise<boolean> {
  const text = await readFile(lock, 'utf8').catch(() => '')
  // Empty for a moment after it was made; a process id after that.
  if (!/^\d+$/.test(text)) return false
  try {
    process.kill(Number(text), 0)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}
