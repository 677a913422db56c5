import t from 'tap'
import { MOST_TIME, partitionRounds } from '../fixtures/partitions.js'
import { seedOfRun } from '../fixtures/random.js'

t.test('three nodes that are cut apart and joined again, ten times, under load', async (t) => {
  const seed = seedOfRun()
  const { lost, wrong, apart, slowest, acknowledged, blocks } = await partitionRounds(t, { rounds: 10, seed })
  const run = `EMRCHAIN_TEST_SEED=${seed}`
  t.same(lost, [], `nothing acknowledged is lost, ${run}`)
  t.ok(apart > 0, `there was something to mend ${apart} times, ${run}`)
  t.same(wrong, [], `one chain after each, ${run}`)
  t.ok(slowest < MOST_TIME, `${slowest} ms at most, ${run}`)
  t.comment(`${acknowledged} records, ${blocks} blocks, slowest heal ${slowest} ms`)
})
