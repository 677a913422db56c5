import t from 'tap'
import { fuzzApi } from '../fixtures/fuzz-api.js'
import { seedOfRun } from '../fixtures/random.js'
import { folderOf } from '../fixtures/start-node.js'

/** Every operation of /openapi.json against inputs that are made from it. `npm run torture -- fuzz` is the long form. */

/** Who is heard here answers under an address of its own, which no input does, or knows ids that are pending. */
const FOR_PEERS = new Set(['POST /peers', 'POST /announcements', 'POST /transactions/fetch'])

t.setTimeout(300_000)

t.test('whatever is sent, the node answers as its description says', async (t) => {
  const seed = seedOfRun() | 0
  t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
  t.setTimeout(300_000)
  const { operations, inputs, faults, memory, exitCode } = await fuzzApi({ folder: folderOf(t), inputs: 300, seed })
  t.same(faults, [])
  t.ok(operations.length >= 30, 'every operation of the description')
  t.ok(inputs > 250 * operations.length * 0.8, `${inputs} inputs`)
  for (const { name, statuses } of operations) {
    const classes = new Set([...statuses.keys()].map((status) => Math.floor(status / 100)))
    if (!FOR_PEERS.has(name)) t.ok(classes.has(2), `${name}: some inputs are good`)
    if (!/ \/(healthz|status|metrics|events)$/.test(name)) t.ok(classes.has(4), `${name}: some are refused`)
  }
  t.ok(memory < 600, `memory stays bounded: ${memory.toFixed(0)} MiB`)
  t.equal(exitCode, 0)
})
