import t, { type Test } from 'tap'
import { EmrError } from '#emrchain/errors.js'
import { createAddressPolicy, DEFAULT_ALLOWED } from '#emrchain/network/address-policy.js'
import { readDaemonAddress } from '#emrchain/network/daemon-address.js'
import { createDaemonIntroductions } from '#emrchain/network/daemon-introductions.js'
import { roles } from '#emrchain/protocol/consent-vocabulary.js'
import type { DaemonMessage } from '#emrchain/protocol/peer-messages.js'
import { signerOfNode, startClinic } from '../fixtures/clinic.js'
import { type FakeKuboRpc, startFakeKuboRpc } from '../fixtures/fake-kubo-rpc.js'
import { ask, postBytes, startNode } from '../fixtures/start-node.js'

const ID = '12D3KooWGRUFaFFvaXAGVHqkxxTLJgFNTwnFCxmAeC6sAVhZ9Lcn'
const LOCAL = '/ip4/127.0.0.1/tcp/4001'
const NEAR = 'http://127.0.0.1:5003'

interface Scene {
  readonly allowed?: readonly string[]
  readonly announces?: readonly string[]
  readonly isLocal?: boolean
  /** What names resolve to. */
  readonly names?: Readonly<Record<string, readonly string[]>>
  readonly tell?: (peer: string, message: DaemonMessage) => Promise<{ taken: boolean }>
}

function introduce(t: Test, { allowed = [], announces = [LOCAL], isLocal = true, names = {}, tell }: Scene = {}) {
  let time = 1_000_000
  const told: [string, DaemonMessage][] = []
  const troubles: unknown[] = []
  const dials: string[][] = []
  let dialled: (outcome: { connected: boolean; refused: number }) => void = () => undefined
  const introductions = createDaemonIntroductions({
    client: {
      introduceDaemon: async (peer, message) => {
        told.push([peer, message])
        return (await tell?.(peer, message)) ?? { taken: true }
      },
    },
    policy: createAddressPolicy([...DEFAULT_ALLOWED, ...allowed]),
    daemon: {
      isLocal,
      self: async () => ({ id: ID, addresses: announces }),
      async connect({ addresses }) {
        dials.push([...addresses])
        return true
      },
    },
    now: () => time,
    resolveAll: (name, done) => {
      const found = names[name]
      if (found)
        done(
          null,
          found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        )
      else done(new Error('There is no such name.'), [])
    },
    onDialled: (_, outcome) => dialled(outcome),
    onTrouble: (_, error) => troubles.push(error),
  })
  t.teardown(introductions.close)
  /** What is dialled when a peer tells of these addresses. */
  const dialledFor = async (peer: string, addresses: string[]) => {
    const outcome = new Promise<{ connected: boolean; refused: number }>((resolve) => {
      dialled = resolve
    })
    time += 60_000
    const before = dials.length
    t.same(introductions.told(peer, { id: ID, addresses }), { taken: true })
    const { refused } = await outcome
    t.equal(refused, addresses.length - (dials[before]?.length ?? 0))
    return dials[before] ?? []
  }
  return { introductions, told, troubles, dials, dialledFor, later: (ms: number) => (time += ms) }
}

t.test('an address is an IP address with TCP or QUIC, and nothing else', async (t) => {
  for (const text of [LOCAL, '/ip4/10.1.2.3/udp/4001/quic-v1', '/ip6/2001:db8::1/tcp/1', '/ip6/::1/udp/65535/quic-v1'])
    t.equal(readDaemonAddress(text)?.text, text)
  for (const text of [
    '',
    '/',
    '/ip4/127.0.0.1',
    '/ip4/127.0.0.1/tcp/0',
    '/ip4/127.0.0.1/tcp/65536',
    '/ip4/127.0.0.1/tcp/4001/',
    '/ip4/127.0.0.1/tcp/4001/ws',
    '/ip4/127.0.0.1/tcp/4001/http-path/x',
    '/ip4/127.0.0.1/udp/4001',
    '/ip4/127.0.0.1/udp/4001/quic-v1/webtransport',
    '/ip4/0177.0.0.1/tcp/4001',
    '/ip4/127.1/tcp/4001',
    '/ip4/2130706433/tcp/4001',
    '/ip4/::1/tcp/4001',
    '/ip6/127.0.0.1/tcp/4001',
    '/ip6/fe80::1%eth0/tcp/4001',
    '/ip6zone/eth0/ip6/fe80::1/tcp/4001',
    '/dns4/localhost/tcp/4001',
    '/dnsaddr/example.org',
    `/ip4/127.0.0.1/tcp/4001/p2p/${ID}/p2p-circuit`,
    `/ip4/127.0.0.1/tcp/4001/p2p/${ID}`,
    '/unix/tmp/daemon.sock',
    ' /ip4/127.0.0.1/tcp/4001',
    '/ip4/127.0.0.1/tcp/4001\n',
  ])
    t.equal(readDaemonAddress(text), undefined, JSON.stringify(text))
})

t.test('only what the address policy allows is dialled', async (t) => {
  const { dialledFor, troubles } = introduce(t, {
    allowed: ['10.20.0.0/16', '2001:db8::/32', 'node.example', 'http.example'],
    names: { 'node.example': ['203.0.113.7', '169.254.1.1', '192.168.1.1'], 'http.example': ['203.0.113.9'] },
  })
  const everything = [
    LOCAL,
    '/ip6/::1/tcp/4001',
    '/ip4/10.20.3.4/tcp/4001',
    '/ip4/10.21.3.4/tcp/4001',
    '/ip4/192.168.1.1/tcp/22',
    '/ip4/192.168.1.2/tcp/22',
    '/ip4/169.254.169.254/tcp/80',
    '/ip4/203.0.113.7/udp/4001/quic-v1',
    '/ip4/203.0.113.8/tcp/4001',
    '/ip6/2001:db8::9/tcp/4001',
    '/ip6/::ffff:10.20.3.4/tcp/4001',
    '/ip6/::ffff:127.0.0.1/tcp/4001',
    '/ip6/64:ff9b::a14:304/tcp/4001',
    '/dns4/node.example/tcp/4001',
    '/ip4/0.0.0.0/tcp/4001',
    '/ip4/224.0.0.1/tcp/4001',
  ]
  const ranges = ['/ip4/10.20.3.4/tcp/4001', '/ip6/2001:db8::9/tcp/4001']
  t.same(await dialledFor(NEAR, everything), [LOCAL, '/ip6/::1/tcp/4001', ...ranges], 'from this machine')
  t.same(await dialledFor('http://10.20.3.4:5002', everything), ranges, 'from another one: no loopback')
  t.same(
    await dialledFor('https://node.example', everything),
    [
      '/ip4/10.20.3.4/tcp/4001',
      '/ip4/192.168.1.1/tcp/22',
      '/ip4/203.0.113.7/udp/4001/quic-v1',
      '/ip6/2001:db8::9/tcp/4001',
    ],
    'a trusted name: what it resolves to for this node, and nothing more',
  )
  t.same(await dialledFor(NEAR, ['/ip4/192.168.1.2/tcp/22']), [], 'nothing is left: no dial')
  t.same(troubles, [])
})

t.test('a daemon on another machine dials no loopback, and its own is told to nobody', async (t) => {
  const { introductions, told, dialledFor } = introduce(t, { isLocal: false, announces: [LOCAL] })
  t.same(await dialledFor(NEAR, [LOCAL]), [])
  await introductions.tell(NEAR)
  t.same(told, [])
})

t.test('a peer is told what the daemon announces, and loopback only on this machine', async (t) => {
  const announces = [LOCAL, '/ip4/10.20.0.1/tcp/4001', '/ip4/10.20.0.1/tcp/4001/ws', '/dns4/x.example/tcp/4001']
  const { introductions, told, later } = introduce(t, { announces, allowed: ['10.20.0.0/16'] })
  await introductions.tell(NEAR)
  await introductions.tell('http://10.20.0.2:5002')
  t.same(told, [
    [NEAR, { id: ID, addresses: announces.slice(0, 2) }],
    ['http://10.20.0.2:5002', { id: ID, addresses: announces.slice(1, 2) }],
  ])
  await introductions.tell(NEAR)
  t.equal(told.length, 2, 'not again at once')
  later(60_000)
  await introductions.tell(NEAR)
  t.equal(told.length, 3, 'but after a minute')

  const many = Array.from({ length: 40 }, (_, i) => `/ip4/127.0.0.1/tcp/${4001 + i}`)
  const crowded = introduce(t, { announces: many })
  await crowded.introductions.tell(NEAR)
  t.same(crowded.told[0]?.[1].addresses, many.slice(0, 16))
})

t.test('a peer that cannot be told is left alone for a while, and one without a daemon for longer', async (t) => {
  const { introductions, told, troubles, later } = introduce(t, {
    tell: async () => Promise.reject(new EmrError('peer_misbehaved')),
  })
  await introductions.tell(NEAR)
  t.match(troubles, [{ code: 'peer_misbehaved' }])
  await introductions.tell(NEAR)
  t.equal(told.length, 1)
  later(60_000)
  await introductions.tell(NEAR)
  t.equal(told.length, 2)

  const daemonless = introduce(t, { tell: async () => ({ taken: false }) })
  await daemonless.introductions.tell(NEAR)
  daemonless.later(599_999)
  await daemonless.introductions.tell(NEAR)
  t.equal(daemonless.told.length, 1)
  daemonless.later(1)
  await daemonless.introductions.tell(NEAR)
  t.equal(daemonless.told.length, 2)
})

t.test('a peer cannot make the daemon dial again and again', async (t) => {
  const { introductions, dials, dialledFor, later } = introduce(t)
  await dialledFor(NEAR, [LOCAL])
  for (let i = 0; i < 5; i++) t.same(introductions.told(NEAR, { id: ID, addresses: [LOCAL] }), { taken: true })
  later(9_999)
  introductions.told(NEAR, { id: ID, addresses: [LOCAL] })
  await introductions.close()
  t.equal(dials.length, 1)
})

/** Resolves when a daemon has been told to connect to another. */
const dialOf = (rpc: FakeKuboRpc): Promise<void> =>
  new Promise<void>((resolve) => {
    rpc.faults.set('swarm/connect', async (_request, _response, answer) => {
      await answer()
      resolve()
    })
  })

t.test('nodes tell each other when they meet', async (t) => {
  const [one, two] = [await startFakeKuboRpc(), await startFakeKuboRpc()]
  t.teardown(() => Promise.all([one.close(), two.close()]))
  one.addresses.push(LOCAL, '/ip4/10.1.1.1/tcp/4001')
  two.addresses.push('/ip4/127.0.0.1/tcp/4002')
  const dialled = [one, two].map(dialOf)
  const a = await startNode(t, { ipfs: one.url.href })
  const b = await startNode(t, { ipfs: two.url.href })
  const embedded = await startNode(t)
  await a.node.connect([b.url, embedded.url])
  await Promise.all(dialled)
  t.same(one.dialled, [`/ip4/127.0.0.1/tcp/4002/p2p/${two.peerId}`])
  t.same(two.dialled, [`${LOCAL}/p2p/${one.peerId}`], 'what the policy forbids is left out')

  const body = JSON.stringify({ id: one.peerId, addresses: [LOCAL] })
  const headers = { 'content-type': 'application/json' }
  const unsigned = await ask(`${a.url}/peers/ipfs`, { method: 'POST', headers, body })
  t.match(unsigned, { status: 401, body: { code: 'peer_unsigned' } })
})

t.test('in a network with administrators only certified nodes are told and believed', async (t) => {
  const [one, two] = [await startFakeKuboRpc(), await startFakeKuboRpc()]
  t.teardown(() => Promise.all([one.close(), two.close()]))
  one.addresses.push(LOCAL)
  two.addresses.push('/ip4/127.0.0.1/tcp/4002')
  const clinic = await startClinic(t, { ipfs: one.url.href })
  const { first, network, identity, certificate, put } = clinic
  const second = await startNode(t, { network, peer: [first.url], ipfs: two.url.href })
  const registered = identity('second', roles.node, await signerOfNode(second))
  await postBytes(`${first.url}/transactions`, 'application/vnd.ipld.dag-cbor', registered.bytes)
  await put(registered)
  await first.node.syncAll()
  const told = () => first.node.daemonTold({ id: two.peerId, addresses: two.addresses }, second.url)
  t.same(told(), { taken: false })
  t.same([one.dialled, two.dialled], [[], []])

  const dialled = dialOf(one)
  await put(certificate(registered))
  await dialled
  t.same(one.dialled, [`/ip4/127.0.0.1/tcp/4002/p2p/${two.peerId}`])
  t.same(told(), { taken: true })
})
