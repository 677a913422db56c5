import { fuzzApi } from '../fixtures/fuzz-api.js'
import { seedOfRun } from '../fixtures/random.js'

/** Sends inputs that are made from the description of each operation to a node, `times` to each. */
export async function fuzz(folder: string, times: number, say: (line: string) => void) {
  const seed = seedOfRun() | 0
  say(`fuzz: EMRCHAIN_TEST_SEED=${seed}`)
  const onOperation = (name: string) => say(`fuzz: ${name} done`)
  const { operations, inputs, faults, memory, exitCode } = await fuzzApi({ folder, inputs: times, seed, onOperation })
  for (const fault of faults) say(`fuzz: ${fault}`)
  if (exitCode !== 0) say(`fuzz: the node ended with ${exitCode}`)
  const many = `${inputs} inputs to ${operations.length} operations, ${memory.toFixed(0)} MiB in the end`
  return [{ what: 'inputs of every form', 'how many': many, lost: 0, wrong: faults.length + (exitCode === 0 ? 0 : 1) }]
}
