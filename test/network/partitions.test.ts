import t from 'tap'
import { partitionRounds } from '../fixtures/partitions.js'
import { seedOfRun } from '../fixtures/random.js'

t.setTimeout(600_000)

/** `npm run torture -- partitions` holds a heal to its time, which a machine that is busy does not. */
const MOST_TIME = 100_000

t.test('three nodes that are cut apart and joined again, ten times, under load', async (t) => {
  t.setTimeout(600_000)
  const seed = seedOfRun()
  const { lost, wrong, apart, slowest, acknowledged, blocks } = await partitionRounds(t, {
    rounds: 10,
    seed,
    mostTime: MOST_TIME,
  })
  const run = `EMRCHAIN_TEST_SEED=${seed}`
  t.same(lost, [], `nothing acknowledged is lost, ${run}`)
  t.ok(apart > 0, `there was something to mend ${apart} times, ${run}`)
  t.same(wrong, [], `one chain after each, ${run}`)
  t.comment(`${acknowledged} records, ${blocks} blocks, slowest heal ${slowest} ms`)
})
