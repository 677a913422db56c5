import { createHash, randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { EmrError } from '#emrchain/errors.js'
import { type HashKernel, headerLength, nonceLimit } from '#emrchain/mining/kernel.js'
import { createNativeKernel } from '#emrchain/mining/native-kernel.js'
import { createScriptSearch } from '#emrchain/mining/script-search.js'
import { createSearchKernel } from '#emrchain/mining/search-kernel.js'
import { createVectorSearch } from '#emrchain/mining/vector-search.js'

// Every kernel goes through the same checks; a faster one is added to this list.
const kernels: Record<string, () => HashKernel> = {
  native: createNativeKernel,
  vector: () => {
    const search = createVectorSearch()
    if (!search) throw new Error('This machine has no vectors.')
    return createSearchKernel(search)
  },
  script: () => createSearchKernel(createScriptSearch()),
}

/** About one nonce in 16 meets this: a sparse target would not show a kernel that skips or repeats nonces. */
const denseTarget = Buffer.from(`0f${'ff'.repeat(31)}`, 'hex')
const nonces = 65_536

const digestWith = (header: Buffer, nonce: number): Buffer => {
  const copy = Buffer.from(header)
  copy.writeBigUInt64BE(BigInt(nonce), headerLength - 8)
  return createHash('sha256').update(copy).digest()
}

const code = (wanted: string) => (error: EmrError) => error.code === wanted

const throwsCode = (t: Test, wanted: string, call: () => unknown): void => {
  try {
    call()
    t.fail(`should throw ${wanted}`)
  } catch (error) {
    t.ok(code(wanted)(error as EmrError), `throws ${wanted}`)
  }
}

/** Some headers, with all nonces that plain SHA-256 finds for them. */
const searches = Array.from({ length: 3 }, () => {
  const header = randomBytes(headerLength)
  const expected: number[] = []
  for (let nonce = 0; nonce < nonces; nonce++) {
    if (digestWith(header, nonce).compare(denseTarget) <= 0) expected.push(nonce)
  }
  return { header, expected }
})

for (const [name, createKernel] of Object.entries(kernels)) {
  t.test(`${name} kernel finds every nonce that plain SHA-256 finds, and no other`, async (t) => {
    for (const { header, expected } of searches) {
      t.ok(expected.length > 3500 && expected.length < 4700, 'the target is dense')

      const kernel = createKernel()
      kernel.set(header, denseTarget)
      const found: number[] = []
      // Slices of an odd length, so that hits fall on first, last and unaligned places.
      for (let start = 0; start < nonces; ) {
        const count = Math.min(1021, nonces - start)
        const nonce = kernel.scan(start, count)
        if (nonce !== -1) found.push(nonce)
        start = nonce === -1 ? start + count : nonce + 1
      }
      t.same(found, expected)
    }
  })

  t.test(`${name} kernel takes the target as inclusive and in all its 32 bytes`, async (t) => {
    const header = randomBytes(headerLength)
    const digest = digestWith(header, 77)
    const below = Buffer.from((BigInt(`0x${digest.toString('hex')}`) - 1n).toString(16).padStart(64, '0'), 'hex')
    const kernel = createKernel()
    kernel.set(header, digest)
    t.equal(kernel.scan(77, 1), 77, 'a digest equal to the target meets it')
    kernel.set(header, below)
    t.equal(kernel.scan(77, 1), -1, 'a digest one above the target does not')
  })

  t.test(`${name} kernel covers 48 bits, and copies what it is given`, async (t) => {
    const header = randomBytes(headerLength)
    const everything = Buffer.alloc(32, 0xff)
    const kernel = createKernel()
    for (const nonce of [0, 1, 2 ** 32 - 1, 2 ** 32, nonceLimit - 1]) {
      const digest = digestWith(header, nonce)
      kernel.set(header, digest)
      t.equal(kernel.scan(nonce, 1), nonce, `nonce ${nonce}`)
    }
    // The search goes over the boundary of a 32-bit word.
    const target = digestWith(header, 2 ** 32 + 3)
    kernel.set(header, target)
    const first = kernel.scan(2 ** 32 - 5, 9)
    t.ok(digestWith(header, first).compare(target) <= 0, 'the hit across the boundary is a real one')
    t.ok(first <= 2 ** 32 + 3)

    kernel.set(header, everything)
    t.equal(kernel.scan(5, 0), -1, 'an empty range has no hit')
    const copy = Buffer.from(header)
    const digest = digestWith(copy, 9)
    kernel.set(copy, digest)
    copy.fill(0)
    digest.fill(0)
    t.equal(kernel.scan(9, 1), 9, 'later changes of the caller have no effect')
  })

  t.test(`${name} kernel refuses what it cannot search`, async (t) => {
    const kernel = createKernel()
    throwsCode(t, 'internal', () => kernel.scan(0, 1))
    throwsCode(t, 'header_malformed', () => kernel.set(Buffer.alloc(179), Buffer.alloc(32)))
    throwsCode(t, 'header_bad_target', () => kernel.set(Buffer.alloc(180), Buffer.alloc(31)))
    kernel.set(Buffer.alloc(180), Buffer.alloc(32))
    throwsCode(t, 'internal', () => kernel.scan(nonceLimit - 1, 2))
    throwsCode(t, 'internal', () => kernel.scan(-1, 1))
  })
}
