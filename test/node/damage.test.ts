import t from 'tap'
import { damageRounds } from '../fixtures/damage.js'
import { seedOfRun } from '../fixtures/random.js'
import { easyNetwork, folderOf } from '../fixtures/start-node.js'

t.test('a damaged data folder ends intact or in a named error, never in a wrong answer', async (t) => {
  const seed = seedOfRun()
  t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
  const report = await damageRounds({ folder: folderOf(t), network: easyNetwork(t), flips: 5, seed })
  t.comment(JSON.stringify(report))
  t.same(report.lost, [])
  t.same(report.wrong, [])
  t.ok(report.intact > 0, 'some damage is mended: the index comes back')
  t.ok(report.named > 0, 'some cannot be')
})
