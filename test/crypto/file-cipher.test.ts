import { readFileSync } from 'node:fs'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import t from 'tap'
import { nobleAead } from '#emrchain/crypto/aead-noble.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { decryptRange } from '#emrchain/crypto/decrypt-range.js'
import {
  type Aead,
  CHUNK_SIZE,
  chunkNonce,
  chunkRange,
  decryptFile,
  deriveFileSecrets,
  encryptedSize,
  encryptFile,
  FILE_CONTEXT,
  HEADER_SIZE,
  MAX_CHUNKS,
  openHeader,
  plainSize,
  SEALED_CHUNK_SIZE,
  TAG_SIZE,
} from '#emrchain/crypto/file-cipher.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { verifiedPrefix } from '#emrchain/crypto/verified-prefix.js'
import { type ErrorCode, isEmrError } from '#emrchain/errors.js'

interface Vector {
  name: string
  key: string
  salt: string
  context: string
  chunkKey: string
  baseNonce: string
  commitment: string
  plaintext: { text?: string; zeros?: number; counting?: number }
  size: number
  sha256: string
  encrypted?: string
}

const vectors: { cases: Vector[] } = JSON.parse(
  readFileSync(new URL('../../test/vectors/file-cipher.json', import.meta.url), 'utf8'),
)
const aeads: [string, Aead][] = [
  ['node', nodeAead],
  ['noble', nobleAead],
]
const key = Uint8Array.from({ length: 32 }, (_, i) => i)
const salt = Uint8Array.from({ length: 24 }, (_, i) => 0x40 + i)
const context = FILE_CONTEXT

/** Byte i is i mod 251, so that no two chunks are alike. */
const counting = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => i % 251)

function plaintextOf({ text, zeros, counting: size }: Vector['plaintext']): Uint8Array {
  if (text !== undefined) return new TextEncoder().encode(text)
  return zeros !== undefined ? new Uint8Array(zeros) : counting(size ?? 0)
}

/** The bytes in pieces of these sizes, in turn. */
async function* feed(bytes: Uint8Array, ...sizes: number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return Uint8Array.from(Buffer.concat(pieces))
}

const encrypt = (plain: Uint8Array, aead: Aead = nodeAead, ...sizes: number[]): Promise<Uint8Array> =>
  collect(encryptFile(feed(plain, ...sizes), { key, salt, context, aead }))

const decrypt = (encrypted: Uint8Array, aead: Aead = nodeAead, ...sizes: number[]): Promise<Uint8Array> =>
  collect(decryptFile(feed(encrypted, ...sizes), { key, context, aead }))

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** What comes out before the error, and the code of the error; `ok` if there is none. */
async function outcome(
  encrypted: Uint8Array,
  options: { key?: Uint8Array; context?: Uint8Array; aead?: Aead; sizes?: number[] } = {},
): Promise<{ code: ErrorCode | 'ok'; released: Uint8Array }> {
  const pieces: Uint8Array[] = []
  const { sizes = [SEALED_CHUNK_SIZE], ...given } = options
  try {
    for await (const piece of decryptFile(feed(encrypted, ...sizes), { key, context, aead: nodeAead, ...given })) {
      pieces.push(piece)
    }
    return { code: 'ok', released: Buffer.concat(pieces) }
  } catch (error) {
    if (!isEmrError(error)) throw error
    return { code: error.code, released: Buffer.concat(pieces) }
  }
}

const codeOf = (run: () => unknown): string => {
  try {
    run()
    return 'ok'
  } catch (error) {
    return isEmrError(error) ? error.code : String(error)
  }
}

t.test('known answers, forwards and backwards', async (t) => {
  for (const vector of vectors.cases) {
    const context = new TextEncoder().encode(vector.context)
    const key = hexToBytes(vector.key)
    const salt = hexToBytes(vector.salt)
    const plain = plaintextOf(vector.plaintext)

    const secrets = deriveFileSecrets(key, salt, context)
    t.equal(bytesToHex(secrets.chunkKey), vector.chunkKey, `${vector.name}: chunk key`)
    t.equal(bytesToHex(secrets.baseNonce), vector.baseNonce, `${vector.name}: base nonce`)
    t.equal(bytesToHex(secrets.commitment), vector.commitment, `${vector.name}: commitment`)

    for (const [name, aead] of aeads) {
      const encrypted = await collect(encryptFile(feed(plain), { key, salt, context, aead }))
      t.equal(encrypted.length, vector.size, `${vector.name}, ${name}: size`)
      t.equal(bytesToHex(sha256(encrypted)), vector.sha256, `${vector.name}, ${name}: all bytes`)
      if (vector.encrypted !== undefined) t.equal(bytesToHex(encrypted), vector.encrypted)
      const opened = await collect(decryptFile(feed(encrypted), { key, context, aead }))
      t.ok(sameBytes(opened, plain), `${vector.name}, ${name}: opens again`)
    }
  }
})

t.test('both ciphers and all feed sizes give the same bytes', async (t) => {
  for (const size of [0, 1, 16383, 16384, 16385, 20480, 2 ** 20 + 1]) {
    const plain = counting(size)
    const expected = await encrypt(plain)
    t.equal(expected.length, encryptedSize(size))
    t.ok(sameBytes(await encrypt(plain, nobleAead), expected), `${size}: noble encrypts alike`)
    t.ok(sameBytes(await decrypt(expected, nobleAead), plain), `${size}: noble decrypts`)

    const feeds = [[7919], [1, 16383, 2], [16384], [65536], [16400, 56], [0, 100_000], [13, 0, 40_000]]
    for (const sizes of size <= 20480 ? [...feeds, [1], [55, 1]] : feeds) {
      t.ok(sameBytes(await encrypt(plain, nodeAead, ...sizes), expected), `${size}: encrypted from ${sizes}`)
      t.ok(sameBytes(await decrypt(expected, nodeAead, ...sizes), plain), `${size}: decrypted from ${sizes}`)
    }
  }
})

t.test('without a salt, one is drawn for each file', async (t) => {
  const once = await collect(encryptFile(feed(counting(10)), { key, context, aead: nodeAead }))
  const again = await collect(encryptFile(feed(counting(10)), { key, context, aead: nodeAead }))
  t.notOk(sameBytes(once, again))
  t.ok(sameBytes(await decrypt(once), await decrypt(again)))
})

t.test('pieces out are whole chunks of at most about 1 MiB, whatever comes in', async (t) => {
  const sizes: number[] = []
  for await (const piece of encryptFile(feed(new Uint8Array(3 * 2 ** 20)), { key, context, aead: nodeAead })) {
    sizes.push(piece.length)
  }
  const group = 64 * SEALED_CHUNK_SIZE
  t.strictSame(sizes, [HEADER_SIZE, group, group, group, TAG_SIZE])
})

t.test('a consumer that stops closes the source', async (t) => {
  const encrypted = await encrypt(counting(100_000))
  let closed = false
  async function* source() {
    try {
      yield* feed(encrypted, 1000)
    } finally {
      closed = true
    }
  }
  for await (const piece of decryptFile(source(), { key, context, aead: nodeAead })) {
    t.equal(piece.length, CHUNK_SIZE)
    break
  }
  t.ok(closed)
})

t.test('an error of the source comes through as it is', async (t) => {
  const failure = new Error('disk')
  async function* source() {
    yield new Uint8Array(20_000)
    throw failure
  }
  await t.rejects(collect(encryptFile(source(), { key, context, aead: nodeAead })), failure)
  await t.rejects(
    collect(decryptFile(source(), { key, context, aead: nodeAead })),
    { code: 'cipher_wrong_key' },
    'the header is judged as soon as it is there',
  )
})

t.test('sizes', async (t) => {
  const valid = new Map<number, number>()
  for (let plain = 0; plain <= 2 * CHUNK_SIZE + 50; plain++) valid.set(encryptedSize(plain), plain)
  t.equal(valid.size, 2 * CHUNK_SIZE + 51, 'each size before has its own size after')

  let wrong = 0
  for (let total = 0; total < HEADER_SIZE + 2 * SEALED_CHUNK_SIZE + 50; total++) {
    const plain = valid.get(total)
    const answer = plain === undefined ? codeOf(() => plainSize(total)) : plainSize(total)
    if (answer !== (plain ?? 'cipher_truncated')) wrong++
  }
  t.equal(wrong, 0, 'every length is either of one file or of none')
  for (const total of [0, 55, 56, 71, 56 + 16400, 56 + 16400 + 15, 56 + 2 * 16400]) {
    t.equal(
      codeOf(() => plainSize(total)),
      'cipher_truncated',
      `${total}`,
    )
  }

  const largest = 2 ** 52 - 1
  t.equal(plainSize(encryptedSize(largest)), largest)
  t.equal(
    codeOf(() => encryptedSize(largest + 1)),
    'cipher_too_large',
  )
  t.equal(
    codeOf(() => plainSize(HEADER_SIZE + MAX_CHUNKS * SEALED_CHUNK_SIZE + TAG_SIZE)),
    'cipher_too_large',
  )
  for (const nonsense of [-1, 1.5, Number.NaN, 2 ** 53]) {
    t.throws(() => encryptedSize(nonsense), RangeError)
    t.throws(() => plainSize(nonsense), RangeError)
  }
})

t.test('nonces count to 2^38 and no further', async (t) => {
  const base = hexToBytes('98d0829412679da363a18600')
  const answers: [number, string][] = [
    [0, '98d0829412679da363a18600'],
    [1, '98d0829412679da363a18601'],
    [255, '98d0829412679da363a186ff'],
    [2 ** 31, '98d0829412679da3e3a18600'],
    [2 ** 32 - 1, '98d0829412679da39c5e79ff'],
    [2 ** 32, '98d0829412679da263a18600'],
    [2 ** 38 - 1, '98d0829412679d9c9c5e79ff'],
  ]
  for (const [index, nonce] of answers) t.equal(bytesToHex(chunkNonce(base, index)), nonce, `${index}`)
  t.equal(bytesToHex(base), '98d0829412679da363a18600', 'the base is left as it is')
  t.equal(
    codeOf(() => chunkNonce(base, 2 ** 38)),
    'cipher_too_large',
  )
})

t.test('a range is read from its own chunks alone', async (t) => {
  const plain = counting(5 * CHUNK_SIZE + 77)
  const encrypted = await encrypt(plain)
  const secrets = openHeader(encrypted.subarray(0, HEADER_SIZE), key, context)
  for (const [from, to] of [
    [0, 1],
    [CHUNK_SIZE - 1, CHUNK_SIZE + 1],
    [CHUNK_SIZE, 2 * CHUNK_SIZE],
    [3 * CHUNK_SIZE + 5, 5 * CHUNK_SIZE + 70],
    [5 * CHUNK_SIZE, 5 * CHUNK_SIZE + 77],
  ] as const) {
    const range = chunkRange(from, to)
    const bytes = encrypted.subarray(range.start, range.end)
    const opened: Uint8Array[] = []
    for (let chunk = range.firstChunk; chunk <= range.lastChunk; chunk++) {
      const at = (chunk - range.firstChunk) * SEALED_CHUNK_SIZE
      const sealed = bytes.subarray(at, at + SEALED_CHUNK_SIZE)
      const target = new Uint8Array(sealed.length - TAG_SIZE)
      t.ok(nodeAead.open(secrets.chunkKey, chunkNonce(secrets.baseNonce, chunk), sealed, target))
      opened.push(target)
    }
    const offset = from - range.firstChunk * CHUNK_SIZE
    const found = Buffer.concat(opened).subarray(offset, offset + to - from)
    t.ok(sameBytes(found, plain.subarray(from, to)), `${from} to ${to}`)
  }
  t.throws(() => chunkRange(5, 5), RangeError)
  t.throws(() => chunkRange(-1, 5), RangeError)
})

t.test('a range is decrypted from what its chunks are, and ends where the file ends', async (t) => {
  for (const size of [0, 5, CHUNK_SIZE, 3 * CHUNK_SIZE, 3 * CHUNK_SIZE + 9]) {
    const plain = counting(size)
    const encrypted = await collect(encryptFile(feed(plain, 50_000), { key, salt, context, aead: nodeAead }))
    const secrets = openHeader(encrypted.subarray(0, HEADER_SIZE), key, context)
    const places = [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, size - 1, size, size + 5]
    for (const start of places.filter((place) => place >= 0)) {
      for (const end of [...places.filter((place) => place > start), undefined]) {
        const range = chunkRange(start, end ?? start + 1)
        const sent = encrypted.subarray(range.start, end === undefined ? encrypted.length : range.end)
        const open = (bytes: Uint8Array) =>
          collect(decryptRange(feed(bytes, 9_000), { secrets, aead: nodeAead, start, end }))
        const what = `${start} to ${end} of ${size}`
        if (range.start >= encrypted.length) await t.rejects(open(sent), { code: 'cipher_truncated' }, what)
        else if (start >= size) await t.rejects(open(sent), { code: 'range_unsatisfiable' }, what)
        else {
          t.ok(sameBytes(await open(sent), plain.subarray(start, end)), what)
          const changed = Uint8Array.from(sent)
          changed[20] = (changed[20] ?? 0) ^ 1
          await t.rejects(open(changed), { code: /^cipher_(damaged|truncated)$/ }, `${what}, altered`)
          await t.rejects(open(sent.subarray(0, -1)), { code: /^cipher_(damaged|truncated)$/ }, `${what}, cut`)
          if (sent.length > SEALED_CHUNK_SIZE) {
            const less = sent.subarray(0, SEALED_CHUNK_SIZE)
            await t.rejects(open(less), { code: 'cipher_truncated' }, `${what}, without its last chunks`)
            await t.rejects(open(sent.subarray(SEALED_CHUNK_SIZE)), { code: /^cipher_/ }, `${what}, shifted`)
          }
        }
      }
    }
  }
})

t.test('what is right of the beginning of a file is found', async (t) => {
  const whole = await collect(
    encryptFile(feed(counting(130 * CHUNK_SIZE + 100), 50_000), { key, salt, context, aead: nodeAead }),
  )
  const check = (bytes: Uint8Array, with_ = key) =>
    verifiedPrefix(feed(bytes, 300_000), { key: with_, context, aead: nodeAead })
  const chunks = (count: number): number => HEADER_SIZE + count * SEALED_CHUNK_SIZE
  t.same(await check(whole), { size: whole.length, isWhole: true })
  for (const [cut, right] of [
    [0, 0],
    [HEADER_SIZE - 1, 0],
    [HEADER_SIZE, HEADER_SIZE],
    [chunks(1) - 1, HEADER_SIZE],
    [chunks(1), chunks(1)],
    [chunks(100) + 5000, chunks(100)],
    [chunks(130), chunks(130)],
    [whole.length - 1, chunks(130)],
  ] as const) {
    t.same(await check(whole.subarray(0, cut)), { size: right, isWhole: false }, `cut at ${cut}`)
  }
  for (const [at, right] of [
    [3, 0],
    [HEADER_SIZE, HEADER_SIZE],
    [chunks(70) + 16_390, chunks(70)],
    [whole.length - 1, chunks(130)],
  ] as const) {
    const flipped = Uint8Array.from(whole)
    flipped[at] = (flipped[at] ?? 0) ^ 1
    t.same(await check(flipped), { size: right, isWhole: false }, `flipped at ${at}`)
  }
  const behind = new Uint8Array(whole.length + 40_000)
  behind.set(whole)
  t.same(await check(behind), { size: chunks(130), isWhole: false }, 'bytes behind the end')
  t.same(await check(whole, new Uint8Array(32)), { size: 0, isWhole: false }, 'of another key')
})

t.test('keys and salts of a wrong length are refused before any work', async (t) => {
  t.throws(() => deriveFileSecrets(key.subarray(1), salt, context), RangeError)
  t.throws(() => deriveFileSecrets(key, salt.subarray(1), context), RangeError)
  await t.rejects(collect(encryptFile(feed(key), { key: new Uint8Array(16), context, aead: nodeAead })), RangeError)
})

t.test('another key or context opens nothing', async (t) => {
  const encrypted = await encrypt(counting(40_000))
  const otherKey = Uint8Array.from(key)
  otherKey[31] = 0
  for (const [name, aead] of aeads) {
    for (const options of [{ key: otherKey }, { context: new Uint8Array(0) }, { context: context.subarray(0, 15) }]) {
      const { code, released } = await outcome(encrypted, { aead, ...options })
      t.equal(code, 'cipher_wrong_key', name)
      t.equal(released.length, 0)
    }
  }
})

t.test('a flipped bit in each region', async (t) => {
  const plain = counting(2 * CHUNK_SIZE + 100)
  const encrypted = await encrypt(plain)
  const second = HEADER_SIZE + SEALED_CHUNK_SIZE
  const last = HEADER_SIZE + 2 * SEALED_CHUNK_SIZE
  const regions: [string, number, ErrorCode, number][] = [
    ['first byte of the salt', 0, 'cipher_wrong_key', 0],
    ['last byte of the salt', 23, 'cipher_wrong_key', 0],
    ['first byte of the commitment', 24, 'cipher_wrong_key', 0],
    ['last byte of the commitment', 55, 'cipher_wrong_key', 0],
    ['first byte of the first chunk', 56, 'cipher_damaged', 0],
    ['last byte of the first chunk', second - TAG_SIZE - 1, 'cipher_damaged', 0],
    ['first byte of the first tag', second - TAG_SIZE, 'cipher_damaged', 0],
    ['last byte of the first tag', second - 1, 'cipher_damaged', 0],
    ['second chunk', second + 9000, 'cipher_damaged', 1],
    ['second tag', last - 5, 'cipher_damaged', 1],
    ['last chunk', last, 'cipher_damaged', 2],
    ['last tag', encrypted.length - 1, 'cipher_damaged', 2],
  ]
  for (const [name, aead] of aeads) {
    for (const [region, at, expected, chunksBefore] of regions) {
      for (const bit of [0, 7]) {
        const altered = Uint8Array.from(encrypted)
        altered[at] = (altered[at] ?? 0) ^ (1 << bit)
        // Fed chunk by chunk behind the header, so that what is sound comes out first.
        const { code, released } = await outcome(altered, { aead, sizes: [HEADER_SIZE, ...Array(9).fill(16400)] })
        t.equal(code, expected, `${name}: ${region}, bit ${bit}`)
        t.ok(sameBytes(released, plain.subarray(0, chunksBefore * CHUNK_SIZE)), 'no more than the chunks before it')
      }
    }
  }
})

t.test('cut anywhere around the borders of chunks', async (t) => {
  for (const size of [0, 100, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 2 * CHUNK_SIZE + 500]) {
    const plain = counting(size)
    const encrypted = await encrypt(plain)
    const borders = [0, 24, HEADER_SIZE, 72]
    for (let at = HEADER_SIZE; at <= encrypted.length; at += SEALED_CHUNK_SIZE) borders.push(at, at + TAG_SIZE)
    borders.push(encrypted.length)
    const cuts = new Set(borders.flatMap((border) => [-17, -16, -15, -2, -1, 0, 1, 2, 15, 17].map((d) => border + d)))
    for (const cut of cuts) {
      if (cut < 0 || cut >= encrypted.length) continue
      const last = (cut - HEADER_SIZE) % SEALED_CHUNK_SIZE
      const { code, released } = await outcome(encrypted.subarray(0, cut))
      t.equal(code, last < TAG_SIZE ? 'cipher_truncated' : 'cipher_damaged', `${size} bytes cut to ${cut}`)
      t.ok(sameBytes(released, plain.subarray(0, released.length)), 'what came out is authentic')
    }
  }
})

t.test('chunks swapped, dropped, doubled, from another file; bytes behind the end', async (t) => {
  const plain = counting(3 * CHUNK_SIZE + 100)
  const encrypted = await encrypt(plain)
  const header = encrypted.subarray(0, HEADER_SIZE)
  const chunk = (i: number, from = encrypted) =>
    from.subarray(HEADER_SIZE + i * SEALED_CHUNK_SIZE, HEADER_SIZE + (i + 1) * SEALED_CHUNK_SIZE)
  const [a, b, c, last] = [chunk(0), chunk(1), chunk(2), chunk(3)]
  t.equal((await outcome(Buffer.concat([header, a, b, c, last]))).code, 'ok')

  const foreign = await collect(encryptFile(feed(plain), { key, context, aead: nodeAead }))
  const cases: [string, Uint8Array[], ErrorCode][] = [
    ['first two swapped', [b, a, c, last], 'cipher_damaged'],
    ['later two swapped', [a, c, b, last], 'cipher_damaged'],
    ['last moved forward', [a, last, b, c], 'cipher_damaged'],
    ['first dropped', [b, c, last], 'cipher_damaged'],
    ['middle dropped', [a, c, last], 'cipher_damaged'],
    ['last dropped', [a, b, c], 'cipher_truncated'],
    ['all dropped', [], 'cipher_truncated'],
    ['first doubled', [a, a, b, c, last], 'cipher_damaged'],
    ['middle doubled', [a, b, b, c, last], 'cipher_damaged'],
    ['last doubled', [a, b, c, last, last], 'cipher_damaged'],
    ['chunk of another file under the same key', [a, chunk(1, foreign), c, last], 'cipher_damaged'],
    ['one byte behind the end', [a, b, c, last, new Uint8Array(1)], 'cipher_damaged'],
    ['a tag behind the end', [a, b, c, last, new Uint8Array(16)], 'cipher_damaged'],
    ['filled up to a full chunk', [a, b, c, last, new Uint8Array(16400 - last.length)], 'cipher_damaged'],
    ['a full chunk behind the end', [a, b, c, last, new Uint8Array(16400)], 'cipher_damaged'],
  ]
  for (const [name, chunks, expected] of cases) {
    const altered = Buffer.concat([header, ...chunks])
    for (const sizes of [[altered.length], [SEALED_CHUNK_SIZE], [997]]) {
      const { code, released } = await outcome(altered, { sizes })
      t.equal(code, expected, `${name}, fed ${sizes}`)
      t.ok(sameBytes(released, plain.subarray(0, released.length)), 'what came out is authentic')
    }
  }
})
