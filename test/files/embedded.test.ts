import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  createReadStream,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { CarReader } from '@ipld/car'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import t, { type Test } from 'tap'
import { createBlockBuffers } from '#emrchain/files/block-buffers.js'
import { createEmbeddedFileStore } from '#emrchain/files/embedded/create-embedded-file-store.js'
import { decodeFileNode } from '#emrchain/files/file-node.js'
import type { FileStore } from '#emrchain/files/file-store.js'
import { cidV0Of, createFileTree, encodeLeaf } from '#emrchain/files/file-tree.js'
import { runAhead } from '#emrchain/files/run-ahead.js'
import { readFile } from '#emrchain/files/walk-file.js'
import { type Block, bytesOf, digestOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { blocksOf, carOf, fileStoreSuite, first } from './file-store-suite.js'

const KIB_256 = 256 * 1024
const MIB = 1024 * 1024

const cidsIn = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .map((name) => name.replace(/\.car$/, ''))

t.test('the embedded store', async (t) => {
  const folder = join(t.testdir(), 'files')
  const store = await createEmbeddedFileStore({ folder })
  t.teardown(() => store.close())
  await fileStoreSuite(t, { store, kept: async () => cidsIn(folder) })
})

t.test('its folder', async (t) => {
  t.test('is private, and each file in it is a plain CAR with its root', async (t) => {
    const folder = join(t.testdir(), 'deep', 'files')
    const store = await createEmbeddedFileStore({ folder })
    t.teardown(() => store.close())
    const { cid } = await store.add(keystream(3 * KIB_256, 'car'))
    t.equal(statSync(folder).mode & 0o777, 0o700)
    t.strictSame(readdirSync(folder), [`${cid}.car`])
    t.equal(statSync(join(folder, `${cid}.car`)).mode & 0o777, 0o600)
    const car = await CarReader.fromIterable(createReadStream(join(folder, `${cid}.car`)))
    t.strictSame((await car.getRoots()).map(String), [cid.toString()])
    let blocks = 0
    for await (const _ of car.blocks()) blocks++
    t.equal(blocks, 4)
  })

  t.test('is tidied and tightened when the store opens, and files outlive the store', async (t) => {
    const folder = join(t.testdir(), 'files')
    const store = await createEmbeddedFileStore({ folder })
    const { cid } = await store.add(sourceOf(Buffer.from('outlives')))
    await store.close()
    writeFileSync(join(folder, `${'0'.repeat(32)}.unfinished`), 'half a file')
    chmodSync(folder, 0o755)
    const again = await createEmbeddedFileStore({ folder })
    t.teardown(() => again.close())
    t.strictSame(readdirSync(folder), [`${cid}.car`])
    t.equal(statSync(folder).mode & 0o777, 0o700)
    t.equal((await bytesOf(again.read(cid))).toString(), 'outlives')
  })

  t.test('must be one', async (t) => {
    const folder = join(t.testdir({ file: '' }), 'file')
    await t.rejects(createEmbeddedFileStore({ folder }), { code: 'disk_failed', facts: { errno: 'EEXIST' } })
  })
})

t.test('a damaged file stays beside the whole one until it is removed, at no cost before that', async (t) => {
  const folder = join(t.testdir(), 'files')
  const store = await createEmbeddedFileStore({ folder })
  t.teardown(() => store.close())
  const content = await bytesOf(keystream(3 * KIB_256, 'aside'))
  const { root, blocks } = await blocksOf(content)
  t.equal(await store.setAside(root), undefined, 'a file that is not here')
  await store.add(sourceOf(content))
  const path = join(folder, `${root}.car`)
  const damaged = readFileSync(path)
  damaged.writeUInt8(damaged.readUInt8(MIB / 2) ^ 1, MIB / 2)
  writeFileSync(path, damaged)
  writeFileSync(join(folder, 'QmNoCid.car'), '')

  const aside = await store.setAside(root)
  t.equal(aside, `${path}.damaged`)
  t.equal(await store.setAside(root), aside, 'again')
  t.equal(statSync(path).nlink, 2, 'one file with two names')
  t.strictSame((await store.list())?.map(String), [root.toString()], 'is listed once, and nothing else is')

  await store.importCar(root, carOf(root, blocks))
  t.equal((await bytesOf(store.read(root))).equals(content), true)
  t.strictSame(readFileSync(`${path}.damaged`), damaged, 'as it was found')
  t.strictSame(await bytesOf(store.collect() as AsyncIterable<never>), Buffer.alloc(0), 'nothing waits to be collected')
  await store.remove(root)
  t.strictSame(readdirSync(folder), ['QmNoCid.car'])
})

t.test('damage', async (t) => {
  const content = await bytesOf(keystream(60 * KIB_256, 'damage'))
  const { root, blocks } = await blocksOf(content)

  const damagedStore = async (t: Test, damage: (path: string, car: Buffer) => void): Promise<FileStore> => {
    const folder = join(t.testdir(), 'files')
    const store = await createEmbeddedFileStore({ folder })
    t.teardown(() => store.close())
    await store.add(sourceOf(content))
    const path = join(folder, `${root}.car`)
    damage(path, readFileSync(path))
    return store
  }
  const flipAt = (at: (car: Buffer) => number) => (path: string, car: Buffer) => {
    car.writeUInt8(car.readUInt8(at(car)) ^ 0x10, at(car))
    writeFileSync(path, car)
  }
  const cases: Readonly<Record<string, (path: string, car: Buffer) => void>> = {
    'a bit in a block': flipAt((car) => car.length >> 1),
    'a bit in the last block, the root': flipAt((car) => car.length - 1),
    'a bit in the header': flipAt(() => 20),
    'a bit in the length of a section': flipAt(() => 60),
    'a bit in the CID of a section': flipAt(() => 80),
    'a missing end': (path, car) => truncateSync(path, car.length - 1),
    'a missing section': (path) => writeFileSync(path, readFileSync(path).subarray(0, 59 + 3 + 34 + 262_158)),
    'no bytes at all': (path) => truncateSync(path, 0),
  }
  for (const [name, damage] of Object.entries(cases)) {
    t.test(`${name} is found, told, and mended`, async (t) => {
      const store = await damagedStore(t, damage)
      t.equal(await store.has(root), true, 'nobody has looked yet')
      const shown: Uint8Array[] = []
      await t.rejects(
        (async () => {
          for await (const chunk of store.read(root)) shown.push(chunk)
        })(),
        { code: 'file_damaged' },
      )
      const before = Buffer.concat(shown)
      t.ok(before.equals(content.subarray(0, before.length)), 'what came before the error is right')
      await t.rejects(bytesOf(store.exportCar(root)), { code: 'file_damaged' })
      t.equal(await store.has(root), false, 'now it counts as not held')
      t.match(await store.health(), { state: 'degraded', detail: /1/ })
      await store.importCar(root, carOf(root, blocks))
      t.equal(await store.has(root), true)
      t.strictSame(await bytesOf(store.read(root)), content)
      t.strictSame(await store.health(), { state: 'ok' })
    })
  }

  t.test('does not reach who reads the file while it is stored again', async (t) => {
    const folder = join(t.testdir(), 'files')
    const store = await createEmbeddedFileStore({ folder })
    t.teardown(() => store.close())
    await store.add(sourceOf(content))
    const chunks: Uint8Array[] = []
    for await (const chunk of store.read(root)) {
      if (chunks.length === 0) await store.importCar(root, carOf(root, blocks))
      chunks.push(chunk)
    }
    t.strictSame(Buffer.concat(chunks), content)
    t.strictSame(await bytesOf(store.read(root)), content)
  })
})

t.test('a slow reader costs no memory', async (t) => {
  const { root, blocks } = await blocksOf(await bytesOf(keystream(200 * KIB_256, 'slow')))
  const held = new Map(blocks.map(({ cid, bytes }) => [cid.toString(), bytes]))
  let asked = 0
  let taken = 0
  let ahead = 0
  const reading = readFile(
    root,
    async (cid) => {
      asked++
      return held.get(cid.toString()) ?? Buffer.alloc(0)
    },
    {},
  )
  for await (const _ of reading) {
    taken++
    ahead = Math.max(ahead, asked - taken)
  }
  t.equal(taken, 200)
  t.ok(ahead <= 12, `blocks are read ahead, but few: ${ahead}`)
})

t.test('work runs ahead of who takes it, in order, and not too far', async (t) => {
  let given = 0
  let running = 0
  let most = 0
  async function* source(): AsyncGenerator<number> {
    for (; given < 50; given++) yield given
  }
  const ends: (() => void)[] = []
  const work = async (item: number): Promise<number> => {
    most = Math.max(most, ++running)
    await new Promise<void>((resolve) => ends.push(resolve))
    running--
    if (item === 30) throw new Error('Item 30 fails.')
    return item
  }
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
  const ahead = runAhead(source(), 4, work)
  const first = await ahead.next()
  await turn()
  t.equal(running, 4, 'before anything is waited for')
  const found: unknown[] = []
  let ended = false
  const ending = (async () => {
    while (!ended) {
      // The last begun ends first.
      ends.pop()?.()
      await turn()
    }
  })()
  if (!first.done) found.push(await first.value())
  for await (const outcome of ahead) found.push(await outcome().catch(String))
  ended = true
  await ending
  t.same(
    found,
    Array.from({ length: 50 }, (_, item) => (item === 30 ? 'Error: Item 30 fails.' : item)),
  )
  t.equal(most, 4)

  let returned = false
  async function* failing(): AsyncGenerator<number> {
    try {
      yield 1
      yield 2
      throw new Error('no more')
    } finally {
      returned = true
    }
  }
  const taken: number[] = []
  await t.rejects(
    (async () => {
      for await (const outcome of runAhead(failing(), 2, async (item) => item)) taken.push(await outcome())
    })(),
    { message: 'no more' },
  )
  t.same(taken, [1, 2], 'what came before the error of the source')
  returned = false
  for await (const _ of runAhead(failing(), 1, async (item) => item)) break
  await turn()
  t.ok(returned, 'who stops, stops the source')
})

t.test('a range is read without what lies before and behind it', async (t) => {
  const content = await bytesOf(keystream(400 * KIB_256 + 1, 'range'))
  const { root, blocks } = await blocksOf(content)
  const held = new Map(blocks.map(({ cid, bytes }) => [cid.toString(), bytes]))
  let asked = 0
  const getBlock = async (cid: CID): Promise<Uint8Array> => {
    asked++
    return held.get(cid.toString()) ?? Buffer.alloc(0)
  }
  const start = 300 * KIB_256 + 100
  const range = { start, end: start + KIB_256 }
  t.ok((await bytesOf(readFile(root, getBlock, { range }))).equals(content.subarray(range.start, range.end)))
  t.equal(asked, 4, 'the root, the node in between, and two leaves')
  asked = 0
  t.equal(
    (await bytesOf(readFile(root, getBlock, { range: { start: content.length, end: content.length + 1 } }))).length,
    0,
  )
  t.equal(asked, 1)
})

t.test('a reader that gives memory back is served from little of it', async (t) => {
  const store = await createEmbeddedFileStore({ folder: t.testdir() })
  t.teardown(() => store.close())
  const content = await bytesOf(keystream(100 * KIB_256 + 5, 'given back'))
  const { cid } = await store.add(sourceOf(content))
  for (const read of [store.read, store.exportCar]) {
    const expected = await digestOf(read(cid))
    const buffers = createBlockBuffers()
    const used = new Set<ArrayBufferLike>()
    const hash = createHash('sha256')
    for await (const piece of read(cid, { buffers })) {
      hash.update(piece)
      if (piece.length >= KIB_256) used.add(piece.buffer)
      buffers.giveBack(piece)
      buffers.giveBack(piece)
    }
    t.equal(hash.digest('hex'), expected, 'the same bytes')
    t.ok(used.size > 0 && used.size <= 12, `100 blocks came in ${used.size} buffers`)
  }

  const buffers = createBlockBuffers()
  const kept: Uint8Array[] = []
  for await (const piece of store.read(cid, { buffers })) kept.push(piece)
  t.ok(Buffer.concat(kept).equals(content), 'what is not given back is not written over')
  buffers.giveBack(Buffer.alloc(KIB_256))
  t.ok(
    buffers.take(KIB_256).every((byte) => byte === 0),
    'memory of others is never lent',
  )
})

t.test('the links of a large node outlast the memory of its block', async (t) => {
  const leaves: Block[] = []
  for (const seed of ['one', 'two', 'three']) {
    const bytes = encodeLeaf(await bytesOf(keystream(150 * 1024, seed)))
    leaves.push({ cid: await cidV0Of(bytes), bytes })
  }
  const links = Array.from({ length: 4000 }, (_, at) => leaves[Math.floor(at / 1900)] ?? first(leaves))
  const Data = new UnixFS({ type: 'file', blockSizes: links.map(() => BigInt(150 * 1024)) }).marshal()
  const Links = links.map(({ cid, bytes }) => ({ Name: '', Hash: cid, Tsize: bytes.length }))
  const bytes = dagPb.encode({ Data, Links })
  t.ok(bytes.length > first(leaves).bytes.length, 'a leaf fits into the memory of its root')
  const root = await cidV0Of(bytes)
  const blocks = [{ cid: root, bytes }, ...leaves]

  const store = await createEmbeddedFileStore({ folder: t.testdir() })
  t.teardown(() => store.close())
  t.match(await store.importCar(root, carOf(root, blocks)), { fileSize: 4000 * 150 * 1024 })
  const buffers = createBlockBuffers()
  const hash = createHash('sha256')
  for await (const piece of store.exportCar(root, { buffers })) {
    hash.update(piece)
    buffers.giveBack(piece)
  }
  t.equal(hash.digest('hex'), await digestOf(carOf(root, blocks)))
})

t.test('many files are read at once with few open', async (t) => {
  const folder = join(t.testdir(), 'files')
  const store = await createEmbeddedFileStore({ folder })
  t.teardown(() => store.close())
  const seeds = Array.from({ length: 40 }, (_, i) => `file ${i}`)
  const files = await Promise.all(seeds.map((seed) => store.add(keystream(300_000, seed))))
  const read = await Promise.all(files.map(({ cid }) => digestOf(store.read(cid))))
  const expected = await Promise.all(seeds.map((seed) => digestOf(keystream(300_000, seed))))
  t.strictSame(read, expected)
  if (!existsSync('/proc/self/fd')) return t.comment('which files are open is seen on Linux only')
  const open = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false
    }
  })
  t.ok(open.length > 0)
  t.ok(open.length <= 16, `${open.length} files stay open`)
})

t.test('a full disk is told, and leaves nothing', async (t) => {
  // A limit on the size of a file ends a write as a full disk does, with EFBIG instead of ENOSPC.
  const folder = join(t.testdir(), 'files')
  const script = `
    import { randomBytes } from 'node:crypto'
    import { readdirSync } from 'node:fs'
    const { createEmbeddedFileStore } = await import(${JSON.stringify(import.meta.resolve('#emrchain/files/embedded/create-embedded-file-store.js'))})
    const store = await createEmbeddedFileStore({ folder: ${JSON.stringify(folder)} })
    async function* source(mib) { for (let i = 0; i < mib; i++) yield randomBytes(1048576) }
    const code = await store.add(source(24)).then(() => 'stored', (error) => error.code)
    const left = readdirSync(${JSON.stringify(folder)}).length
    const small = await store.add(source(2)).then(({ fileSize }) => fileSize)
    console.log(JSON.stringify({ code, left, small }))`
  // The environment is emptied, because a test runner's hooks in it would end the process at the limit's signal.
  const run = spawnSync(
    'sh',
    ['-c', 'ulimit -f 16384; exec env -i "$0" --input-type=module -e "$1"', process.execPath, script],
    { encoding: 'utf8' },
  )
  t.strictSame(JSON.parse(run.stdout || JSON.stringify(run.stderr)), { code: 'disk_full', left: 0, small: 2 * MIB })
})

t.test('little space is told before it is none', async (t) => {
  const store = await createEmbeddedFileStore({ folder: t.testdir(), lowSpaceBytes: Number.MAX_SAFE_INTEGER })
  t.teardown(() => store.close())
  t.match(await store.health(), { state: 'degraded', detail: /full/ })
})

t.test('a closed store ends what is under way and takes no more', async (t) => {
  const folder = join(t.testdir(), 'files')
  const store = await createEmbeddedFileStore({ folder })
  const { cid } = await store.add(keystream(40 * KIB_256, 'close'))
  const chunks = store.read(cid)[Symbol.asyncIterator]()
  await chunks.next()
  const gate = new EventTarget()
  const started = once(gate, 'started')
  const adding = store.add(
    (async function* () {
      yield Buffer.alloc(KIB_256)
      gate.dispatchEvent(new Event('started'))
      yield await new Promise<Uint8Array>(() => undefined)
    })(),
  )
  await started
  const rejected = t.rejects(adding, { code: 'closing' })
  await store.close()
  await rejected
  t.strictSame(readdirSync(folder), [`${cid}.car`])
  await t.rejects(
    (async () => {
      for (let i = 0; i < 40; i++) await chunks.next()
    })(),
    { code: 'closing' },
  )
  await t.rejects(store.add(keystream(1, 'late')), { code: 'closing' })
  await t.rejects(store.has(cid), { code: 'closing' })
  await t.rejects(bytesOf(store.read(cid)), { code: 'closing' })
  await store.close()
})

/**
 * CIDs of files of zeros by their size, as `ipfs add --only-hash --cid-version=0 --raw-leaves=false` of Kubo 0.43.0 gives
 * them: one node and more, each number of levels, and sizes around 2^31 and 2^32, at which encoders go wrong.
 */
const ZEROS: readonly (readonly [size: number, cid: string])[] = [
  [262144, 'QmRk1rduJvo5DfEYAaLobS2za9tDszk35hzaNSDCJ74DA7'],
  [45613056, 'QmY4HSz1oVGdUzb8poVYPLsoqBZjH6LZrtgnme9wWn2Qko'],
  [45613057, 'QmehMASWcBsX7VcEQqs6rpR5AHoBfKyBVEgmkJHjpPg8jq'],
  [2147483647, 'QmUcw8di6DC5vuzFPc2A5MwggRoj2NMWzeYXCtGJUddxED'],
  [2147483648, 'QmTbKT35oQzKgR34LUHaPdtrFrphjxiQJLrz6QMyU4kQNC'],
  [2150092214, 'QmWPBfTddazQXE5NyyJ9HSLtgkjcSWzZbQYFaKs3DfqqvW'],
  [4294967295, 'QmW3V6ajXZLDty6avLAuXzFEZmcUcC2TYeygporDWYiZRA'],
  [4294967296, 'QmPCeAaPPMtTcoik9wjDpwPgYw9NStZ1AzpEz7nJQQPi3C'],
  [4294967297, 'QmPAiDJHb2uUV2gyqnVAMUdNpKpd4jb64iiGDEpvrGU5Sx'],
  [7936671744, 'QmaUnuM6XbnxLbHUHmY5QxK8LkFqQcX9jvGPVjRF94EEsd'],
  [7936671745, 'QmVZLgevKqdMBkEdFhcauLccqzLNn2gmfwVaXhHEZJyqzm'],
  [9000000000, 'QmcwBXbDMdPvuYwVXUrsPnVi5THRz4WZoR3i8J4TfLcLuT'],
]

t.test('large files have the CID that Kubo gives them', async (t) => {
  const leafOf = async (size: number) => {
    const block = encodeLeaf(new Uint8Array(size))
    return { cid: await cidV0Of(block), fileSize: size, size: block.length }
  }
  const whole = await leafOf(262_144)
  for (const [size, cid] of ZEROS) {
    let last: Uint8Array = encodeLeaf(new Uint8Array(262_144))
    const tree = createFileTree(async (_, bytes) => {
      last = bytes
    })
    for (let left = size; left > 0; left -= 262_144) await tree.add(left < 262_144 ? await leafOf(left) : whole)
    const root = await tree.end()
    t.equal(root.cid.toString(), cid, `${size} bytes`)
    t.match(decodeFileNode(root.cid, last), { fileSize: size, size: root.size })
    t.equal(UnixFS.unmarshal(dagPb.decode(last).Data ?? new Uint8Array(0)).fileSize(), BigInt(size))
  }
})
