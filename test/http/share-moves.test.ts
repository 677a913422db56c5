import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { DEFAULT_CLIENT_LIMITS } from '#emrchain/network/peer-client.js'
import { backUp } from '#emrchain/node/back-up.js'
import { FIRST_ROUND_TIME } from '#emrchain/node/first-round.js'
import { restore } from '#emrchain/node/restore.js'
import { recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { filler, identityBody, sign } from '../contract/consent-world.js'
import { freePort, openBlackHole } from '../fixtures/black-hole.js'
import { ask, easyNetwork, folderOf, get, postBytes, startNode, type TestNode, until } from '../fixtures/start-node.js'
import { CBOR, digest, kindsOf, never, sameTip, startCustodians } from './custodians.js'

t.setTimeout(600_000)

t.test('a patient changes custodians: the shares move, also over a restart', async (t) => {
  const { world, a, b, c, start, send, access, release } = await startCustodians(t)
  const fourth = await start('node4', 4, [a.url, b.url, c.url])
  await sameTip([a, fourth])
  await fourth.close()
  const previous = world.id('patient')
  const custodians = [world.id('node2'), world.id('node4')].sort(Buffer.compare)
  const classKeys = Object.values(recordClasses).map((one) => ({ class: one, epoch: 1, key: filler(one % 251) }))
  const body = identityBody('patient', roles.patient, { previous, custodians, classKeys })
  const version = sign('patient', { kind: 'identity', body }, Date.now())
  await send(a, version)
  await until(b, () => kindsOf(b.node).includes('identity'))
  /** Nodes look at what is left to hand over at each new tip. */
  const mineAt = async (...nodes: readonly [TestNode, ...TestNode[]]): Promise<void> => {
    t.equal((await ask(`${nodes[0].url}/mine_block`, { method: 'POST' })).status, 200)
    await sameTip(nodes)
  }
  for (let blocks = 0; blocks < 6; blocks++) await mineAt(b, a, c)
  t.match((await get(`${a.url}/transactions/${version.id}`)).body, { result: { code: 0 } })
  t.match(await release(a, 'node1', access('doctor')), { status: 403, body: { code: 'not_custodian' } })

  // A former one restarts while the new one is away.
  await a.close()
  const first = await startNode(t, { ...a.options, peer: [b.url, c.url] })
  const last = await startNode(t, { ...fourth.options, peer: [first.url, b.url, c.url] })
  const nodes = [b, first, c, last] as const
  await sameTip(nodes)
  let status = 0
  for (let blocks = 0; status !== 200 && blocks < 100; blocks++) {
    await mineAt(...nodes)
    status = (await release(last, 'node4', access('doctor'))).status
  }
  t.equal(status, 200, 'the new one gives out what it was handed')
  const keyOf = ({ options }: TestNode): boolean => existsSync(join(options.data, 'shares', 'epoch-1.key'))
  for (let blocks = 0; (keyOf(first) || keyOf(c)) && blocks < 100; blocks++) await mineAt(...nodes)
  t.same([first, c].map(keyOf), [false, false], 'the former ones have destroyed theirs')
  t.same([b, last].map(keyOf), [true, true], 'the others keep it')
  t.match(await release(c, 'node3', access('doctor')), { status: 403, body: { code: 'not_custodian' } })
  t.match(await release(b, 'node2', access('doctor')), { status: 200 })
  t.match(await postBytes(`${b.url}/shares/handovers`, CBOR, digest('junk')), { status: 422 })
  const moved = async ({ url }: TestNode, direction: string): Promise<boolean> => {
    const text = String((await get(`${url}/metrics`)).body)
    return new RegExp(`^emrchain_custody_handovers_total\\{direction="${direction}"\\} [1-9]`, 'm').test(text)
  }
  t.same([await moved(first, 'given'), await moved(last, 'taken'), await moved(c, 'taken')], [true, true, false])
})

t.test('a restored node gives out nothing that was erased, not even at first', async (t) => {
  const { a, b, c, nodes, send, mine, cid, record } = await startCustodians(t)
  const network = a.options.network ?? ''
  const copyOf = async (name: string): Promise<string> => {
    await backUp(a.options.data, folderOf(t, `backup-${name}`), { network })
    return folderOf(t, `backup-${name}`)
  }
  const restored = async (backup: string, options: object = {}): Promise<TestNode> => {
    const data = `${backup}-restored`
    await restore(backup, data, { network })
    t.ok(existsSync(join(data, 'files', `${cid}.car`)), 'the ciphertext is in the backup')
    t.notOk(existsSync(join(data, 'shares')))
    return startNode(t, { ...a.options, data, peer: [], ...options })
  }
  const old = await copyOf('before')
  const erasure = sign('patient', { kind: 'erasure', body: { record: record.id.bytes, ground: 1 } }, Date.now())
  await send(a, erasure)
  for (let blocks = 0; blocks < 5; blocks++) await mine()
  const noted = await copyOf('noted')
  await mine()
  await until(a, () => kindsOf(a.node).filter((kind) => kind === 'erasure_receipt').length === nodes.length)
  await a.close()

  const gone = { status: 410, body: { code: 'record_erased', detail: new RegExp(erasure.id.toString()) } }
  const first = await restored(old)
  t.match(await ask(`${first.url}/ipfs/${cid}?format=car`), gone, 'its chain did not have the erasure')
  t.notOk(existsSync(join(first.options.data, 'files', `${cid}.car`)))
  t.ok(first.node.tip().header.height >= 6)
  await first.close()

  for (const node of [b, c]) await node.close()
  const alone = await restored(noted, { eraseAfter: 5 })
  t.match(await get(`${alone.url}/files/${cid}`), gone, 'its chain has it')
  t.notOk(existsSync(join(alone.options.data, 'files', `${cid}.car`)))
  await alone.close()
  const again = await startNode(t, alone.options)
  t.match(await get(`${again.url}/files/${cid}`), gone)
})

t.test('a node that restarts serves its files at once; a restored one hears its peers first', async (t) => {
  const network = easyNetwork(t)
  const before = await startNode(t, { network })
  const { cid } = await before.node.createHash({ name: 'x.aes', source: Readable.from([Buffer.from('abc')]) }, never)
  await before.node.mine(never)
  await backUp(before.options.data, folderOf(t, 'backup'), { network })
  await before.close()
  const { genesis } = before.node

  /** Starts it beside a peer that takes the call and says nothing; it answers before its start is over. */
  const startBeside = async (data: string) => {
    const hole = await openBlackHole(t)
    const port = await freePort()
    // No call to a peer ends by itself here.
    const clientLimits = { ...DEFAULT_CLIENT_LIMITS, headersTimeout: 600_000, answerTimeout: 600_000 }
    const starting = startNode(t, { ...before.options, data, port, peer: [hole.url] }, { clientLimits })
    await hole.called
    const url = `http://127.0.0.1:${port}`
    let isServed = false
    const file = get(`${url}/ipfs/${cid}?format=raw`).finally(() => {
      isServed = true
    })
    return {
      ...{ url, file },
      /** What it serves at once it has served by the time that it has answered some others one after another. */
      async isServed(): Promise<boolean> {
        for (let calls = 0; calls < 20; calls++) await get(`${url}/healthz`)
        return isServed
      },
      state: async () => (await get(`${url}/healthz`)).body,
      async endPeer(): Promise<void> {
        await hole.end()
        await starting
      },
      close: async () => (await starting).close(),
    }
  }

  const began = performance.now()
  const again = await startBeside(before.options.data)
  let isReleased = false
  const share = postBytes(`${again.url}/shares/${genesis}/release`, CBOR, digest('junk')).finally(() => {
    isReleased = true
  })
  t.match(await again.state(), { status: 'ok' })
  t.match(await again.file, { status: 200 }, 'its erasures are on its own disk')
  t.ok(performance.now() - began < FIRST_ROUND_TIME && !isReleased, 'shares wait for what came meanwhile')
  await again.endPeer()
  t.match(await share, { status: 422, body: { code: 'request_malformed' } })
  await again.close()

  const data = folderOf(t, 'restored')
  await restore(folderOf(t, 'backup'), data, { network })
  const restored = await startBeside(data)
  t.notOk(await restored.isServed(), 'what was erased since its backup it does not know')
  t.match(await restored.state(), { status: 'restoring' })
  await restored.endPeer()
  t.match(await restored.file, { status: 200 }, 'nobody is there to ask: it goes by its own chain')
  t.match(await restored.state(), { status: 'ok' })
  await restored.close()

  const later = await startBeside(data)
  t.notOk(await later.isServed(), 'and asks again at the next start')
  await later.endPeer()
  t.match(await later.file, { status: 200 })
})
