import { anyFlip, createDamageStage } from '../fixtures/damage.js'
import { createRandom, seedOfRun } from '../fixtures/random.js'

/** Flips one bit of a data folder, again and again, and lets a node open what comes of it. */
export async function flips(folder: string, times: number, say: (line: string) => void) {
  const seed = seedOfRun()
  say(`flips: EMRCHAIN_TEST_SEED=${seed}`)
  const random = createRandom(seed)
  const stage = await createDamageStage(folder)
  const counts: Record<string, number> = {}
  let wrong = 0
  try {
    for (let n = 1; n <= times; n++) {
      const { name, damage } = anyFlip(random, stage.folder)
      const { outcome, faults } = await stage.tryDamage(damage)
      counts[outcome] = (counts[outcome] ?? 0) + 1
      if (faults.length > 0) wrong++
      for (const fault of faults) say(`flips: ${name}: ${fault}`)
      if (n % 100 === 0) say(`flips: ${n} of ${times}`)
    }
  } finally {
    await stage.close()
  }
  const many = Object.entries(counts).map(([outcome, count]) => `${count} ${outcome}`)
  return [{ what: 'one bit flipped', 'how many': many.join(', '), lost: 0, wrong }]
}
