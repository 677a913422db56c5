import t from 'tap'
import { anyFlip, createDamageStage, wholeDamages } from '../fixtures/damage.js'
import { createRandom, seedOfRun } from '../fixtures/random.js'

t.setTimeout(600_000)

t.test('whatever a data folder suffers ends intact, repaired, or named', async (t) => {
  t.setTimeout(600_000)
  const stage = await createDamageStage(t.testdir())
  t.teardown(() => stage.close())
  const counts: Record<string, number> = {}

  t.test('single bits', async (t) => {
    const seed = seedOfRun()
    t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
    const random = createRandom(seed)
    for (let n = 0; n < 30; n++) {
      const { name, damage } = anyFlip(random, stage.folder)
      const { outcome, faults } = await stage.tryDamage(damage)
      counts[outcome] = (counts[outcome] ?? 0) + 1
      t.same(faults, [], `${name}: ${outcome}`)
    }
  })

  t.test('whole files and folders', async (t) => {
    for (const { name, damage } of wholeDamages(stage.folder, stage.other)) {
      const { outcome, faults, look } = await stage.tryDamage(damage)
      counts[outcome] = (counts[outcome] ?? 0) + 1
      t.same(faults, [], `${name}: ${outcome} ${look.stopped ?? ''}`)
    }
    t.comment(JSON.stringify(counts))
    t.ok(counts.stopped && counts.repaired && counts['named at reading'], 'the damages did reach something')
  })
})
