import t from 'tap'
import { type HealthFacts, peerStatesOf, syncStateOf, warningsOf } from '#emrchain/node/node-health.js'

/** What a node says of its own health, from the facts alone. */

const tip = (height: number, work: bigint) => ({ id: 'x', height, work: work.toString(16) })

t.test('peers by what the last call was', async (t) => {
  t.same(peerStatesOf([]), { answering: 0, failing: 0, unheard: 0 })
  const peers = [{ seenAt: 1 }, { seenAt: 1, failure: 'peer_timeout' }, { failure: 'peer_unreachable' }, {}] as const
  t.same(peerStatesOf(peers), { answering: 1, failing: 2, unheard: 1 })
})

t.test('the chain against those of the peers', async (t) => {
  const own = { height: 10, work: 20n }
  t.same(syncStateOf(own, []), { state: 'alone', bestHeight: 10 })
  t.same(syncStateOf(own, [{}]), { state: 'alone', bestHeight: 10 }, 'a peer that was never heard')
  const failing = { tip: tip(99, 99n), failure: 'peer_timeout' } as const
  t.same(syncStateOf(own, [failing]), { state: 'alone', bestHeight: 10 }, 'a peer that fails has no say')
  t.same(syncStateOf(own, [{ tip: tip(10, 20n) }]), { state: 'at_tip', bestHeight: 10 })
  t.same(syncStateOf(own, [{ tip: tip(12, 19n) }]), { state: 'at_tip', bestHeight: 10 }, 'higher with less work')
  t.same(syncStateOf(own, [{ tip: tip(12, 24n) }, { tip: tip(11, 22n) }]), { state: 'behind', bestHeight: 12 })
  t.same(syncStateOf(own, [{ tip: tip(9, 30n) }, failing]), { state: 'behind', bestHeight: 9 })
})

t.test('each warning, at its boundary', async (t) => {
  const well: HealthFacts = {
    now: 10_000_000,
    startedAt: 0,
    tipTime: 9_999_000,
    peerStates: { answering: 1, failing: 0, unheard: 0 },
    sync: { state: 'at_tip', bestHeight: 1 },
    waiting: 0,
    fileStore: 'ok',
  }
  const old = well.now - 600_001
  const cases: readonly [change: Partial<HealthFacts>, warnings: readonly string[]][] = [
    [{}, []],
    [{ peerStates: { answering: 0, failing: 0, unheard: 0 } }, ['no_peers']],
    [{ peerStates: { answering: 0, failing: 2, unheard: 1 } }, ['peers_failing']],
    [{ peerStates: { answering: 1, failing: 2, unheard: 0 } }, []],
    [{ peerStates: { answering: 0, failing: 0, unheard: 1 } }, []],
    [{ sync: { state: 'behind', bestHeight: 2 } }, ['behind']],
    [{ tipTime: well.now + 10_000 }, []],
    [{ tipTime: well.now + 10_001 }, ['clock_behind']],
    [{ tipTime: old, waiting: 1 }, ['records_waiting']],
    [{ tipTime: old + 1, waiting: 1 }, []],
    [{ tipTime: old }, []],
    [{ tipTime: old, waiting: 1, startedAt: well.now - 1_000 }, []],
    [{ fileStore: 'degraded', sync: { state: 'behind', bestHeight: 2 } }, ['behind', 'file_store_degraded']],
  ]
  for (const [change, warnings] of cases) t.same(warningsOf({ ...well, ...change }), warnings, JSON.stringify(change))
})
