import t from 'tap'
import { createBlockBuffers } from '#emrchain/files/block-buffers.js'
import { verifyCar } from '#emrchain/files/verify-car.js'
import { encodeCar } from '#emrchain/protocol/car.js'
import { type Block, bytesOf, keystream, sourceOf } from '../fixtures/file-content.js'
import { blocksOf, first } from './file-store-suite.js'

const KIB_256 = 256 * 1024

t.test('however the CAR is cut, the same blocks come', async (t) => {
  const small = await blocksOf(Buffer.from('hello world'))
  const large = await blocksOf(await bytesOf(keystream(KIB_256 + 5, 'cut')))
  const cuts = [
    { ...small, lengths: [1, 7, 58, 59, 60] },
    { ...large, lengths: [1021, 65_536, KIB_256 + 14, 2 * KIB_256] },
  ]
  for (const { root, blocks, lengths } of cuts) {
    for (const length of lengths) {
      const found: Block[] = []
      for await (const { cid, bytes } of verifyCar(
        root,
        withEmptyPieces(sourceOf(encodeCar([root], blocks), length)),
      )) {
        found.push({ cid, bytes: Buffer.from(bytes) })
      }
      t.ok(Buffer.from(encodeCar([root], found)).equals(encodeCar([root], blocks)), `in pieces of ${length}`)
    }
  }
})

t.test('a consumer that gives memory back gets all blocks in little of it', async (t) => {
  const repeated = Buffer.alloc(3 * KIB_256, 1)
  const content = Buffer.concat([repeated, await bytesOf(keystream(40 * KIB_256, 'memory'))])
  const { root, blocks } = await blocksOf(content)
  const car = encodeCar([root], blocks.toSpliced(2, 0, blocks[1] ?? first(blocks), blocks[1] ?? first(blocks)))
  const buffers = createBlockBuffers()
  const used = new Set<ArrayBufferLike>()
  const found: Block[] = []
  for await (const { cid, bytes } of verifyCar(root, sourceOf(car), { buffers })) {
    found.push({ cid, bytes: Buffer.from(bytes) })
    if (bytes.length >= KIB_256) used.add(bytes.buffer)
    buffers.giveBack(bytes)
  }
  t.ok(Buffer.from(encodeCar([root], found)).equals(encodeCar([root], blocks)), 'each block once')
  t.equal(used.size, 1, 'all leaves came in one buffer')
})

t.test('no length that the sender writes takes memory', async (t) => {
  const { root } = await blocksOf(Buffer.from('hello world'))
  const header = encodeCar([root], [])
  const refused = (bytes: string, code: string) =>
    t.rejects(consume(verifyCar(root, sourceOf(Buffer.concat([header, Buffer.from(bytes, 'hex')])))), { code })
  await refused('ffffffff7f1220', 'car_incomplete')
  await refused(`ffffffff7f1220${'00'.repeat(32)}ff`, 'malformed_car')
  // A CID whose digest is said to have 64 MiB.
  await refused(`ffffffff7f015512808080200000`, 'malformed_car')
})

async function consume(blocks: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of blocks);
}

async function* withEmptyPieces(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield new Uint8Array(0)
    yield piece
  }
}
