import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CarReader } from '@ipld/car'
import t from 'tap'
import { request } from 'undici'
import { createEmbeddedFileStore } from '#emrchain/files/embedded/create-embedded-file-store.js'
import { attachment } from '#emrchain/http/attachment.js'
import { buildServer } from '#emrchain/http/build-server.js'
import { requestedRange } from '#emrchain/http/byte-range.js'
import { namesTag } from '#emrchain/http/entity-tag.js'
import type { TestScope } from '../fixtures/block-maker.js'
import { startClinic } from '../fixtures/clinic.js'
import { startFakeKuboRpc } from '../fixtures/fake-kubo-rpc.js'
import { bytesOf, sourceOf } from '../fixtures/file-content.js'
import { folderOf, post, silent, startNode, type TestNode } from '../fixtures/start-node.js'

/** `GET` and `HEAD /ipfs/:cid` as the Trustless Gateway specifies them. */

const RAW = 'application/vnd.ipld.raw'
const CAR = 'application/vnd.ipld.car'
const UNKNOWN = 'QmYCqoyEQcARyEVfsk1hNqtzdWYpeyq22wqu8TMWdtwdAY'
const LEAF = 256 * 1024

interface Answered {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: Buffer
}

async function call(
  url: string,
  headers: Record<string, string> = {},
  method: 'GET' | 'HEAD' = 'GET',
): Promise<Answered> {
  const answer = await request(url, { method, headers })
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) }
}

const codeOf = ({ body }: Answered): unknown => JSON.parse(body.toString()).code

async function add(node: TestNode, name: string, contents: Uint8Array): Promise<string> {
  writeFileSync(join(node.options.fileRoot, name), contents)
  const { body } = await post(`${node.url}/create_hash`, { file_path: name })
  return (body as { 'IPFS Hash': { Hash: string } })['IPFS Hash'].Hash
}

/** The CIDs of a CAR's blocks, in order. */
async function blocksOf(car: Uint8Array): Promise<string[]> {
  const reader = await CarReader.fromBytes(car)
  return (await allOf(reader.blocks())).map(({ cid }) => cid.toString())
}
async function allOf<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const one of source) all.push(one)
  return all
}

/** Five leaves, of which the first and the fourth are the same, so that a CAR has it once or twice. */
const fiveLeaves = (): Buffer => Buffer.concat([1, 2, 3, 1, 4].map((n) => Buffer.alloc(n === 4 ? 1000 : LEAF, n)))

const stores: Readonly<Record<string, (t: TestScope) => Promise<TestNode>>> = {
  'the embedded store': (t) => startNode(t),
  'a Kubo': async (t) => {
    const daemon = await startFakeKuboRpc()
    t.teardown(() => daemon.close())
    return startNode(t, { ipfs: daemon.url.href })
  },
}

for (const [store, start] of Object.entries(stores)) {
  t.test(`over ${store}`, async (t) => {
    const node = await start(t)
    const cid = await add(node, 'hello.txt', Buffer.from('hello world\n'))
    const address = `${node.url}/ipfs/${cid}`

    await t.test('a block', async (t) => {
      const got = await call(`${address}?format=raw`)
      t.equal(got.status, 200)
      t.match(got.headers, {
        'content-type': RAW,
        'content-length': String(got.body.length),
        'content-disposition': `attachment; filename="${cid}.bin"`,
        'x-content-type-options': 'nosniff',
        etag: `"${cid}.raw"`,
        'cache-control': 'public, max-age=29030400, immutable',
        'x-ipfs-path': `/ipfs/${cid}`,
        'x-ipfs-roots': cid,
        'accept-ranges': 'bytes',
        vary: 'accept',
      })
      t.equal(got.headers['content-location'], undefined, 'the address says it all')
      t.ok(got.body.includes('hello world'), 'as it is hashed')
      const head = await call(`${address}?format=raw`, {}, 'HEAD')
      t.same(comparable(head), { ...comparable(got), body: Buffer.alloc(0) }, 'HEAD says the same')
      const accepted = await call(address, { accept: RAW })
      t.ok(accepted.body.equals(got.body))
      t.equal(accepted.headers['content-location'], `/ipfs/${cid}?format=raw`)
    })

    await t.test('a range of a block', async (t) => {
      const { body, headers } = await call(`${address}?format=raw`)
      const range = (value: string, more: Record<string, string> = {}) =>
        call(`${address}?format=raw`, { range: value, ...more })
      const part = await range('bytes=2-6')
      t.equal(part.status, 206)
      t.equal(part.headers['content-range'], `bytes 2-6/${body.length}`)
      t.equal(part.headers['content-length'], '5')
      t.equal(part.headers.etag, headers.etag)
      t.ok(part.body.equals(body.subarray(2, 7)))
      t.ok((await range('bytes=-3')).body.equals(body.subarray(-3)))
      const past = await range(`bytes=${body.length}-`)
      t.same([past.status, codeOf(past)], [416, 'range_unsatisfiable'])
      t.equal(past.headers['content-range'], `bytes */${body.length}`)
      t.equal(past.headers['cache-control'], undefined, 'a refusal is not for ever')
      t.equal((await range('bytes=0-1,4-5')).status, 200, 'several are answered by all')
      t.equal((await range('bytes=0-1', { 'if-range': '"other"' })).status, 200)
      t.equal((await range('bytes=0-1', { 'if-range': String(headers.etag) })).status, 206)
      t.equal((await call(`${address}?format=raw`, { range: 'bytes=0-1' }, 'HEAD')).status, 200)
    })

    await t.test('a CAR', async (t) => {
      const many = await add(node, 'leaves', fiveLeaves())
      const url = `${node.url}/ipfs/${many}`
      const got = await call(`${url}?format=car`)
      t.equal(got.status, 200)
      t.match(got.headers, {
        'content-type': `${CAR}; version=1; order=dfs; dups=n`,
        'content-disposition': `attachment; filename="${many}.car"`,
        'x-content-type-options': 'nosniff',
        etag: `W/"${many}.car"`,
        'cache-control': 'public, max-age=29030400, immutable',
        'x-ipfs-path': `/ipfs/${many}`,
        'x-ipfs-roots': many,
        'accept-ranges': 'none',
      })
      const all = await blocksOf(got.body)
      t.equal(all.length, 5, 'the root and four different leaves')
      t.equal(all[0], many)
      const head = await call(`${url}?format=car`, {}, 'HEAD')
      t.same(comparable(head), { ...comparable(got), body: Buffer.alloc(0) }, 'HEAD says the same')
      t.equal(head.headers['content-length'], undefined)

      const twice = await call(`${url}?format=car`, { accept: `${CAR}; version=1; order=dfs; dups=y` })
      t.equal(twice.headers['content-type'], `${CAR}; version=1; order=dfs; dups=y`)
      t.equal(twice.headers.etag, `W/"${many}.car.dups"`)
      t.equal(twice.headers['content-location'], `/ipfs/${many}?format=car&car-dups=y`)
      t.same(await blocksOf(twice.body), [...all.slice(0, 4), all[1], all[4]], 'the first leaf comes again')
      const firm = await call(`${url}?format=car&car-dups=n`, { accept: `${CAR}; dups=y` })
      t.match(firm.headers['content-type'], /dups=n/, 'the address counts first')

      const root = await call(`${url}?format=car&dag-scope=block`)
      t.same(await blocksOf(root.body), [many])
      t.equal(root.headers.etag, `W/"block.${many}.car"`)
      const entity = await call(`${url}?format=car&dag-scope=entity`)
      t.ok(entity.body.equals(got.body), 'of a file it is all')
      t.equal(entity.headers.etag, `W/"entity.${many}.car"`)

      const [, a, b, c, d] = all
      const spans: [string, (string | undefined)[]][] = [
        ['0:0', [a]],
        ['0:*', [a, b, c, d]],
        [`${LEAF - 1}:${LEAF}`, [a, b]],
        [`${LEAF}:${2 * LEAF - 1}`, [b]],
        ['-1:*', [d]],
        ['-1001:-1001', [a]],
        [`${2 * LEAF}:-1001`, [c, a]],
        [`0:-${4 * LEAF + 1001}`, []],
        [`-${9 * LEAF}:0`, [a]],
        [`${9 * LEAF}:*`, []],
        ['7:6', []],
      ]
      for (const [span, leaves] of spans) {
        const some = await call(`${url}?format=car&entity-bytes=${span}`)
        t.same(await blocksOf(some.body), [many, ...leaves], span)
        t.equal(some.headers.etag, `W/"entity-${span}.${many}.car"`)
      }
    })

    await t.test('what the client has is not sent again', async (t) => {
      const cases: [accept: string, tag: string, status: number][] = [
        [RAW, `"${cid}.raw"`, 304],
        [RAW, `W/"${cid}.raw"`, 304],
        [RAW, '*', 304],
        [RAW, `"other", "${cid}.raw"`, 304],
        [RAW, `"${cid}.car"`, 200],
        [CAR, `"other",W/"${cid}.car"`, 304],
        [CAR, `"${cid}.raw"`, 200],
      ]
      for (const method of ['GET', 'HEAD'] as const) {
        for (const [accept, tag, status] of cases) {
          const got = await call(address, { accept, 'if-none-match': tag }, method)
          t.equal(got.status, status, `${method} ${accept} ${tag}`)
          if (status !== 304) continue
          t.equal(got.body.length, 0)
          t.match(got.headers, { etag: /./, 'cache-control': /immutable/, vary: 'accept' })
          t.equal(got.headers['content-type'], undefined)
        }
      }
    })

    await t.test('which form', async (t) => {
      const forms: [query: string, accept: string | undefined, expected: string | [number, string]][] = [
        ['?format=raw', CAR, RAW],
        ['?format=car', RAW, CAR],
        ['', `${RAW};q=0.5, ${CAR}`, CAR],
        ['', `text/html, ${RAW}, */*;q=0.1`, RAW],
        ['', `${CAR};order=foo, ${CAR};order=dfs;q=0.5`, CAR],
        ['', `${CAR};version="1"`, CAR],
        ['', undefined, [400, 'bad_request']],
        ['', '*/*', [400, 'bad_request']],
        ['', 'text/html', [406, 'not_acceptable']],
        ['', `${CAR};version=2`, [406, 'not_acceptable']],
        ['', `${CAR};dups=z`, [406, 'not_acceptable']],
        ['', `${RAW};q=0`, [406, 'not_acceptable']],
        ['?format=tar', undefined, [406, 'not_acceptable']],
        ['?format=ipns-record', RAW, [406, 'not_acceptable']],
        ['?format=zip', RAW, [400, 'bad_request']],
        ['?format=car&car-version=2', undefined, [400, 'bad_request']],
        ['?format=car&dag-scope=some', undefined, [400, 'bad_request']],
        ['?format=car&entity-bytes=1', undefined, [400, 'bad_request']],
      ]
      for (const [query, accept, expected] of forms) {
        const got = await call(`${address}${query}`, accept === undefined ? {} : { accept })
        const name = `${query} ${accept}`
        if (typeof expected === 'string') t.match(got.headers['content-type'], expected, name)
        else t.same([got.status, codeOf(got)], expected, name)
      }
      t.equal((await call(`${address}?format=raw`, { 'service-worker': 'script' })).status, 400)
    })

    await t.test('names for saving', async (t) => {
      const named = async (name: string) =>
        (await call(`${address}?format=raw&filename=${encodeURIComponent(name)}`)).headers['content-disposition']
      t.equal(await named('scan.bin'), 'attachment; filename="scan.bin"')
      t.equal(
        await named('testтест.jpg'),
        `attachment; filename="test____.jpg"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.jpg`,
      )
      t.equal(await named('../a"b\r\nset-cookie: x'), 'attachment; filename=".._a_b__set-cookie: x"')
    })

    await t.test('what is not here', async (t) => {
      for (const format of ['raw', 'car']) {
        const missing = `${node.url}/ipfs/${UNKNOWN}?format=${format}`
        const got = await call(missing)
        t.same([got.status, codeOf(got)], [404, 'file_unavailable'])
        t.equal(got.headers['cache-control'], undefined)
        t.equal(got.headers.etag, undefined)
        t.equal((await call(missing, {}, 'HEAD')).status, 404)
        t.equal((await call(missing, { 'if-none-match': '*' })).status, 404, 'also where any would do')
        const cached = await call(missing, { 'cache-control': 'max-age=0, only-if-cached' })
        t.same([cached.status, codeOf(cached)], [412, 'not_cached'])
        t.equal((await call(`${address}?format=${format}`, { 'cache-control': 'only-if-cached' })).status, 200)
      }
      const dagCbor = node.node.genesis
      const foreign = await call(`${node.url}/ipfs/${dagCbor}?format=raw`)
      t.same([foreign.status, codeOf(foreign)], [400, 'malformed_cid'], 'a block of the chain is not of a file')
      t.equal((await call(`${address}/path?format=car`)).status, 404, 'a file has nothing under it')
    })

    await t.test('blocks that are written in their CID', async (t) => {
      const probe = `${node.url}/ipfs/bafkqaaa`
      for (const method of ['GET', 'HEAD'] as const) {
        const raw = await call(probe, { accept: RAW }, method)
        t.same([raw.status, raw.headers['content-length'], raw.body.length], [200, '0', 0])
        const car = await call(`${probe}?format=car`, {}, method)
        t.equal(car.status, 200)
        if (method === 'HEAD') continue
        const reader = await CarReader.fromBytes(car.body)
        t.same((await reader.getRoots()).map(String), ['bafkqaaa'])
        t.same(await blocksOf(car.body), [])
      }
      t.equal((await call(`${probe}?format=raw`, { range: 'bytes=0-' })).status, 416)
      t.equal((await call(`${node.url}/ipfs/bafkqabtimvwgy3yk?format=raw`)).body.toString(), 'hello\n')
    })
  })
}

/** What can be compared of two answers: all but the hour and what concerns the connection. */
function comparable({ status, headers, body }: Answered): Answered {
  const passing = ['date', 'connection', 'keep-alive', 'transfer-encoding']
  return {
    status,
    body,
    headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !passing.includes(name))),
  }
}

t.test('HEAD of a CAR reads the root and no more', async (t) => {
  const daemon = await startFakeKuboRpc()
  t.teardown(() => daemon.close())
  const node = await startNode(t, { ipfs: daemon.url.href })
  const cid = await add(node, 'leaves', fiveLeaves())
  const asked = () => daemon.requests.filter(({ url }) => url?.includes('/block/get')).length
  const before = asked()
  t.equal((await call(`${node.url}/ipfs/${cid}?format=car`, {}, 'HEAD')).status, 200)
  t.equal(asked() - before, 1)
})

t.test('damage is never sent as an answer', async (t) => {
  const node = await startNode(t)
  const files = join(node.options.data, 'files')
  const damage = (cid: string, find: string) => {
    const path = join(files, `${cid}.car`)
    const bytes = readFileSync(path)
    bytes.writeUInt8(0, bytes.indexOf(find))
    writeFileSync(path, bytes)
  }
  const small = await add(node, 'small', Buffer.from('of one block'))
  damage(small, 'of one block')
  for (const [format, status] of [
    ['raw', 500],
    ['car', 404],
  ]) {
    const got = await call(`${node.url}/ipfs/${small}?format=${format}`)
    t.equal(got.status, status, 'the root: a failure of the node, which from then on does not hold it')
    t.equal(got.headers['cache-control'], undefined)
  }
  const large = await add(node, 'large', Buffer.concat([Buffer.alloc(9 * LEAF), Buffer.from('the last leaf')]))
  damage(large, 'the last leaf')
  await t.rejects(call(`${node.url}/ipfs/${large}?format=car`), 'a later block: the connection is cut')
  t.ok(readdirSync(files).length === 2)
})

t.test('a file that came as a CAR is given under both forms of its CID', async (t) => {
  const source = await createEmbeddedFileStore({ folder: folderOf(t, 'source') })
  t.teardown(() => source.close())
  const { cid } = await source.add(sourceOf(fiveLeaves()))
  const node = await startNode(t)
  await node.close()
  const store = await createEmbeddedFileStore({ folder: join(node.options.data, 'files') })
  await store.importCar(cid, source.exportCar(cid, {}, { dups: true }))
  await store.close()
  const again = await startNode(t, node.options)
  for (const text of [cid.toString(), cid.toV1().toString()]) {
    const got = await call(`${again.url}/ipfs/${text}?format=car`)
    t.match(got.headers, { etag: `W/"${text}.car"`, 'x-ipfs-roots': text })
    const { roots } = await CarReader.fromBytes(got.body).then(async (reader) => ({ roots: await reader.getRoots() }))
    t.same(roots.map(String), [text])
    t.ok((await bytesOf(source.exportCar(cid))).length <= got.body.length)
  }
})

t.test('in a closed network it is for readers, and no shared cache may keep it', async (t) => {
  const { first } = await startClinic(t)
  const cid = await add(first, 'hello.txt', Buffer.from('hello world\n'))
  const got = await call(`${first.url}/ipfs/${cid}?format=raw`)
  t.equal(got.headers['cache-control'], 'private, max-age=29030400, immutable')
  const access = {
    hosts: () => new Set(['x']),
    origins: () => new Set<string>(),
    token: 'ab'.repeat(32),
    behindProxy: false,
  }
  const server = await buildServer(first.node, { logger: silent, access })
  t.teardown(() => server.close())
  for (const method of ['GET', 'HEAD'] as const) {
    const url = `/ipfs/${cid}?format=raw`
    const far = await server.inject({ method, url, remoteAddress: '192.0.2.7', headers: { host: 'x' } })
    t.equal(far.statusCode, 401)
    const operator = { host: 'x', authorization: `Bearer ${access.token}` }
    const near = await server.inject({ method, url, remoteAddress: '192.0.2.7', headers: operator })
    t.equal(near.statusCode, 200)
  }
})

t.test('headers of requests', async (t) => {
  const ranges: [header: string | undefined, size: number, expected: [number, number] | 'whole' | 'none'][] = [
    [undefined, 10, 'whole'],
    ['bytes=0-0', 10, [0, 1]],
    ['bytes=3-', 10, [3, 10]],
    ['bytes=3-99', 10, [3, 10]],
    ['BYTES= 3-4 ', 10, [3, 5]],
    ['bytes=-4', 10, [6, 10]],
    ['bytes=-99', 10, [0, 10]],
    ['bytes=-0', 10, 'none'],
    ['bytes=10-', 10, 'none'],
    ['bytes=0-', 0, 'none'],
    ['bytes=-1', 0, 'none'],
    ['bytes=5-3', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
    ['bytes=a-b', 10, 'whole'],
    ['bytes=1-2,3-4', 10, 'whole'],
    ['lines=1-2', 10, 'whole'],
  ]
  for (const [range, size, expected] of ranges) {
    const read = () => requestedRange({ size, etag: '"a"', range, ifRange: undefined })
    if (expected === 'none') t.throws(read, { code: 'range_unsatisfiable' }, String(range))
    else t.same(read(), expected === 'whole' ? undefined : { start: expected[0], end: expected[1] }, String(range))
  }
  t.notOk(namesTag(undefined, '"a"'))
  t.notOk(namesTag('"ab", W/"b"', '"a"'))
  t.ok(namesTag('"b" , W/"a"', '"a"'))
  t.equal(attachment('\u{1f600}'), `attachment; filename="_"; filename*=UTF-8''%F0%9F%98%80`)
})
