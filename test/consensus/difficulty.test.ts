import fc from 'fast-check'
import t from 'tap'
import { type AsertInput, asertTarget } from '#emrchain/consensus/asert.js'
import { checkHeader } from '#emrchain/consensus/check-header.js'
import { expectedTarget, workOf } from '#emrchain/consensus/difficulty.js'
import { compactToHex, compactToTarget, targetToCompact } from '#emrchain/protocol/compact-target.js'
import { paperNetwork, parseNetworkFile } from '#emrchain/protocol/network-parameters.js'
import { fencedBlocks, readDocument } from '../docs/markdown.js'
import { asertNetworkFile, createBlockMaker, openChain, rules } from '../fixtures/block-maker.js'
import { createRandom, type Random } from '../fixtures/random.js'

/** The rule `asert`: the published numbers of aserti3-2d, its properties, and blocks that break it. */

const compactOf = (input: AsertInput): string => compactToHex(targetToCompact(asertTarget(input)))
const numberOf = (compact: string): bigint => compactToTarget(Number.parseInt(compact, 16))
const spacing = 600
const halfLife = 172_800
/** The limit of Bitcoin Cash, which has no compact form: it is rounded to 1d00ffff. */
const bitcoinLimit = (1n << 224n) - 1n

t.test('the published runs of aserti3-2d', async (t) => {
  const bitcoin = (anchor: string, timeDiff: number, heightDiff: number): string =>
    compactOf({ anchorTarget: numberOf(anchor), limit: bitcoinLimit, spacing, halfLife, timeDiff, heightDiff })
  for (let block = 1; block <= 10; block++) {
    t.equal(bitcoin('1d00ffff', 600 * (block + 1), block), '1d00ffff', `run 1, iteration ${block}: on schedule`)
  }
  const run5 = new Map([
    [1, '1d00fec5'],
    [2, '1c7f62c0'],
    [3, '1c3fb160'],
    [9, '1c00fec5'],
    [100, '101fd8b0'],
    [201, '0400fec5'],
    [209, '0300fec5'],
    [210, '027f6200'],
    [217, '0200fe00'],
    [218, '017f0000'],
    [223, '01030000'],
    [224, '01010000'],
    [225, '01010000'],
  ])
  for (const [iteration, target] of run5) {
    const height = 2 + 288 * (iteration - 1)
    t.equal(bitcoin('1d00ffff', 0, height - 1), target, `run 5, iteration ${iteration}: half-lives without time`)
  }
  const run9 = '1802ae16 1802ad44 1802ac71 1802ab9e 1802aacd 1802a9fa 1802a929 1802a858 1802a787 1802a6b7'.split(' ')
  for (const [at, target] of run9.entries()) {
    t.equal(bitcoin('1802aee8', 900 + 300 * at, 1 + at), target, `run 9, iteration ${at + 1}: blocks of 300 s`)
  }
})

t.test('the published single steps', async (t) => {
  const day = 144
  const cases: readonly [anchorTarget: bigint, timeDiff: number, heightDiff: number, next: bigint, compact: string][] =
    [
      [bitcoinLimit, 0, 2 * day, bitcoinLimit >> 1n, '1c7fffff'],
      [bitcoinLimit, 0, 4 * day, bitcoinLimit >> 2n, '1c3fffff'],
      [bitcoinLimit >> 1n, 0, 2 * day, bitcoinLimit >> 2n, '1c3fffff'],
      [bitcoinLimit >> 3n, 0, 2 * day, bitcoinLimit >> 4n, '1c0fffff'],
      [bitcoinLimit, 0, 2 * (256 - 34) * day, 3n, '01030000'],
      [bitcoinLimit, 0, 2 * (256 - 34) * day + 119, 3n, '01030000'],
      [bitcoinLimit, 0, 2 * (256 - 34) * day + 120, 2n, '01020000'],
      [bitcoinLimit, 0, 2 * (256 - 33) * day - 1, 2n, '01020000'],
      [bitcoinLimit, 0, 2 * (256 - 33) * day, 1n, '01010000'],
      [bitcoinLimit, 0, 2 * (256 - 32) * day, 1n, '01010000'],
      [1n, 0, 2 * (256 - 32) * day, 1n, '01010000'],
      [bitcoinLimit, 2 * (512 - 32) * day, 0, bitcoinLimit, '1d00ffff'],
      [1n, (512 - 64) * day * 600, 0, bitcoinLimit, '1d00ffff'],
      [bitcoinLimit, 300, 1, BigInt(`0x00000000ffb1${'f'.repeat(52)}`), '1d00ffb1'],
      [BigInt(`0x000000008000000000000000000${'f'.repeat(37)}`), 600 * 2 * 33 * day, 0, bitcoinLimit, '1d00ffff'],
      [1n, 600 * 2 * 256 * day, 0, bitcoinLimit, '1d00ffff'],
      [1n, 600 * 2 * 224 * day - 1, 0, 0xffff8n << 204n, '1d00ffff'],
    ]
  for (const [anchorTarget, timeDiff, heightDiff, next, compact] of cases) {
    const input = { anchorTarget, limit: bitcoinLimit, spacing, halfLife, timeDiff: 600 + timeDiff, heightDiff }
    t.equal(asertTarget(input), next, `${anchorTarget.toString(16)} after ${timeDiff} s and ${heightDiff} blocks`)
    t.equal(compactOf(input), compact)
  }
})

t.test('the table of docs/protocol.md', async (t) => {
  const network = parseNetworkFile({
    ...paperNetwork,
    difficulty: { rule: 'asert', target: '1e7fffff', limit: '1f7fffff', spacing: 10_000, halfLife: 3_600_000 },
  })
  const page = readDocument('docs/protocol.md')
  const rows = [...page.matchAll(/^\| ([\d,]+) \| ([\d,]+) \| `([0-9a-f]{8})` \|.*\|$/gm)]
  const whole = (text = ''): number => Number(text.replaceAll(',', ''))
  t.equal(rows.length, 6)
  for (const [row, height, time, target] of rows) {
    const parent = { height: whole(height), time: network.genesisTime + whole(time) }
    t.equal(compactToHex(expectedTarget(network, parent)), target, row)
  }
})

t.test('the network files of docs/operations.md', async (t) => {
  const files = fencedBlocks(readDocument('docs/operations.md')).filter(({ text }) => text.includes('"difficulty"'))
  const networks = files.map(({ text }) => parseNetworkFile(JSON.parse(text)))
  t.match(networks, [{ difficulty: { rule: 'fixed' } }, { difficulty: { rule: 'asert', spacing: 10_000 } }])
  t.equal(workOf(networks[1]?.target ?? 0), 16_777_472n, '16.8 million hashes')
  const { difficulty } = networks[1] ?? {}
  t.equal(difficulty?.rule === 'asert' && workOf(difficulty.limit), 524_288n)
})

t.test('what holds for every network', async (t) => {
  const anyInput = fc.record({
    anchorTarget: fc.bigInt({ min: 1n, max: 1n << 255n }),
    spacing: fc.integer({ min: 100, max: 86_400_000 }),
    halfLife: fc.integer({ min: 1_000, max: 2_592_000_000 }),
    timeDiff: fc.integer({ min: -(2 ** 45), max: 2 ** 53 - 1 }),
    heightDiff: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    limit: fc.bigInt({ min: 1n, max: 1n << 255n }),
  })
  const runs = { numRuns: 2_000 }
  fc.assert(
    fc.property(anyInput, (input) => {
      const target = asertTarget(input)
      return target >= 1n && target <= input.limit
    }),
    runs,
  )
  t.pass('the target is 1 at least and the limit at most')
  fc.assert(
    fc.property(anyInput, fc.integer({ min: 1, max: 2 ** 40 }), (input, more) => {
      const later = { ...input, timeDiff: input.timeDiff + more }
      const further = { ...input, heightDiff: input.heightDiff + 1 }
      return asertTarget(later) >= asertTarget(input) && asertTarget(further) <= asertTarget(input)
    }),
    runs,
  )
  t.pass('later is never harder, one block more never easier')
  fc.assert(
    fc.property(anyInput, fc.integer({ min: 0, max: 40 }), (input, halfLives) => {
      const { anchorTarget, spacing, halfLife } = input
      const heightDiff = input.heightDiff % 2 ** 20
      const onSchedule = spacing * (heightDiff + 1)
      const limit = 1n << 400n
      const at = (timeDiff: number): bigint => asertTarget({ ...input, heightDiff, limit, timeDiff })
      const earlier = anchorTarget >> BigInt(halfLives)
      return (
        at(onSchedule) === anchorTarget &&
        at(onSchedule + halfLives * halfLife) === anchorTarget << BigInt(halfLives) &&
        at(onSchedule - halfLives * halfLife) === (earlier === 0n ? 1n : earlier)
      )
    }),
    runs,
  )
  t.pass('on schedule the anchor, a half-life late twice as much, a half-life early half')
})

/** Seconds that a block takes: exponential, as the search for a nonce is. */
const searchTime = (random: Random, work: bigint, hashesPerSecond: number): number =>
  (-Math.log(random.whole(1, 2 ** 31) / 2 ** 31) * Number(work)) / hashesPerSecond

t.test('it follows the hash rate, and a loss of 19 of 20 parts is made up', async (t) => {
  const network = parseNetworkFile({
    ...paperNetwork,
    difficulty: { rule: 'asert', target: '1e7fffff', limit: '1f7fffff', spacing: 10_000, halfLife: 600_000 },
  })
  const fits = Number(workOf(network.target)) / 10
  const random = createRandom(3)
  let parent = { height: 0, time: network.genesisTime }
  const mine = (blocks: number, hashesPerSecond: number): number => {
    const start = parent.time
    for (let n = 0; n < blocks; n++) {
      const seconds = searchTime(random, workOf(expectedTarget(network, parent)), hashesPerSecond)
      parent = { height: parent.height + 1, time: parent.time + Math.max(1, Math.round(seconds * 1_000)) }
    }
    return (parent.time - start) / 1_000 / blocks
  }
  t.ok(Math.abs(mine(5_000, fits) - 10) < 0.5, 'steady: a block takes 10 s')
  mine(3_000, fits * 20)
  t.ok(Math.abs(mine(5_000, fits * 20) - 10) < 0.5, 'with 20 times the rate too, once it has settled')
  const lost = parent.time
  let block = mine(1, fits)
  let slow = 0
  for (; parent.time < lost + 4 * 3_600_000; slow++) {
    if (workOf(expectedTarget(network, parent)) <= 2n * workOf(network.target)) break
    block = mine(1, fits)
  }
  const minutes = (parent.time - lost) / 60_000
  t.ok(
    minutes > 10 && minutes < 90,
    `${minutes.toFixed(0)} minutes and ${slow} blocks after the loss, ${block.toFixed(0)} s`,
  )
  mine(500, fits)
  t.ok(Math.abs(mine(5_000, fits) - 10) < 0.5, 'a block takes 10 s again')
})

t.test('a header with another target is refused, an easier and a harder one', async (t) => {
  const maker = createBlockMaker(asertNetworkFile)
  const { chain } = await openChain(t, maker)
  const { network, genesis } = maker
  let parent = genesis
  const seen = new Set<number>()
  for (const pause of [1_000, 10, 10, 10, 10, 40_000, 1_000, 60_000]) {
    const right = expectedTarget(network, parent)
    seen.add(right)
    for (const wrong of [right - 1, right + 1, 0x207fffff, network.target].filter((target) => target !== right)) {
      const block = maker.block(parent, [], { header: { target: wrong, time: parent.time + pause } })
      const facts = { target: compactToHex(wrong), expected: compactToHex(right) }
      await t.rejects(chain.addBlock(block), { code: 'header_wrong_target', facts }, compactToHex(wrong))
      t.throws(() => checkHeader(block, parent, { network, rules, now: block.header.time }), {
        code: 'header_wrong_target',
      })
    }
    const { work } = chain.tip()
    const block = maker.block(parent, [], { header: { time: parent.time + pause } })
    t.equal(await chain.addBlock(block), 'connected')
    t.equal(chain.tip().work, work + workOf(right), 'the work is that of its own target')
    parent = block.header
  }
  t.ok(seen.size >= 6, `${seen.size} targets`)
})

t.test('the branch with more work wins, also with fewer blocks', async (t) => {
  const maker = createBlockMaker(asertNetworkFile)
  const { chain } = await openChain(t, maker)
  const branch = (pauses: readonly number[]) => {
    let parent = maker.genesis
    return pauses.map((pause) => {
      const block = maker.block(parent, [], { header: { time: parent.time + pause } })
      parent = block.header
      return block
    })
  }
  const easy = branch([50_000, 50_000, 1_000, 1_000])
  const hard = branch([1, 1, 1])
  for (const block of easy) t.equal(await chain.addBlock(block), 'connected')
  const outcomes = []
  await chain.addHeaders(hard)
  for (const block of hard) outcomes.push(await chain.addBlock(block))
  t.ok(chain.tip().header.id.equals(hard.at(-1)?.header.id), 'three hard blocks beat four easy ones')
  t.ok(outcomes.includes('connected'))
})
