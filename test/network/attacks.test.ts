import t from 'tap'
import { attackRounds } from '../fixtures/attack-rounds.js'

t.test('a node under attack follows an honest one, does not grow, and says why it drops a peer', async (t) => {
  const { rows, faults } = await attackRounds(t, { folder: t.testdir(), form: 'short' })
  for (const { what, growth, said, latency } of rows) t.comment(`${what}: ${said}, +${growth} MiB, ${latency} ms`)
  t.ok(rows.length > 18, 'each attack was made')
  t.same(faults, [])
})
