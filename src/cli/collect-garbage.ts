import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Gives back memory that is not used any more. scrypt leaves 128 MiB behind, and V8 would keep them to the end: a
 * file that streams by never makes it look at old memory.
 */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') collect()
}
