import t from 'tap'
import { createFloodGuard } from '#emrchain/network/flood-guard.js'

/** How much each peer may do of what an honest one does seldom. */

t.test('a peer may do so much at once, and more as time passes; each has its own count', (t) => {
  let now = 1_000_000
  const guard = createFloodGuard(() => now, { atOnce: 100, perSecond: 10 })
  guard.count('a', 100)
  t.throws(() => guard.count('a', 1), { code: 'peer_flooded' })
  guard.count('b', 100)
  now += 5_000
  guard.count('b', 50)
  t.throws(() => guard.count('b', 1), { code: 'peer_flooded' })
  now += 3_600_000
  guard.count('a', 100)
  t.throws(() => guard.count('a', 1), { code: 'peer_flooded' }, 'long silence is no credit')
  t.end()
})

t.test('a clock that is set back forgives nothing', (t) => {
  let now = 1_000_000
  const guard = createFloodGuard(() => now, { atOnce: 100, perSecond: 10 })
  guard.count('a', 100)
  now -= 500_000
  t.throws(() => guard.count('a', 1), { code: 'peer_flooded' })
  t.end()
})
