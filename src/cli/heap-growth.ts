import { setFlagsFromString } from 'node:v8'

/**
 * Lets the heap grow by seven tenths of what is alive before V8 collects it, instead of up to four times, by which
 * a flood of small things that nobody keeps would take a node's memory up. See
 * docs/decisions/0015-heap-grows-in-small-steps.md. Whoever sets the option by hand is obeyed.
 */
export function growHeapInSmallSteps(): void {
  const isSet = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((text) => /heap.growing.percent/.test(text))
  if (!isSet) setFlagsFromString('--heap-growing-percent=70')
}
