import t from 'tap'
import { fuzzApi } from '../fixtures/fuzz-api.js'
import { seedOfRun } from '../fixtures/random.js'
import { folderOf } from '../fixtures/start-node.js'

/** Every operation of /openapi.json against inputs that are made from it. `npm run torture -- fuzz` is the long form. */

/** Of so many operations a run may hit upon no input that is good: they want a peer, or an id, that is there. */
const MOST_WITHOUT_SUCCESS = 6

t.setTimeout(300_000)

t.test('whatever is sent, the node answers as its description says', async (t) => {
  const seed = seedOfRun() | 0
  t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
  t.setTimeout(300_000)
  const { operations, inputs, faults, memory, exitCode } = await fuzzApi({ folder: folderOf(t), inputs: 300, seed })
  t.same(faults, [])
  t.ok(operations.length >= 30, 'every operation of the description')
  t.ok(inputs > 250 * operations.length * 0.8, `${inputs} inputs`)
  const withClass = (wanted: number) =>
    operations.filter(({ statuses }) => [...statuses.keys()].some((status) => Math.floor(status / 100) === wanted))
  t.ok(withClass(2).length >= operations.length - MOST_WITHOUT_SUCCESS, `${withClass(2).length} took some inputs`)
  t.ok(withClass(4).length >= operations.length - MOST_WITHOUT_SUCCESS, `${withClass(4).length} refused some inputs`)
  t.ok(memory < 600, `memory stays bounded: ${memory.toFixed(0)} MiB`)
  t.equal(exitCode, 0)
})
