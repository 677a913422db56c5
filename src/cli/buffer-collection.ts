import { setFlagsFromString } from 'node:v8'

/**
 * Has V8 collect new objects when 8 MiB of buffers hang on them. Node.js 24 would let 70 to 90 MiB gather: each piece that
 * comes from a socket is a buffer of its own. Earlier versions let 32 MiB gather and have no such option. See
 * docs/decisions/0021-buffers-are-collected-early.md. Whoever sets the option by hand is obeyed.
 */
export function collectBuffersEarly(): void {
  const isSet = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((text) => /new.space.capacity/.test(text))
  if (isSet || Number.parseInt(process.versions.v8, 10) < 13) return
  // The bound is four times this. The room for the new objects themselves is fixed by now.
  setFlagsFromString('--scavenger-max-new-space-capacity-mb=2')
}
