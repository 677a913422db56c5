import { join } from 'node:path'
import t from 'tap'
import { createDatabase, openDatabase } from '#emrchain/ledger/database.js'
import { createNodeState, type NodeState } from '#emrchain/ledger/node-state.js'
import type { Section } from '#emrchain/protocol/block.js'
import { genesis, record } from './example-chain.js'

const openState = async (folder: string): Promise<NodeState> =>
  createNodeState(await openDatabase({ folder, durable: true, owner: 'me' }))

const make = async (t: { testdir(): string }): Promise<{ folder: string; state: NodeState }> => {
  const folder = join(t.testdir(), 'state')
  await createDatabase({ folder, durable: true, owner: 'me' })
  return { folder, state: await openState(folder) }
}

const records = Array.from({ length: 12 }, (_, at) => record(`p${at}`))
const pick = (...positions: number[]): Section[] => positions.flatMap((at) => records[at] ?? [])
const at = (position: number): Section => {
  const [section] = pick(position)
  if (!section) throw new Error('there is no such record')
  return section
}
const put = (state: NodeState, { cid, bytes }: Section): Promise<void> => state.putPending(cid, bytes)
const asPending = (sections: readonly Section[]) => sections.map(({ cid: id, bytes }) => ({ id, bytes }))
const idsOf = (sections: readonly Section[]): string[] => sections.map(({ cid }) => cid.toString())
const pendingIds = (state: NodeState): string[] => [...state.pending()].map(({ id }) => id.toString())

t.test('pending transactions stay in arrival order, also after closing', async (t) => {
  const { folder, state } = await make(t)
  await Promise.all(pick(3, 1, 2).map((one) => put(state, one)))
  await put(state, at(0))
  await Promise.all(pick(1, 1, 3).map((one) => put(state, one)))
  t.same(pendingIds(state), idsOf(pick(3, 1, 2, 0)), 'a second time changes nothing')
  t.same([...state.pending()][0], asPending(pick(3))[0])
  await state.removePending([...pick(1), ...pick(9)].map(({ cid }) => cid))
  await state.close()
  const again = await openState(folder)
  t.same(pendingIds(again), idsOf(pick(3, 2, 0)))
  await put(again, at(4))
  t.same(pendingIds(again), idsOf(pick(3, 2, 0, 4)))
  await again.close()
})

t.test('a transaction that is asked for twice at once is acknowledged when it is durable, both times', async (t) => {
  const { state } = await make(t)
  const one = at(0)
  const first = put(state, one)
  const second = put(state, one)
  await second
  t.same(pendingIds(state), idsOf([one]))
  await first
  await state.close()
})

t.test('chain and pending change together, and what comes back goes first', async (t) => {
  const { folder, state } = await make(t)
  t.equal(state.chain(), undefined)
  state.beginChain({ length: 100, tip: genesis.facts.id })
  await Promise.all(pick(5, 6, 7).map((one) => put(state, one)))
  const tip = at(11).cid
  const committed = state.commitChain(
    { length: 4321, tip },
    { restore: asPending(pick(1, 2, 6)), remove: pick(5).map(({ cid }) => cid) },
  )
  // Asked for meanwhile: it comes after all others.
  await Promise.all([committed, put(state, at(8))])
  t.match(state.chain(), { length: 4321, tip })
  t.same(pendingIds(state), idsOf(pick(1, 2, 6, 7, 8)))
  await state.commitChain({ length: 5000, tip }, { restore: asPending(pick(0)) })
  await state.close()
  const again = await openState(folder)
  t.match(again.chain(), { length: 5000, tip })
  t.same(pendingIds(again), idsOf(pick(0, 1, 2, 6, 7, 8)))
  await again.close()
})

t.test('peers, settings and known files are small values by name', async (t) => {
  const { folder, state } = await make(t)
  const url = `https://node.example:5003/${'long'.repeat(1000)}`
  await state.peers.put(url, { seen: 1, name: 'Zoë' })
  await state.peers.put('http://127.0.0.1:5004', { seen: 2 })
  await state.settings.put('files', 'kubo')
  await state.knownFiles.put('QmFile', { name: 'scan.png', size: 12 })
  await state.peers.put('http://127.0.0.1:5004', { seen: 3 })
  await state.close()
  const again = await openState(folder)
  t.same(again.peers.get(url), { seen: 1, name: 'Zoë' })
  t.same(
    again.peers.entries().sort((a, b) => a[0].length - b[0].length),
    [
      ['http://127.0.0.1:5004', { seen: 3 }],
      [url, { seen: 1, name: 'Zoë' }],
    ],
  )
  t.equal(again.settings.get('files'), 'kubo')
  t.equal(again.peers.get('files'), undefined)
  t.same(again.knownFiles.get('QmFile'), { name: 'scan.png', size: 12 })
  await again.knownFiles.remove('QmFile')
  t.equal(again.knownFiles.get('QmFile'), undefined)
  await again.close()
})

t.test('closing waits for what was asked; after it nothing is taken', async (t) => {
  const { folder, state } = await make(t)
  const puts = Promise.all(records.map((one) => put(state, one)))
  await state.close()
  await puts
  await t.rejects(put(state, record('late')), { code: 'closing' })
  const again = await openState(folder)
  t.same(pendingIds(again), idsOf(records))
  await again.close()
})
