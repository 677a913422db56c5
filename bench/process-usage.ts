import { readFileSync } from 'node:fs'

const KIBIBYTE = 1024

/** Time on all processors so far, of all threads, in s; 0 where the system does not tell (proc(5): utime and stime). */
export function processorSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return 0
  }
}

/** Memory that is no mapped file, in MiB; 0 where the system does not tell (proc(5): RssAnon). */
export const ownMemory = (pid: number): number => statusField(pid, 'RssAnon') / KIBIBYTE

/** All memory in use, mapped files included, in MiB; 0 where the system does not tell (proc(5): VmRSS). */
export const residentMemory = (pid: number): number => statusField(pid, 'VmRSS') / KIBIBYTE

/** The most memory so far, mapped files included, in MiB; 0 where the system does not tell (proc(5): VmHWM). */
export const peakMemory = (pid: number): number => statusField(pid, 'VmHWM') / KIBIBYTE

/** Watches memory that is no mapped file, ten times a second. The returned function ends that, and gives the most, in MiB. */
export function watchOwnMemory(pid: number): () => number {
  let most = ownMemory(pid)
  const sampling = setInterval(() => {
    most = Math.max(most, ownMemory(pid))
  }, 100)
  return () => {
    clearInterval(sampling)
    return Math.max(most, ownMemory(pid))
  }
}

/** In KiB. */
function statusField(pid: number, name: string): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
  } catch {
    return 0
  }
}
