import t from 'tap'
import { fuzzApi } from '../fixtures/fuzz-api.js'
import { seedOfRun } from '../fixtures/random.js'
import { folderOf } from '../fixtures/start-node.js'

/** Every operation of /openapi.json against inputs that are made from it. `npm run torture -- fuzz` is the long form. */

/** These want a peer, a certified person or a custodian, and there is none: no input of a run is good. */
const NEVER_GOOD = [
  ...['GET /identities/{id}', 'GET /identities', 'GET /decide'],
  ...['POST /peers', 'POST /peers/ipfs', 'POST /announcements'],
  ...['POST /shares', 'POST /shares/{record}/release', 'POST /shares/views', 'POST /shares/handovers'],
  'POST /shares/releases',
]
/** For each operation. */
const INPUTS = 200
/** Of so many others a run may hit upon no good input: some take one in a hundred. */
const MOST_UNLUCKY = 10

t.setTimeout(600_000)

t.test('whatever is sent, the node answers as its description says', async (t) => {
  const seed = seedOfRun() | 0
  t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
  t.setTimeout(600_000)
  const { operations, inputs, faults, memory, exitCode } = await fuzzApi({ folder: folderOf(t), inputs: INPUTS, seed })
  t.same(faults, [])
  t.ok(operations.length >= 30, 'every operation of the description')
  t.ok(inputs > INPUTS * operations.length * 0.65, `${inputs} inputs`)
  const without = (wanted: number) =>
    operations.filter(({ statuses }) => ![...statuses.keys()].some((status) => Math.floor(status / 100) === wanted))
  const names = operations.map(({ name }) => name)
  t.same(
    NEVER_GOOD.filter((name) => !names.includes(name)),
    [],
  )
  const unlucky = without(2).flatMap(({ name }) => (NEVER_GOOD.includes(name) ? [] : [name]))
  t.ok(unlucky.length <= MOST_UNLUCKY, `no good input for ${unlucky.join(', ') || 'none'}`)
  // What does much for each input got too few for one to be bad for certain.
  const took = (statuses: ReadonlyMap<number, number>) => [...statuses.values()].reduce((sum, count) => sum + count, 0)
  t.same(
    without(4).filter(({ statuses }) => took(statuses) >= INPUTS / 2),
    [],
    'each refused some',
  )
  t.ok(memory < 600, `memory stays bounded: ${memory.toFixed(0)} MiB`)
  t.equal(exitCode, 0)
})
