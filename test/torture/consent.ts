import { compareWithOracle } from '../contract/compare-with-oracle.js'
import { seedOfRun } from '../fixtures/random.js'

/** Random questions that the contract and Cedar must answer alike. */
export function consent(rounds: number, say: (line: string) => void) {
  const seed = seedOfRun()
  say(`consent: EMRCHAIN_TEST_SEED=${seed}`)
  const { allowed, denied, different } = compareWithOracle(seed, rounds)
  for (const line of different.slice(0, 10)) say(`consent: ${line}`)
  const many = `${rounds} questions, ${allowed} allowed, ${denied} denied`
  return [{ what: 'decisions compared with Cedar', 'how many': many, lost: 0, wrong: different.length }]
}
