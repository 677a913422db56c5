import { CarReader } from '@ipld/car'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { exporter } from 'ipfs-unixfs-exporter'
import { importBytes } from 'ipfs-unixfs-importer'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import type { Test } from 'tap'
import { EmrError } from '#emrchain/errors.js'
import type { FileStore } from '#emrchain/files/file-store.js'
import { importFile } from '#emrchain/files/import-file.js'
import { encodeCar } from '#emrchain/protocol/car.js'
import { type Block, bytesOf, digestOf, keystream, sourceOf } from '../fixtures/file-content.js'

/** A store under test. */
export interface StoreUnderTest {
  readonly store: FileStore
  /** CIDs of the files that are kept and pinned, by other means than the store itself. */
  kept(): Promise<string[]>
}

const KIB_256 = 256 * 1024

/** Known CIDs of Kubo's profile for CIDv0: its own tests, its documentation, and IPIP-499. */
const KNOWN: readonly (readonly [name: string, content: string | readonly [number, string], cid: string])[] = [
  ['nothing', '', 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH'],
  ['hello world', 'hello world', 'Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD'],
  ['hello world and a newline', 'hello world\n', 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'],
  ['Hello Worlds', 'Hello Worlds!\n', 'QmVr26fY1tKyspEJBniVhqxQeEjhF78XerGiqWAwraVLQH'],
  ['IPFS', 'IPFS\n', 'QmdFyxZXsFiP4csgfM5uPu99AvFiKH62CSPDw5TP92nr7w'],
  ['Hello Mars', 'Hello Mars!\n', 'QmPrrHqJzto9m7SyiRzarwkqPcCSsKR2EB1AyqJfe8L8tN'],
  ['Hello Venus', 'Hello Venus!\n', 'QmU5kp3BH3B8tnWUU2Pikdb2maksBNkb92FHRr56hyghh4'],
  ['Hello Jupiter', 'Hello Jupiter!\n', 'QmUnvPcBctVTAcJpigv6KMqDvmDewksPWrNVoy1E1WP5fh'],
  ['Hello Neptune', 'Hello Neptune!\nHello Pluton!', 'QmZDhWpi8NvKrekaYYhxKCdNVGWsFFe1CREnAjP1QbPaB3'],
  ['World', 'World\n', 'Qma9CyFdG5ffrZCcYSin2uAETygB25cswVwEYYzwfQuhTe'],
  ['one chunk', [KIB_256, 'chunk-v0-seed'], 'QmWmRj3dFDZdb6ABvbmKhEL6TmPbAfBZ1t5BxsEyJrcZhE'],
  ['one chunk and a byte', [KIB_256 + 1, 'chunk-v0-seed'], 'QmYyLxtzZyW22zpoVAtKANLRHpDjZtNeDjQdJrcQNWoRkJ'],
  ['174 chunks', [174 * KIB_256, 'v0-seed'], 'QmUbBALi174SnogsUzLpYbD4xPiBSFANF4iztWCsHbMKh2'],
  ['174 chunks and a byte', [174 * KIB_256 + 1, 'v0-seed'], 'QmV81WL765sC8DXsRhE5fJv2rwhS4icHRaf3J9Zk5FdRnW'],
]

const contentOf = (content: string | readonly [number, string]): AsyncGenerator<Uint8Array> =>
  typeof content === 'string' ? sourceOf(Buffer.from(content)) : keystream(...content)

/** What every store must do, whatever is behind it. */
export async function fileStoreSuite(t: Test, { store, kept }: StoreUnderTest): Promise<void> {
  t.test('lets go of a file, and of no other', async (t) => {
    const [{ cid }, other] = [await store.add(keystream(600_000, 'gone')), await store.add(keystream(600_000, 'stays'))]
    for await (const _ of store.read(cid)) break
    await store.remove(cid.toV1())
    t.equal(await store.has(cid), false)
    const names = await kept()
    t.equal(names.includes(cid.toString()), false)
    t.equal(names.includes(other.cid.toString()), true)
    await store.remove(cid)
    await store.add(keystream(600_000, 'gone'))
    t.equal(await store.has(cid), true, 'and takes it again')
  })

  t.test('lists only what is its own', async (t) => {
    const { cid } = await store.add(keystream(300_000, 'listed'))
    const listed = await store.list()
    if (store.kind === 'kubo') t.equal(listed, undefined, 'the daemon may be that of others too')
    else t.strictSame(listed?.map(String).sort(), await kept())
    await store.remove(cid)
    t.equal((await store.list())?.some((one) => one.equals(cid)) ?? false, false)
  })

  t.test('gives the CIDs that IPFS gives, and the bytes back', async (t) => {
    for (const [name, content, cid] of KNOWN) {
      const file = await store.add(contentOf(content))
      t.equal(file.cid.toString(), cid, name)
      t.equal(await digestOf(store.read(file.cid)), await digestOf(contentOf(content)), `${name}: bytes`)
      t.strictSame(await store.stat(file.cid), file, `${name}: stat`)
      t.equal(await store.has(file.cid), true, `${name}: has`)
    }
    const names = await kept()
    t.strictSame(
      KNOWN.filter(([, , cid]) => !names.includes(cid)),
      [],
      'all of them are kept',
    )
  })

  t.test('knows the sizes that Kubo prints', async (t) => {
    const hello = await store.add(sourceOf(Buffer.from('hello world\n')))
    t.match(hello, { size: 20, fileSize: 12 })
    const larger = await store.add(keystream(63_870, 'size'))
    t.match(larger, { size: 63_884, fileSize: 63_870 })
  })

  t.test('takes a CID in either version', async (t) => {
    const { cid } = await store.add(sourceOf(Buffer.from('either version')))
    const v1 = cid.toV1()
    t.equal(await store.has(v1), true)
    t.equal((await store.stat(v1)).cid.toString(), cid.toString(), 'the answer is in the normal form')
    t.equal((await bytesOf(store.read(v1))).toString(), 'either version')
    t.strictSame(await store.getBlock(v1), await store.getBlock(cid))
    await t.rejects(store.has(CID.createV1(0x71, cid.multihash)), { code: 'malformed_cid' })
    await t.rejects(bytesOf(store.read(CID.createV1(0x71, cid.multihash))), { code: 'malformed_cid' })
  })

  t.test('gives any range of a file', async (t) => {
    const content = await bytesOf(keystream(176 * KIB_256 + 77, 'range'))
    const { cid } = await store.add(sourceOf(content))
    const length = content.length
    const ends = [0, 1, KIB_256 - 1, KIB_256, 174 * KIB_256, 175 * KIB_256 + 3, length - 1, length]
    const ranges = ends.flatMap((start) =>
      [start - 1, start, start + 1, start + 3 * KIB_256].map((end) => [start, end]),
    )
    // Over both layers of links, and beyond the end: each of these reads it all.
    ranges.push([0, length], [1, length - 1], [KIB_256 - 1, 175 * KIB_256 + 3], [0, Number.MAX_SAFE_INTEGER])
    for (const start of ends.slice(4)) ranges.push([start, length + 9], [start, Number.MAX_SAFE_INTEGER])
    for (const [start = 0, end = 0] of ranges) {
      if (end < 0) continue
      const found = await digestOf(store.read(cid, { range: { start, end } }))
      const expected = content.subarray(start, Math.max(start, Math.min(end, length)))
      if (found !== (await digestOf(sourceOf(expected)))) t.fail(`${start} to ${end}`)
    }
    t.pass('each with its own bytes')
  })

  t.test('says so when a file is not here', async (t) => {
    const { root: absent } = await blocksOf(Buffer.from('absent'))
    t.equal(await store.has(absent), false)
    const code = { code: 'file_unavailable' }
    await t.rejects(store.stat(absent), code)
    await t.rejects(store.getBlock(absent), code)
    await t.rejects(bytesOf(store.read(absent)), code)
    await t.rejects(bytesOf(store.exportCar(absent)), code)
  })

  t.test('adds at the same time, also the same file', async (t) => {
    const same = await bytesOf(keystream(600_000, 'same'))
    const files = await Promise.all(
      ['same', 'a', 'same', 'b'].map((seed) => store.add(seed === 'same' ? sourceOf(same) : keystream(700_001, seed))),
    )
    t.equal(files[0]?.cid.toString(), files[2]?.cid.toString())
    for (const { cid, fileSize } of files) t.equal((await bytesOf(store.read(cid))).length, fileSize)
    const names = await kept()
    t.equal(names.filter((name) => name === files[0]?.cid.toString()).length, 1, 'the same file is kept once')
  })

  t.test('keeps repeated blocks of a file apart when reading', async (t) => {
    const zeros = new Uint8Array(5 * KIB_256 + 7)
    const { cid } = await store.add(sourceOf(zeros))
    t.strictSame(await bytesOf(store.read(cid)), Buffer.from(zeros))
    const { blocks } = await readCar(store.exportCar(cid))
    t.equal(blocks.length, 3, 'root, full chunk, last chunk')
    const repeated = await blocksOf(zeros)
    const all = blocks.slice(0, 2).concat(blocks.slice(1, 2), blocks.slice(1))
    t.match(await store.importCar(cid, carOf(cid, all)), { fileSize: zeros.length }, 'a CAR with repeated blocks')
    t.equal(repeated.root.toString(), cid.toString())
  })

  t.test('exports a CAR: depth first, each block once', async (t) => {
    const content = await bytesOf(keystream(175 * KIB_256 + 5, 'export'))
    const { cid } = await store.add(sourceOf(content))
    const expected = await blocksOf(content)
    const { roots, blocks } = await readCar(store.exportCar(cid))
    t.strictSame(roots.map(String), [cid.toString()])
    t.strictSame(
      blocks.map((block) => block.cid.toString()),
      expected.blocks.map((block) => block.cid.toString()),
    )
    t.equal(await digestOf(store.exportCar(cid)), await digestOf(carOf(cid, expected.blocks)))
    const held = new Map(blocks.map((block) => [block.cid.toString(), block.bytes]))
    const entry = await exporter(cid, {
      async *get(wanted) {
        yield held.get(wanted.toString()) ?? Buffer.alloc(0)
      },
    })
    if (entry.type !== 'file') throw new Error('The exporter of IPFS sees no file.')
    t.equal(await digestOf(entry.content()), await digestOf(sourceOf(content)), 'the exporter of IPFS reads it')
  })

  t.test('gives single blocks', async (t) => {
    const content = await bytesOf(keystream(3 * KIB_256, 'single'))
    const { root, blocks } = await blocksOf(content)
    await store.add(sourceOf(content))
    for (const { cid, bytes } of blocks) {
      t.strictSame(Buffer.from(await store.getBlock(cid, { within: root })), Buffer.from(bytes))
    }
    const { root: absent } = await blocksOf(Buffer.from('no part of it'))
    await t.rejects(store.getBlock(absent, { within: root }), { code: 'file_unavailable' })
    t.equal(await store.has(root), true, 'asking for a foreign block is not damage')
  })

  t.test('leaves nothing of an add that fails', async (t) => {
    const before = await kept()
    const failure = new Error('The source fails.')
    await t.rejects(
      store.add(
        (async function* () {
          yield* keystream(3 * KIB_256, 'fails')
          throw failure
        })(),
      ),
      failure,
      'the error of the source comes out unchanged',
    )
    await t.rejects(
      store.add(
        // biome-ignore lint/correctness/useYield: the source fails before its first chunk
        (async function* () {
          throw failure
        })(),
      ),
      failure,
    )
    const { root } = await blocksOf(await bytesOf(keystream(3 * KIB_256, 'fails')))
    t.equal(await store.has(root), false)
    t.strictSame(await kept(), before)
  })

  t.test('ends when its caller gives up, also while the source is silent', async (t) => {
    const before = await kept()
    const controller = new AbortController()
    let returned = false
    const silent = (async function* () {
      try {
        yield* keystream(2 * KIB_256, 'gives up')
        controller.abort()
        yield await new Promise<Uint8Array>(() => undefined)
      } finally {
        returned = true
      }
    })()
    await t.rejects(store.add(silent, { signal: controller.signal }), { code: 'cancelled' })
    t.equal(returned, false, 'a source that hangs is not waited for')
    await t.rejects(store.add(keystream(1, 'late'), { signal: AbortSignal.abort() }), { code: 'cancelled' })
    const reason = new EmrError('closing')
    await t.rejects(store.add(keystream(1, 'late'), { signal: AbortSignal.abort(reason) }), reason)
    t.strictSame(await kept(), before)

    const { cid } = await store.add(keystream(20 * KIB_256, 'read and give up'))
    const reading = new AbortController()
    const chunks = store.read(cid, { signal: reading.signal })[Symbol.asyncIterator]()
    t.equal((await chunks.next()).done, false)
    reading.abort()
    await t.rejects(
      (async () => {
        for (let i = 0; i < 20; i++) await chunks.next()
      })(),
      { code: 'cancelled' },
    )
    for await (const chunk of store.read(cid)) {
      t.ok(chunk.length > 0, 'a reader may stop early')
      break
    }
  })

  t.test('imports a CAR and gives the file back', async (t) => {
    const content = await bytesOf(keystream(175 * KIB_256 + 3, 'import'))
    const { root, blocks } = await blocksOf(content)
    const file = await store.importCar(root, carOf(root, blocks))
    t.match(file, { fileSize: content.length })
    t.equal(file.cid.toString(), root.toString())
    t.strictSame(await store.stat(root), file)
    t.equal(await store.has(root), true)
    t.equal(await digestOf(store.read(root)), await digestOf(sourceOf(content)))
    t.strictSame(await store.importCar(root, store.exportCar(root)), file, 'again, from itself')
    const v1 = await store.importCar(
      root.toV1(),
      carOf(root.toV1(), [{ ...first(blocks), cid: root.toV1() }, ...blocks.slice(1)]),
    )
    t.equal(v1.cid.toString(), root.toString(), 'under CIDv1 it is the same file')
  })

  t.test('imports a file of raw leaves, which others may make', async (t) => {
    const content = await bytesOf(keystream(3 * KIB_256, 'raw leaves'))
    const { root, blocks } = await blocksOf(content, 'unixfs-v1-2025')
    t.equal(root.version, 1)
    await store.importCar(root, carOf(root, blocks))
    t.strictSame(await bytesOf(store.read(root)), content)
    const small = Buffer.from('hello world')
    const single = await blocksOf(small, 'unixfs-v1-2025')
    t.equal(single.root.toString(), 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')
    await store.importCar(single.root, carOf(single.root, single.blocks))
    t.strictSame(await bytesOf(store.read(single.root)), small)
    t.strictSame((await store.stat(single.root)).cid.toString(), single.root.toString())
  })

  t.test('believes nothing of a CAR, and keeps nothing of a bad one', async (t) => {
    const { root, blocks } = await blocksOf(await bytesOf(keystream(175 * KIB_256, 'bad CAR')))
    const { root: otherRoot, blocks: others } = await blocksOf(await bytesOf(keystream(3 * KIB_256, 'other')))
    const before = await kept()
    const refuse = async (name: string, code: string, car: AsyncIterable<Uint8Array>, maxBytes?: number) => {
      await t.rejects(store.importCar(root, car, { maxBytes }), { code }, name)
      t.equal(await store.has(root), false, `${name}: not held`)
    }
    const whole = await bytesOf(carOf(root, blocks))
    const flipped = Buffer.from(whole)
    flipped.writeUInt8(flipped.readUInt8(whole.length - 1000) ^ 1, whole.length - 1000)

    await refuse('no bytes', 'car_incomplete', sourceOf(Buffer.alloc(0)))
    await refuse('no CAR', 'malformed_car', sourceOf(Buffer.from('\u0005this is not a CAR, whatever it says')))
    await refuse('an endless header', 'malformed_car', sourceOf(Buffer.from('ffffff7f', 'hex')))
    await refuse('a header alone', 'car_incomplete', carOf(root, []))
    await refuse('another root', 'car_foreign_block', carOf(otherRoot, others))
    await refuse('another file under this root', 'car_foreign_block', carOf(root, others))
    await refuse('leaves before parents', 'car_foreign_block', carOf(root, blocks.toReversed()))
    await refuse('a foreign block within', 'car_foreign_block', carOf(root, blocks.toSpliced(5, 0, first(others))))
    await refuse('a foreign block at the end', 'car_foreign_block', carOf(root, [...blocks, first(others)]))
    await refuse('a block missing within', 'car_foreign_block', carOf(root, blocks.toSpliced(9, 1)))
    await refuse('the last block missing', 'car_incomplete', carOf(root, blocks.slice(0, -1)))
    await refuse('a flipped bit', 'wrong_cid', sourceOf(flipped))
    for (const length of [1, 30, 59, 61, 100, 100_000, whole.length - 262_158, whole.length - 1]) {
      await refuse(`cut at ${length}`, 'car_incomplete', sourceOf(whole.subarray(0, length)))
    }
    await refuse('over the limit', 'file_too_large', sourceOf(whole), whole.length - 1)
    await refuse('over the limit by what it says', 'file_too_large', sourceOf(whole), 1_000_000)
    const failure = new Error('The peer fails.')
    await t.rejects(
      store.importCar(
        root,
        (async function* () {
          yield whole.subarray(0, 1_000_000)
          throw failure
        })(),
      ),
      failure,
    )
    const controller = new AbortController()
    const silent = (async function* () {
      yield whole.subarray(0, 1_000_000)
      controller.abort()
      yield await new Promise<Uint8Array>(() => undefined)
    })()
    await t.rejects(store.importCar(root, silent, { signal: controller.signal }), { code: 'cancelled' })
    t.equal(await store.has(root), false)
    t.strictSame(await kept(), before, 'nothing is kept')
    t.match(await store.importCar(root, sourceOf(whole), { maxBytes: whole.length }), { fileSize: 175 * KIB_256 })
  })

  t.test('refuses what is no well-formed file, though every hash is right', async (t) => {
    const leaf = await blockOf(Buffer.from('leaf'), raw.code)
    const file = (links: readonly Block[], sizes: readonly bigint[], type: 'file' | 'directory' = 'file') =>
      blockOf(
        dagPb.encode({
          Data: new UnixFS({ type, blockSizes: [...sizes] }).marshal(),
          Links: links.map(({ cid, bytes }) => ({ Name: '', Hash: cid, Tsize: bytes.length })),
        }),
        dagPb.code,
      )
    const empty = await blockOf(new Uint8Array(0), raw.code)
    const cases: readonly (readonly [string, readonly Block[]])[] = [
      ['a directory', [await file([leaf], [4n], 'directory'), leaf]],
      ['no UnixFS', [await blockOf(dagPb.encode({ Links: [] }), dagPb.code)]],
      ['no dag-pb', [await blockOf(Buffer.from('not protobuf'), dagPb.code)]],
      ['a part that is longer than declared', [await file([leaf], [3n]), leaf]],
      ['a part that is shorter than declared', [await file([leaf], [5n]), leaf]],
      ['fewer sizes than parts', [await file([leaf, leaf], [4n]), leaf]],
      ['an empty part', [await file([empty], [0n]), empty]],
      ['a size out of range', [await file([leaf], [2n ** 60n]), leaf]],
    ]
    for (const [name, blocks] of cases) {
      const root = first(blocks).cid
      await t.rejects(store.importCar(root, carOf(root, blocks)), { code: 'not_a_file' }, name)
      t.equal(await store.has(root), false, name)
    }
  })

  t.test('is well', async (t) => {
    t.strictSame(await store.health(), { state: 'ok' })
  })
}

/** The blocks of a file, depth first, by the importer of IPFS as it stands or by ours. */
export async function blocksOf(
  content: Uint8Array,
  profile?: 'unixfs-v1-2025',
): Promise<{ root: CID; blocks: readonly Block[] }> {
  const made = new Map<string, Uint8Array>()
  const put = async (cid: CID, bytes: unknown) => {
    if (bytes instanceof Uint8Array) made.set(cid.toString(), bytes.slice())
    return cid
  }
  const { cid: root } = profile
    ? await importBytes(content, { put }, { profile })
    : await importFile(sourceOf(content), async (cid, bytes) => void (await put(cid, bytes)))
  const blocks: Block[] = []
  const visit = (cid: CID) => {
    const bytes = made.get(cid.toString())
    if (!bytes) return
    made.delete(cid.toString())
    blocks.push({ cid, bytes })
    if (cid.code === dagPb.code) for (const link of dagPb.decode(bytes).Links) visit(link.Hash)
  }
  visit(root)
  return { root, blocks }
}

export const carOf = (root: CID, blocks: Iterable<Block>): AsyncGenerator<Uint8Array> =>
  sourceOf(encodeCar([root], blocks), 100_003)

async function readCar(source: AsyncIterable<Uint8Array>): Promise<{ roots: CID[]; blocks: Block[] }> {
  const reader = await CarReader.fromIterable(source)
  const blocks: Block[] = []
  for await (const block of reader.blocks()) blocks.push(block)
  return { roots: await reader.getRoots(), blocks }
}

const blockOf = async (bytes: Uint8Array, codec: number): Promise<Block> => {
  const cid = CID.createV1(codec, await sha256.digest(bytes))
  return { cid, bytes }
}

export function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('There is none.')
  return item
}
