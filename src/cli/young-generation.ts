/**
 * The option of Node.js that bounds where new objects lie to twice 8 MiB. Node.js 24 would let that grow to twice 32
 * MiB, all of which a node that passes large files on comes to fill with what is long dead, and the more room there
 * is, the longer the memory of pieces that went through it stays. See docs/decisions/0011-small-young-generation.md.
 */
export const SMALL_YOUNG_GENERATION = '--max-semi-space-size=8'

/**
 * Starts this process again, as the same process, with a small young generation: V8 takes the option at its start
 * alone. Does nothing where the option is set, by hand or by the process that started this one, and nothing where
 * Node.js cannot do it, which is Node.js 20, whose young generation is smaller, and Windows.
 */
export function restartWithSmallYoungGeneration(): void {
  const isSet = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((text) => text.includes('semi-space-size'))
  // The channel to a parent would not outlive it.
  if (isSet || process.send !== undefined || process.platform === 'win32') return
  if (!('execve' in process) || typeof process.execve !== 'function') return
  const args = [process.execPath, SMALL_YOUNG_GENERATION, ...process.execArgv, ...process.argv.slice(1)]
  process.execve(process.execPath, args, process.env)
}
