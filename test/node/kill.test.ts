import t from 'tap'
import { killRounds } from '../fixtures/kill-rounds.js'
import { seedOfRun } from '../fixtures/random.js'
import { easyNetwork, folderOf } from '../fixtures/start-node.js'

/** `npm run torture -- kills=1000` is the long form. */
const ROUNDS = 12

t.test('a node that is killed again and again loses nothing that it acknowledged', async (t) => {
  const seed = seedOfRun()
  t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
  const network = easyNetwork(t)
  const report = await killRounds({ folder: folderOf(t), network, rounds: ROUNDS, seed })
  t.comment(JSON.stringify({ ...report, lost: report.lost.length, wrong: report.wrong.length }))
  t.equal(report.kills, ROUNDS)
  t.same(report.lost, [])
  t.same(report.wrong, [])
  t.ok(report.transactions > ROUNDS, 'there was something to lose: transactions')
  t.ok(report.blocks > ROUNDS / 4, 'blocks')
  t.ok(report.files > ROUNDS / 2, 'and files')
})
