import { MOST_TIME, partitionRounds } from '../fixtures/partitions.js'
import { seedOfRun } from '../fixtures/random.js'

const ROUNDS = 100

/** Three nodes, cut apart and joined again a hundred times: rows for the table of `npm run torture`. */
export async function partitions(folder: string, say: (line: string) => void) {
  const seed = seedOfRun()
  say(`partitions: EMRCHAIN_TEST_SEED=${seed}`)
  const endings: (() => Promise<void>)[] = []
  const scope = { testdir: () => folder, teardown: (handler: () => Promise<void>) => endings.push(handler) }
  try {
    const onRound = (round: number) => round % 10 === 0 && say(`partitions: ${round} of ${ROUNDS}`)
    const report = await partitionRounds(scope, { rounds: ROUNDS, seed, mostTime: MOST_TIME, onRound })
    for (const line of [...report.lost, ...report.wrong]) say(`partitions: ${line}`)
    const { heals, apart, acknowledged, blocks, slowest } = report
    const many = `${heals} heals, ${apart} of nodes that did not agree, ${acknowledged} records acknowledged, ${blocks} blocks, slowest heal ${slowest} ms`
    return [{ what: 'nodes cut apart', 'how many': many, lost: report.lost.length, wrong: report.wrong.length }]
  } finally {
    for (const end of endings) await end()
  }
}
