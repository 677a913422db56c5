import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { failpoints } from '#emrchain/failpoint.js'
import { crashAt, crashes, createStage } from '../fixtures/crashes.js'
import { createRandom, seedOfRun } from '../fixtures/random.js'

const src = fileURLToPath(new URL('../../src/', import.meta.url))

// One process a step, each a second on a free core. A run takes half of the steps, as chance has it; all of them where
// EMRCHAIN_REQUIRE names `crashes`. `npm run torture -- crashes` ends it at the second time and the third that it comes
// to each step, too.
const all = (process.env.EMRCHAIN_REQUIRE ?? '').split(/[ ,]+/).includes('crashes')
t.setTimeout(1_200_000)

t.test('every step is called at one place, and every place has a test', async (t) => {
  const called: string[] = []
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file === 'failpoint.ts') continue
    const text = readFileSync(join(src, file), 'utf8')
    for (const [, name] of text.matchAll(/\bfailpoint\('([^']+)'\)/g)) called.push(name ?? '')
  }
  t.same(called.sort(), [...failpoints].sort())
  t.same(Object.keys(crashes).sort(), [...failpoints].sort())
})

t.test('a process that ends at any step loses nothing that it acknowledged', async (t) => {
  t.setTimeout(1_200_000)
  const folder = t.testdir()
  const stage = await createStage(folder)
  const left = failpoints.flatMap((point) =>
    Array.from({ length: crashes[point].times ?? 1 }, (_, time) => ({ point, nth: time + 1 })),
  )
  if (!all) {
    const seed = seedOfRun()
    t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
    const random = createRandom(seed)
    for (let gone = left.length >> 1; gone > 0; gone--) left.splice(random.whole(0, left.length - 1), 1)
  }
  const steps = left.length
  let acknowledged = 0
  const work = async (_: unknown, worker: number): Promise<void> => {
    for (let step = left.shift(); step !== undefined; step = left.shift()) {
      const { point, nth } = step
      const found = await crashAt(point, nth, stage, join(folder, `home-${worker}`))
      if (!found) t.fail(`${point} was not reached for time ${nth}`)
      else if (found.faults.length > 0) t.fail(`${point}, time ${nth}: ${found.faults.join('; ')}`)
      acknowledged += found?.acknowledged ?? 0
    }
  }
  await Promise.all(Array.from({ length: 3 }, work))
  t.comment(`${failpoints.length} steps, ${steps} ends, ${acknowledged} acknowledgements compared`)
  t.ok(acknowledged > steps, 'there was something to lose')
})
