import t, { type Test as Tap } from 'tap'
import { capabilities, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { type Clinic, signerOfNode, startClinic } from '../fixtures/clinic.js'
import { agree, ask, postBytes, startNode, type TestNode, until } from '../fixtures/start-node.js'

/** Nodes of a network with administrators: who is certified is told and reads, who is not is refused by name. */

const CBOR = 'application/vnd.ipld.dag-cbor'
const refusals = ({ node }: TestNode) => node.peers().map(({ state, failure }) => ({ state, failure }))
const NOT_CERTIFIED = [{ state: 'backing_off', failure: 'reader_not_certified' }]

/** How often a node was told of something from now on. */
function tellingsOf({ node }: TestNode): () => number {
  let count = 0
  const { announced } = node
  const counted: typeof announced = (announcement, from) => {
    count++
    return announced(announcement, from)
  }
  Object.assign(node, { announced: counted })
  return () => count
}

/** A node that knows the first one, and its identity, which was sent there. */
async function join(
  t: Parameters<typeof startNode>[0] & Pick<Tap, 'equal'>,
  { first, network, identity }: Clinic,
  name: string,
) {
  const served = await startNode(t, { network, peer: [first.url] })
  const registered = identity(name, roles.node, await signerOfNode(served))
  const sent = await postBytes(`${first.url}/transactions`, CBOR, registered.bytes)
  t.equal(sent.status, 202, 'anybody may register')
  return { served, registered }
}

t.test('a node syncs as soon as it is certified, by itself, and no more when it is not', async (t) => {
  const clinic = await startClinic(t)
  const { first, certificate, put, revocation } = clinic
  const { served: second, registered } = await join(t, clinic, 'second')
  const { served: third } = await join(t, clinic, 'third')
  const [toldSecond, toldThird] = [tellingsOf(second), tellingsOf(third)]
  await put(registered)
  for (const one of [second, third]) {
    await one.node.syncAll()
    t.match(refusals(one), NOT_CERTIFIED)
    t.equal(one.node.tip().header.height, 0, 'it has nothing of the chain')
    t.same([...one.node.pendingTransactions()], [], 'and was told nothing')
  }
  t.match(await ask(`${second.url}/mine_block`, { method: 'POST' }), { body: { code: 'block_miner_not_admitted' } })
  t.match(
    first.node.peers().map(({ state, score }) => ({ state, score })),
    [
      { state: 'connected', score: 0 },
      { state: 'connected', score: 0 },
    ],
    'who asks too early has done nothing wrong',
  )
  t.match(
    second.node.peers().map(({ score }) => score),
    [0],
    'and neither has who refuses',
  )

  t.same([toldSecond(), toldThird()], [0, 0], 'not even ids')

  // Nobody tells the second node to try again.
  const mines = certificate(registered, { capabilities: capabilities.mine })
  await put(mines)
  await until([first, second], () => agree(first, second))
  t.equal(third.node.tip().header.height, 0)
  await put()
  await until([first, second], () => agree(first, second))
  t.equal(toldThird(), 0)
  t.ok(toldSecond() > 0)

  // It is one of the network now: what it mines and takes in goes to the others, and reaches them.
  const patient = clinic.identity('patient', roles.patient)
  await second.node.submitTransaction(patient.bytes)
  await second.node.mine(new AbortController().signal)
  await until([first, second], () => agree(first, second))
  t.match(await first.node.transaction(patient.id), { state: 'confirmed' })

  const height = second.node.tip().header.height
  await put(revocation(mines))
  await put()
  await second.node.syncAll()
  t.match(refusals(second), NOT_CERTIFIED)
  t.equal(second.node.tip().header.height, height, 'what came after is not for it')
})

t.test('a node that was away is let in by one that is not certified with it', async (t) => {
  const clinic = await startClinic(t)
  const { first, certificate, put, network } = clinic
  const { served: second, registered } = await join(t, clinic, 'second')
  await put(registered)
  await put(certificate(registered))
  await until([first, second], () => agree(first, second))
  // A certified node passes the chain on to one that only it knows.
  const third = await startNode(t, { network })
  const late = clinic.identity('third', roles.node, await signerOfNode(third))
  await put(late)
  await put(certificate(late))
  await until([first, second], () => agree(first, second))
  t.same((await third.node.connect([second.url])).refused, [])
  t.ok(agree(second, third))
  // The third had refused the second while it knew of no certificates; now both read of each other.
  await put()
  await until([first, second, third], () => agree(first, third))
  await second.node.syncAll()
  await third.node.syncAll()
  t.match(
    third.node.peers().map(({ state }) => state),
    ['connected'],
  )
})
