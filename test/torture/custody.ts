import { custodyRounds } from '../fixtures/custody-rounds.js'
import { seedOfRun } from '../fixtures/random.js'

/** Custodians killed at work: rows for the table of `npm run torture`. */
export async function custody(folder: string, rounds: number, say: (line: string) => void) {
  const seed = seedOfRun()
  say(`custody: EMRCHAIN_TEST_SEED=${seed}`)
  const onRound = (round: number) => round % 10 === 0 && say(`custody: ${round} of ${rounds}`)
  const report = await custodyRounds({ folder, rounds, seed, onRound })
  for (const line of [...report.lost, ...report.wrong]) say(`custody: ${line}`)
  const refused = [...report.refusals].map(([code, many]) => `${many} ${code}`).join(', ')
  if (refused) say(`custody: not done: ${refused}`)
  const { kills, records, grants, revocations, erasures, deposits, releases } = report
  const done = `${records} records, ${grants} grants, ${revocations} revocations, ${erasures} erasures`
  const many = `${rounds} rounds, ${kills} kills; ${done}, ${deposits} deposits and ${releases} releases acknowledged`
  return [{ what: 'custodians killed at work', 'how many': many, lost: report.lost.length, wrong: report.wrong.length }]
}
