import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cidToHex } from '#emrchain/protocol/cid.js'
import {
  agree,
  easyNetwork,
  get,
  post,
  startQuietNode as startNode,
  type TestNode,
  transactionsOf,
  until,
} from '../fixtures/start-node.js'

/** Nodes that tell each other: no test waits for the regular round of questions, which is an hour away. */

const HELLO = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'

async function addRecord(node: TestNode, EHR_name = 'MRI'): Promise<string> {
  writeFileSync(join(node.options.fileRoot, 'hello.txt'), 'hello world\n')
  await post(`${node.url}/create_hash`, { file_path: 'hello.txt' })
  const { body } = await post(`${node.url}/add_transaction`, { user_id: 'xxxxx', ipfs_hash: HELLO, EHR_name })
  return (body as { transaction: string }).transaction
}
const mine = async (node: TestNode, blocks = 1): Promise<void> => {
  for (let n = 0; n < blocks; n++) await node.node.mine(new AbortController().signal)
}
const heightOf = ({ node }: TestNode): number => node.tip().header.height
const isPending = ({ node }: TestNode, id: string): boolean =>
  Array.from(node.pendingTransactions(), (transaction) => transaction.id.toString()).includes(id)

t.test('transactions and blocks go on to all, also over nodes between', async (t) => {
  const line = [await startNode(t), await startNode(t), await startNode(t), await startNode(t)]
  for (const [at, node] of line.entries()) {
    const next = line[at + 1]
    if (next) await node.node.connect([next.url])
  }
  const [first, , , last] = line
  if (!first || !last) throw new Error('unreachable')
  t.same(last.node.peers().length, 1, 'the ends of the line do not know each other')
  const id = await addRecord(first)
  await until(last, () => isPending(last, id))
  await mine(last)
  for (const node of line) {
    await until(node, () => agree(node, last))
    t.same(await transactionsOf(node.node), { onChain: [id], pending: [] })
  }
})

t.test('who asks another node at once finds there what was acknowledged here', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  for (let n = 0; n < 10; n++) {
    const id = await addRecord(a, `record ${n}`)
    t.match(await get(`${b.url}/transactions/${id}`), { status: 200, body: { state: 'pending' } })
    await mine(a)
    t.match(await get(`${b.url}/transactions/${id}`), { status: 200, body: { state: 'confirmed', confirmations: 1 } })
  }
})

t.test('a late node catches up, with what waits for a block', async (t) => {
  const early = await startNode(t)
  const ids: string[] = []
  for (let n = 0; n < 50; n++) {
    if (n % 10 === 0) ids.push(await addRecord(early, `record ${n}`))
    await mine(early)
  }
  const waiting = await addRecord(early, 'waiting')
  const late = await startNode(t)
  const answer = await post(`${late.url}/connect_node`, { nodes: [early.url] })
  t.equal(answer.status, 201)
  t.equal(heightOf(late), 50, 'when it is connected it is up to date')
  t.ok(agree(early, late))
  t.same(await transactionsOf(late.node), { onChain: ids, pending: [waiting] })
  t.same((await get(`${late.url}/is_valid`)).body, { message: 'The blockchain is valid.', valid: true })

  const configured = await startNode(t, { peer: [early.url] })
  t.ok(agree(early, configured), 'a configured peer is caught up with before the node is ready')
  t.equal(early.node.peers().length, 2)
})

for (const [what, blocksOfA, blocksOfB] of [
  ['as far', 1, 1],
  ['less far', 1, 3],
  ['farther', 4, 2],
] as const) {
  t.test(`two nodes that mined apart agree after they meet: one ${what} than the other`, async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)]
    const [ofA, ofB] = [await addRecord(a, 'of a'), await addRecord(b, 'of b')]
    await mine(a, blocksOfA)
    await mine(b, blocksOfB)
    const tips = [a, b].map(({ node }) => node.tip())
    t.notOk(agree(a, b))
    t.equal((await post(`${a.url}/connect_node`, { nodes: [b.url] })).status, 201)
    await until([a, b], () => agree(a, b))

    // As far as work goes the heavier wins, else the lower id.
    const [best] = tips.sort(
      (x, y) => Number(y.work - x.work) || (cidToHex(x.header.id) < cidToHex(y.header.id) ? -1 : 1),
    )
    t.equal(a.node.tip().header.id.toString(), best?.header.id.toString())
    const [kept, lost] = (await transactionsOf(a.node)).onChain.includes(ofA) ? [ofA, ofB] : [ofB, ofA]
    await until([a, b], () => isPending(a, lost) && isPending(b, lost))
    for (const { node } of [a, b]) {
      t.same(await transactionsOf(node), { onChain: [kept], pending: [lost] }, 'no record is lost')
    }
    await mine(b)
    await until([a, b], () => agree(a, b))
    for (const node of [a, b]) t.same(await transactionsOf(node.node), { onChain: [kept, lost], pending: [] })
  })
}

t.test('three nodes that mined apart agree, whoever meets whom', async (t) => {
  const nodes = [await startNode(t), await startNode(t), await startNode(t)]
  const [a, b, c] = nodes
  if (!a || !b || !c) throw new Error('unreachable')
  const ids: string[] = []
  for (const [n, node] of nodes.entries()) {
    ids.push(await addRecord(node, `of ${n}`))
    await mine(node, 2)
  }
  await Promise.all([a.node.connect([b.url]), c.node.connect([b.url])])
  await until(nodes, () => agree(a, b) && agree(b, c))
  for (const node of nodes) {
    await until(node, async () => {
      const { onChain, pending } = await transactionsOf(node.node)
      return ids.every((id) => onChain.includes(id) || pending.includes(id))
    })
  }
  await mine(b)
  for (const node of nodes) {
    await until(node, () => agree(node, b))
    const { onChain, pending } = await transactionsOf(node.node)
    t.same([onChain.sort(), pending], [[...ids].sort(), []])
  }
})

t.test('a node that was away knows its peers and what it missed', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  const kept = await addRecord(a, 'before')
  await a.close()
  await mine(b, 3)
  const missed = await addRecord(b, 'missed')
  const again = await startNode(t, a.options)
  t.same(
    again.node.peers().map(({ address }) => address),
    [b.url],
  )
  await until(again, () => agree(again, b) && isPending(again, missed))
  t.same(await transactionsOf(again.node), { onChain: [kept], pending: [missed] })
  t.not(again.url, a.url)
  t.same(
    b.node.peers().map(({ address }) => address),
    [again.url],
    'and is known by its new address alone',
  )
  await mine(b)
  await until(again, () => agree(again, b))
})

t.test('nodes that mine by themselves agree', async (t) => {
  const network = easyNetwork(t)
  const mining = { network, mine: true, mineInterval: 0 }
  const nodes = [await startNode(t, mining), await startNode(t, mining)]
  const [a, b] = nodes
  if (!a || !b) throw new Error('unreachable')
  await a.node.connect([b.url])
  const ids: string[] = []
  for (let n = 0; n < 10; n++) ids.push(await addRecord(n % 2 ? a : b, `record ${n}`))
  const done = async (node: TestNode): Promise<boolean> => {
    const { onChain, pending } = await transactionsOf(node.node)
    return pending.length === 0 && ids.every((id) => onChain.includes(id)) && agree(a, b)
  }
  for (const node of nodes) await until(nodes, () => done(node))
  for (const node of nodes) {
    const { onChain } = await transactionsOf(node.node)
    t.same(onChain.sort(), [...ids].sort(), 'each once')
  }
})
