import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import t, { type Test } from 'tap'
import { EmrError } from '#emrchain/errors.js'
import { createEmbeddedFileStore } from '#emrchain/files/embedded/create-embedded-file-store.js'
import type { FileStore } from '#emrchain/files/file-store.js'
import type { Json, JsonTable } from '#emrchain/ledger/json-table.js'
import type { FileCheckEvent } from '#emrchain/node/check-files.js'
import { createFiles } from '#emrchain/node/create-files.js'
import { bytesOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { startKubo } from '../fixtures/kubo-daemon.js'
import { ask, get, post, startNode, startQuietNode, type TestNode } from '../fixtures/start-node.js'

/** Which files a node keeps: what its operator deletes stays away, and what the disk damages comes back. */

const never = new AbortController().signal

const carOf = ({ options }: TestNode, cid: CID): string => join(options.data, 'files', `${cid}.car`)

function damage(path: string): Buffer {
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 5) ^ 1, bytes.length - 5)
  writeFileSync(path, bytes)
  return bytes
}

async function addFile({ options, node }: TestNode, name: string, size = 300_000) {
  const content = await bytesOf(keystream(size, name))
  writeFileSync(join(options.fileRoot, name), content)
  return { content, ...(await node.createHash({ path: name }, never)) }
}

const unpin = ({ url }: TestNode, cid: CID, force = false) => post(`${url}/files/${cid}/unpin`, { force })
const pin = ({ url }: TestNode, cid: CID) => ask(`${url}/files/${cid}/pin`, { method: 'POST' })

interface Listed {
  files: { cid: string; state: string; name?: string; size?: number; copies: string[] }[]
  silent: string[]
  next?: string
}
const list = async ({ url }: TestNode, query = ''): Promise<Listed> => {
  const { status, body } = await get(`${url}/files${query}`)
  t.equal(status, 200)
  return body as Listed
}
const stateOf = async (node: TestNode, cid: CID) =>
  (await list(node)).files.find((file) => file.cid === cid.toString())?.state

t.test('what was unpinned stays away until somebody wants it', async (t) => {
  const first = await startQuietNode(t)
  const second = await startQuietNode(t)
  await first.node.connect([second.url])
  const { cid, content, size } = await addFile(first, 'scan.dcm')

  t.match(await unpin(first, cid), { status: 409, body: { code: 'file_last_copy' } })
  t.ok(existsSync(carOf(first, cid)), 'the last known copy is not lost by an oversight')
  t.match(await pin(second, cid), { status: 200, body: { cid: cid.toString(), fetched: true } })
  t.match(await pin(second, cid), { status: 200, body: { fetched: false } })
  t.strictSame((await list(first)).files, [
    { cid: cid.toString(), state: 'pinned', name: 'scan.dcm', size, copies: [second.url] },
  ])

  t.match(await unpin(first, cid.toV1()), {
    status: 200,
    body: { cid: cid.toString(), wasHere: true, copies: [second.url] },
  })
  t.notOk(existsSync(carOf(first, cid)), 'the disk is free')
  const gone = { status: 410, body: { code: 'file_unpinned' } }
  t.match(await get(`${first.url}/files/${cid}`), gone)
  t.match(await post(`${first.url}/get_file`, { ipfs_hash: cid.toV1().toString() }), gone)
  t.match(await get(`${first.url}/ipfs/${cid}?format=raw`), { status: 404, body: { code: 'file_unavailable' } })
  t.match(await unpin(first, cid), { status: 200, body: { wasHere: false } }, 'to say it again is no error')
  t.match(await unpin(second, cid), { status: 409 }, 'the other one has the last copy now')

  await first.close()
  const again = await startQuietNode(t, first.options)
  await again.node.connect([second.url])
  t.match(await get(`${again.url}/files/${cid}`), gone, 'it is remembered')
  t.equal(await stateOf(again, cid), 'unpinned')
  t.match(await pin(again, cid), { status: 200, body: { fetched: true } })
  t.ok((await bytesOf(await again.node.readFile(cid, never))).equals(content))

  t.match(await unpin(second, cid, true), { status: 200, body: { copies: [again.url] } })
  t.match(await get(`${second.url}/files/${cid}`), gone)
  await addFile(second, 'scan.dcm')
  t.equal(await stateOf(second, cid), 'pinned', 'who adds a file wants it')

  const { cid: unknown } = await addFile(await startQuietNode(t), 'elsewhere')
  t.match(await unpin(second, unknown, true), { status: 404, body: { code: 'file_unavailable' } })
  t.match(await pin(second, unknown), { status: 404, body: { code: 'file_unavailable' } })
  t.match(await unpin(second, unknown.toV1(), true), { status: 404 })
  t.match(await post(`${second.url}/files/QmNoCid/unpin`, { force: true }), { body: { code: 'malformed_cid' } })
})

t.test('a holder must have the root block, and who does not answer is named', async (t) => {
  const node = await startQuietNode(t)
  const liar = await startQuietNode(t)
  await node.node.connect([liar.url])
  const { cid } = await addFile(node, 'claimed')
  await addFile(liar, 'claimed')
  t.match(await list(node), { files: [{ copies: [liar.url] }], silent: [] })
  damage(carOf(liar, cid))
  t.match(await unpin(node, cid), { status: 409, body: { code: 'file_last_copy' } })
  await liar.close()
  t.match(await list(node), { files: [{ copies: [] }], silent: [liar.url] })
})

t.test('the list has pages', async (t) => {
  const node = await startQuietNode(t)
  const names: string[] = []
  for (const name of ['a', 'b', 'c']) names.push((await addFile(node, name, 100)).cid.toString())
  const page = await list(node, '?limit=2')
  t.equal(page.next, page.files[1]?.cid)
  const rest = await list(node, `?limit=2&after=${page.next}`)
  t.equal(rest.next, undefined)
  t.strictSame(
    [...page.files, ...rest.files].map(({ cid }) => cid),
    names.sort(),
  )
})

t.test('a check finds what is damaged or gone, and peers mend it', async (t) => {
  const node = await startQuietNode(t)
  const peer = await startQuietNode(t)
  await node.node.connect([peer.url])
  const [flipped, lost, whole] = [
    await addFile(node, 'flipped', 600_000),
    await addFile(node, 'lost'),
    await addFile(node, 'whole'),
  ]
  for (const { cid } of [flipped, lost, whole]) await pin(peer, cid)
  const alone = await addFile(node, 'nobody else has it')
  const gone = await addFile(node, 'unpinned')
  t.equal((await unpin(node, gone.cid, true)).status, 200)
  const found = damage(carOf(node, flipped.cid))
  damage(carOf(node, alone.cid))
  rmSync(carOf(node, lost.cid))

  const said: FileCheckEvent[] = []
  for await (const event of node.node.keeping.check(never)) said.push(event)
  t.match(said[0], { event: 'begin', files: 4 })
  t.match(said.at(-1), { event: 'done', files: 4, whole: 1, mended: 2, lost: 1 })
  const damageOf = (cid: CID) => said.find((event) => event.event === 'damage' && event.cid.equals(cid))
  const aside = `${carOf(node, flipped.cid)}.damaged`
  t.match(damageOf(flipped.cid), { found: 'damaged', mended: true, aside })
  t.strictSame(readFileSync(aside), found)
  t.match(damageOf(lost.cid), { found: 'missing', mended: true, aside: undefined })
  t.match(damageOf(alone.cid), { found: 'damaged', mended: false, code: 'file_unavailable' })
  t.equal(damageOf(whole.cid), undefined)
  for (const { cid, content } of [flipped, lost, whole])
    t.ok((await bytesOf(await node.node.readFile(cid, never))).equals(content))
  t.equal(await stateOf(node, alone.cid), 'damaged')

  await addFile(node, 'nobody else has it')
  const { status, headers, body } = await ask(`${node.url}/files/check`, { method: 'POST' })
  t.match({ status, type: headers['content-type'] }, { status: 200, type: 'text/event-stream' })
  t.match(String(body), /event: done\ndata: \{"files":4,"bytes":\d+,"whole":4,"mended":0,"lost":0\}\n\n$/)

  t.equal((await unpin(node, flipped.cid)).status, 200)
  t.notOk(existsSync(aside), 'what was set aside goes with the file')
  const ended = new AbortController()
  const check = node.node.keeping.check(ended.signal)
  t.match((await check.next()).value, { event: 'begin', files: 3 })
  ended.abort(new EmrError('cancelled'))
  await t.rejects(check.next(), { code: 'cancelled' })
})

/** A table as it is on disk, without the disk. */
function memoryTable(): JsonTable {
  const rows = new Map<string, Json>()
  return {
    get: (name) => rows.get(name),
    put: async (name, value) => void rows.set(name, value),
    remove: async (name) => void rows.delete(name),
    entries: () => [...rows],
  }
}

/** The files of a node with stores of its own and of a peer. */
async function scene(t: Test, change: (store: FileStore) => Partial<FileStore> = () => ({})) {
  const home = t.testdir()
  for (const name of ['own', 'theirs', 'downloads']) mkdirSync(join(home, name))
  const own = await createEmbeddedFileStore({ folder: join(home, 'own') })
  const theirs = await createEmbeddedFileStore({ folder: join(home, 'theirs') })
  t.teardown(() => Promise.all([own.close(), theirs.close()]))
  const { cid } = await theirs.add(sourceOf(Buffer.from('ciphertext')))
  const troubles: unknown[] = []
  let onFetched = async (): Promise<void> => undefined
  let isErased = false
  const { files, keeping } = createFiles(
    {
      store: { ...own, ...change(own) },
      network: {
        async fetchFile(of, take) {
          const taken = await take(theirs.exportCar(of))
          await onFetched()
          return taken
        },
        hasReachedDaemons: () => false,
        fetchBlock: () => Promise.reject(new EmrError('file_unavailable')),
        blockFrom: (_peer, of) => theirs.getBlock(of),
        holdersOf: async ([of]) => ({ holders: new Map(of ? [[of.toString(), ['http://theirs']]] : []), silent: [] }),
      },
      state: { knownFiles: memoryTable(), filePins: memoryTable() },
      logger: { warn: (facts) => void troubles.push(facts) },
      async assertNotErased() {
        if (isErased) throw new EmrError('record_erased')
      },
      nameOnChain: async () => undefined,
    },
    { fileRoot: home, dataFolder: home, downloads: join(home, 'downloads'), maxFileBytes: 1_000_000 },
  )
  return {
    ...{ own, cid, files, keeping, troubles },
    erase: () => {
      isErased = true
    },
    whenFetched: (act: () => Promise<void>) => {
      onFetched = act
    },
  }
}

t.test('a file that is unpinned while it is fetched does not stay', async (t) => {
  const { own, cid, files, keeping, whenFetched } = await scene(t)
  await keeping.pin(cid, never)
  await own.remove(cid)
  whenFetched(async () => void (await keeping.unpin(cid, { force: true }, never)))
  await t.rejects(files.readFile(cid, never), { code: 'file_unpinned' })
  t.notOk(await own.has(cid))
  whenFetched(async () => undefined)
  await t.rejects(files.readFile(cid, never), { code: 'file_unpinned' })
})

t.test('a deletion that the store refuses is finished at the next start', async (t) => {
  let isAway = true
  const { own, cid, files, keeping, troubles } = await scene(t, (store) => ({
    async remove(of) {
      if (isAway) throw new EmrError('file_store_unreachable')
      await store.remove(of)
    },
  }))
  await keeping.pin(cid, never)
  await t.rejects(keeping.unpin(cid, { force: false }, never), { code: 'file_store_unreachable' })
  t.match(await keeping.list({ limit: 9 }, never), { files: [{ state: 'unpinning' }] })
  await t.rejects(files.readFile(cid, never), { code: 'file_unpinned' }, 'the wish counts')
  t.strictSame(await keeping.held([cid]), [], 'nor is it promised to peers')
  await keeping.finish()
  t.equal(troubles.length, 1)
  isAway = false
  await keeping.finish()
  t.notOk(await own.has(cid))
  t.match(await keeping.list({ limit: 9 }, never), { files: [{ state: 'unpinned' }] })
})

t.test('a file that is added while it is deleted is kept, or its adder hears that it is not', async (t) => {
  let meanwhile = async (): Promise<void> => undefined
  const { own, cid, files, keeping } = await scene(t, (store) => ({
    async remove(of) {
      await meanwhile()
      await store.remove(of)
    },
  }))
  const add = () => files.createHash({ name: 'again', source: sourceOf(Buffer.from('ciphertext')) as never }, never)
  await add()
  let adding: Promise<unknown> | undefined
  const begun = new Promise<void>((resolve) => {
    meanwhile = async () => {
      // The new copy is on disk, and about to go with the old one.
      await own.add(sourceOf(Buffer.from('ciphertext')))
      adding = add()
      adding.catch(() => undefined)
      resolve()
    }
  })
  const unpinning = keeping.unpin(cid, { force: true }, never)
  await begun
  await unpinning
  const outcome = await adding?.then(
    () => 'kept',
    (error: EmrError) => error.code,
  )
  t.ok(outcome === 'kept' || outcome === 'file_unpinned', String(outcome))
  t.equal(await own.has(cid), outcome === 'kept', 'what was answered is true')
})

t.test('what is erased is neither pinned nor unpinned, nor looked for', async (t) => {
  const { own, cid, keeping, erase } = await scene(t)
  await keeping.pin(cid, never)
  await own.remove(cid)
  t.match(await keeping.list({ limit: 9 }, never), { files: [{ state: 'missing' }] })
  erase()
  await t.rejects(keeping.pin(cid, never), { code: 'record_erased' })
  await t.rejects(keeping.unpin(cid, { force: true }, never), { code: 'record_erased' })
  t.match(await keeping.list({ limit: 9 }, never), { files: [{ state: 'erased', copies: ['http://theirs'] }] })
  const said: FileCheckEvent[] = []
  for await (const event of keeping.check(never)) said.push(event)
  t.match(said.at(-1), { event: 'done', files: 0, lost: 0 })
  t.notOk(await own.has(cid))
})

t.test('a node before a Kubo lists its own files only, and has the daemon delete', async (t) => {
  const kubo = await startKubo(t)
  if (!kubo) return t.plan(0, 'There is no Kubo here.')
  const network = { syncInterval: 3_600_000 }
  const node = await startNode(t, { ipfs: kubo.rpcUrl.href }, { networkOptions: network })
  const peer = await startQuietNode(t)
  await node.node.connect([peer.url])
  kubo.ipfs(['add', '--quieter', '--cid-version=0'], Buffer.from('of somebody else'))
  const { cid, content } = await addFile(node, 'own')
  const { cid: fetched } = await addFile(peer, 'fetched')
  await bytesOf(await node.node.readFile(fetched, never))
  t.strictSame(
    (await list(node)).files.map(({ cid: name, state, copies }) => [name, state, copies]),
    [
      [cid.toString(), 'pinned', []],
      [fetched.toString(), 'pinned', [peer.url]],
    ].sort(),
  )
  t.match(await unpin(node, cid), { status: 409 })
  t.equal((await unpin(node, cid, true)).status, 200)
  t.match(await get(`${node.url}/files/${cid}`), { status: 410 })
  t.equal((await get(`${node.url}/ipfs/${cid}?format=raw`)).status, 404, 'although the daemon has the block')
  t.match(await pin(node, cid), { status: 200, body: { fetched: false } }, 'which is why it can be had back')
  t.ok((await bytesOf(await node.node.readFile(cid, never))).equals(content))
  t.equal((await unpin(node, cid, true)).status, 200)
  const { body } = await ask(`${node.url}/files/collect`, { method: 'POST' })
  t.match(String(body), /event: done\ndata: \{"blocks":[3-9]\}\n\n$/)
  t.match(await pin(node, cid), { status: 404, body: { code: 'file_unavailable' } })
  t.match(kubo.ipfs(['pin', 'ls', '--type=recursive']), fetched.toString())
  const check = await ask(`${node.url}/files/check`, { method: 'POST' })
  t.match(String(check.body), /event: done\ndata: \{"files":1,"bytes":\d+,"whole":1,"mended":0,"lost":0\}/)
})
