import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t from 'tap'
import { createNodeClient } from '#emrchain/client/node-client.js'
import type { Fetch } from '#emrchain/client/node-request.js'
import { encodeViewQuestion } from '#emrchain/protocol/custodian-view.js'
import { sealDeposit } from '#emrchain/protocol/sealed-deposit.js'
import { openRelease } from '#emrchain/protocol/sealed-release.js'
import { filler, chain as genesis, sign } from '../contract/consent-world.js'
import { signerOf } from '../fixtures/block-maker.js'
import { bytesOf } from '../fixtures/file-content.js'
import { askAs } from '../fixtures/signed-request.js'
import { ask, get, post, postBytes, until } from '../fixtures/start-node.js'
import { CBOR, digest, hex, kindsOf, never, startCustodians, textOf } from './custodians.js'

t.setTimeout(600_000)

/** What the metrics of a node say about custody, without the prefix of the names. */
async function countsOf({ url }: { readonly url: string }): Promise<Record<string, number>> {
  const text = String((await get(`${url}/metrics`)).body)
  const lines = [...text.matchAll(/^emrchain_custody_(\S+) (\d+)$/gm)]
  return Object.fromEntries(lines.map(([, name = '', value]) => [name, Number(value)]))
}

/** Resolves as soon as something holds. It is asked again after each answer of a server in this process. */
async function untilAnswered(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise<void>((resolve) => {
      const onFinish = (): void => {
        unsubscribe('http.server.response.finish', onFinish)
        resolve()
      }
      subscribe('http.server.response.finish', onFinish)
    })
  }
}

t.test('three custodians over HTTP: deposit, release, revocation, erasure', async (t) => {
  const { world, a, b, c, nodes, send, mine, request, sealOf, ...rest } = await startCustodians(t)
  const { cid, deposit, grant, secret, record, access, release } = rest
  const first = access('doctor')
  const answer = await release(a, 'node1', first)
  t.match(answer, { status: 200, body: { custodian: textOf(world.id('node1')), access: first.id.toString() } })
  const { enc, ct } = answer.body as { enc: string; ct: string }
  const place = {
    ...{ genesis: genesis.bytes, record: record.id.bytes, access: first.id.bytes, custodian: world.id('node1') },
  }
  t.same(await openRelease(secret, { enc: hex(enc), ct: hex(ct) }, place), {
    share: deposit.share,
    label: deposit.label,
  })
  for (const { node } of nodes) {
    t.match(node.custody.releasesOf(record.id.bytes), [{ fields: { access: first.id.bytes } }])
    t.ok(await node.transaction(first.id), 'every node has the access')
  }
  // Anybody reads the receipts, and checks them.
  t.match(await release(b, 'node2', first), { status: 200 })
  t.match(await countsOf(a), { deposits: 1, releases_total: 1, erasures_waiting: 0, restoring: 0 })
  const client = createNodeClient(c.url)
  const [one, two] = await client.releases(record.id.toString())
  const released = { record: record.id.bytes, access: first.id.bytes, asker: world.id('doctor'), chain: genesis }
  const bothOf = ['node1', 'node2'].map((name) => ({ custodian: world.id(name), key: signerOf(name).publicKey }))
  bothOf.sort((x, y) => Buffer.compare(x.custodian, y.custodian))
  t.match(
    [one, two],
    bothOf.map((of) => ({ ...released, ...of })),
  )
  const path = `${c.url}/shares/${record.id}/releases`
  const pageOf = async (query: string) =>
    (await get(`${path}?${query}`)).body as { releases: { next: string; custodian: string }[] }
  const [page] = (await pageOf('limit=1')).releases
  t.match(await pageOf(`after=${page?.next}`), {
    releases: [{ custodian: textOf(two?.custodian ?? access('doctor').id.bytes) }],
  })
  t.match(await get(`${c.url}/shares/${textOf(grant)}/releases`), { status: 200, body: { releases: [] } })
  t.match(await get(`${path}?after=a.b`), { status: 400, body: { code: 'malformed_cid' } })
  t.match(await get(`${path}?after=a`), { status: 400, body: { code: 'bad_request' } })
  await t.rejects(createNodeClient(c.url, { fetch: forging(c.url) }).releases(record.id.toString()), {
    code: 'node_unexpected',
  })
  t.match(await release(a, 'node1', first, textOf(grant)), { status: 422, body: { code: 'access_unfit' } })
  t.match(await release(b, 'node1', first), { status: 421, body: { code: 'request_wrong_node' } })
  t.match(await post(`${a.url}/shares`, {}), { status: 415 })
  t.match(await postBytes(`${a.url}/shares`, CBOR, digest('junk')), {
    status: 422,
    body: { code: 'request_malformed' },
  })
  const views = `${a.url}/shares/views`
  t.match(await postBytes(views, CBOR, digest('junk')), { status: 401, body: { code: 'peer_unsigned' } })
  const concern = { record: record.id.bytes, patient: world.id('patient'), asker: world.id('doctor') }
  const question = encodeViewQuestion({ chain: genesis, nonce: filler(3, 16), ...concern })
  const askedBy = (name: string) => askAs({ signer: signerOf(name), url: 'http://127.0.0.1:9' }, views, CBOR, question)
  t.match(await askedBy('nobody'), { status: 403, body: { code: 'request_unknown_key' } })
  t.match(await askedBy('doctor'), { status: 403, body: { code: 'not_custodian' } })
  t.match(await postBytes(`${a.url}/shares/releases`, CBOR, digest('junk')), { status: 422 })
  t.match(await postBytes(`${a.url}/shares`, CBOR, new Uint8Array(20_000)), { status: 413 })

  // Who was cut off hears of a release when it is back.
  await c.node.blockPeers([a.url, b.url])
  t.match(await release(a, 'node1', access('doctor')), { status: 200 })
  t.equal(c.node.custody.releasesOf(record.id.bytes).length, 2)
  await c.node.unblockPeers([a.url, b.url])
  await mine()
  await untilAnswered(() => c.node.custody.releasesOf(record.id.bytes).length === 3)

  // A revocation that one custodian has heard of counts at all of them.
  const patient = world.id('patient')
  await send(b, sign('patient', { kind: 'revocation', body: { patient, grant, grantee: null } }, Date.now()))
  t.match(await release(c, 'node3', access('doctor')), { status: 409, body: { code: 'release_frozen' } })
  await until(nodes, () => nodes.every(({ node }) => kindsOf(node).includes('revocation')))
  await mine()
  t.match(await release(a, 'node1', access('doctor')), { status: 403, body: { code: 'release_denied' } })
  t.match(await countsOf(a), { releases_total: 2, 'releases_refused_total{code="release_denied"}': 1 })

  const erasure = sign('patient', { kind: 'erasure', body: { record: record.id.bytes, ground: 1 } }, Date.now())
  await send(a, erasure)
  const car = (url: string) => ask(`${url}/ipfs/${cid}?format=car`)
  await until(nodes, () => nodes.every(({ node }) => kindsOf(node).includes('erasure')))
  t.equal((await car(a.url)).status, 200, 'what waits is served')
  t.equal((await get(`${b.url}/files/${cid}`)).body, 'abc')
  for (let blocks = 0; blocks < 5; blocks++) await mine()
  t.equal((await car(b.url)).status, 200, 'and what is not yet due')
  // Where it is damaged it does not count as held, and has to go all the same.
  const stored = join(b.options.data, 'files', `${cid}.car`)
  const bytes = readFileSync(stored)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1)
  writeFileSync(stored, bytes)
  await t.rejects(bytesOf(await b.node.readFile(cid, never)), { code: 'file_damaged' })
  await mine()
  t.match(await release(b, 'node2', access('doctor')), {
    status: 410,
    body: { code: 'record_erased', detail: new RegExp(erasure.id.toString()) },
  })
  await until(a, () => kindsOf(a.node).filter((kind) => kind === 'erasure_receipt').length === 3)
  t.same(
    [...a.node.pendingTransactions()].map(({ body }) => 'parts' in body && body.parts).sort(),
    [3, 7, 7],
    'two of them had the file too',
  )
  t.match(await countsOf(a), { deposits: 0, erasures_waiting: 1 }, 'its receipt waits for a block')
  t.notOk(existsSync(stored))
  // One of them stores it again; nobody gives it out, and nobody fetches it.
  await c.node.createHash({ name: 'x.aes', source: Readable.from([Buffer.from('abc')]) }, never)
  const gone = { status: 410, body: { code: 'record_erased', detail: new RegExp(erasure.id.toString()) } }
  for (const { url } of nodes) {
    t.match(await car(url), gone)
    t.match(await ask(`${url}/ipfs/${cid}?format=raw`), gone)
    t.match(await get(`${url}/files/${cid}`), gone)
    t.match(await post(`${url}/get_file`, { ipfs_hash: cid.toV1().toString() }), gone)
  }
  const given = [...a.node.pendingTransactions()].map(({ id }) => id)
  await mine()
  for (const id of given) t.match((await get(`${a.url}/transactions/${id}`)).body, { result: { code: 0 } })
  const sealed = await sealDeposit(genesis, deposit, { id: world.id('node1'), seal: await sealOf('node1') })
  const again = request('patient', 'node1', { kind: 'deposit', body: sealed })
  t.match(await postBytes(`${a.url}/shares`, CBOR, again), { status: 410, body: { code: 'record_erased' } })
})

/** Turns one bit of the first receipt that comes. */
const forging =
  (origin: string): Fetch =>
  async (url) => {
    const { releases } = (await get(url.startsWith(origin) ? url : origin)).body as { releases: { receipt: string }[] }
    const [first, ...rest] = releases
    const last = first && (Number.parseInt(first.receipt.slice(-1), 16) ^ 1).toString(16)
    const receipts = first ? [{ ...first, receipt: `${first.receipt.slice(0, -1)}${last}` }, ...rest] : rest
    return { status: 200, ok: true, headers: new Headers(), body: null, json: async () => ({ releases: receipts }) }
  }
