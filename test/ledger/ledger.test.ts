import { open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createDatabase } from '#emrchain/ledger/database.js'
import { parseSection } from '#emrchain/ledger/section.js'
import {
  byName,
  byUser,
  child,
  copyFolder,
  extend,
  genesis,
  idsOf,
  openExample,
  readMainChain,
  record,
  straightChain,
  toSection,
} from './example-chain.js'

const heightsAndPositions = (matches: Iterable<{ height: number; position: number }>): [number, number][] =>
  [...matches].map(({ height, position }) => [height, position])

t.test('a new folder holds genesis; a closed one opens as it was', async (t) => {
  const folder = join(t.testdir(), 'a')
  const first = await openExample(folder)
  t.same(await readMainChain(first), idsOf([genesis]))
  t.match(first.recovery, { stateLost: false, cutBytes: 0 })
  t.equal(first.tip().signature, null)
  const blocks = straightChain(9)
  await extend(first, blocks)
  await first.state.settings.put('store', { kind: 'kubo' })
  await first.close()

  const again = await openExample(folder)
  t.same(await readMainChain(again), idsOf([genesis, ...blocks]))
  t.same(again.recovery, { cutBytes: 0, indexRebuilt: null, stateLost: false, indexedBlocks: 0, checkedBlocks: 6 })
  t.same(again.state.settings.get('store'), { kind: 'kubo' })
  t.equal(again.tip().totalWork, 9n)
  t.ok(again.tip().signature)
  await again.close()
  await t.rejects(again.moveTip(genesis.facts.id), { code: 'closing' })
})

for (const lost of [['index'], ['state'], ['index', 'state']]) {
  t.test(`${lost.join(' and ')} can be deleted`, async (t) => {
    const folder = t.testdir()
    const before = await openExample(folder)
    const [one, two, ...rest] = straightChain(6)
    if (!one || !two) throw new Error('unreachable')
    await extend(before, [one, two])
    const loser = child(one, [record('lost')])
    await before.appendBlock(loser.sections)
    await extend(before, rest)
    await before.close()
    for (const name of lost) await rm(join(folder, name), { recursive: true })

    const after = await openExample(folder)
    t.same(await readMainChain(after), idsOf([genesis, one, two, ...rest]))
    t.equal(after.recovery.stateLost, lost.includes('state'))
    t.type(after.recovery.indexRebuilt, 'string')
    t.equal(after.recovery.indexedBlocks, 8)
    t.same(
      after.staleBlocks().map(({ id }) => id.toString()),
      idsOf([loser]),
    )
    t.equal(after.newest(byName('lost'), { limit: 5 }).length, 0)
    t.equal(after.newest(byName('r6'), { limit: 5 }).length, 1)
    await after.close()
  })
}

t.test('with the state lost the better branch is the main chain, wherever it lies in the file', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(folder)
  const heavy = child(genesis, [record('heavy')], 9)
  const light = straightChain(3)
  await ledger.appendBlock(heavy.sections)
  await extend(ledger, light)
  t.same(await readMainChain(ledger), idsOf([genesis, ...light]))
  await ledger.close()
  await rm(join(folder, 'state'), { recursive: true })
  const again = await openExample(folder)
  t.same(await readMainChain(again), idsOf([genesis, heavy]))
  await again.close()
})

t.test('a reorganisation is one step for readers and for the disk', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(folder)
  const shared = record('shared')
  const fork = child(genesis, [record('base')])
  const a1 = child(fork, [shared, record('only', 'a')])
  const a2 = child(a1, [record('x', 'a', 1)])
  const b1 = child(fork, [record('x', 'b', 2)])
  const b2 = child(b1, [record('only', 'b'), shared])
  const b3 = child(b2, [record('x', 'b', 3), record('x', 'b', 4)])
  await extend(ledger, [fork, a1, a2])
  t.match(ledger.confirmation(shared.cid), { height: 2, position: 0 })
  await ledger.appendBlocks([b1, b2, b3])
  t.equal(ledger.tip().id.toString(), a2.facts.id.toString(), 'appending moves nothing')
  t.equal(ledger.appearances(shared.cid).length, 2)
  t.match(ledger.confirmation(shared.cid), { height: 2, block: a1.facts.id })

  // What any reader between two turns of the event loop sees is the old chain or the new one, whole.
  const back = record('x', 'a', 1)
  await ledger.state.putPending(record('waiting').cid, record('waiting').bytes)
  let moving = true
  const moved = ledger.moveTip(b3.facts.id, { restore: [{ id: back.cid, bytes: back.bytes }] }).finally(() => {
    moving = false
  })
  const seen = new Set<string>()
  do {
    const chain: string[] = []
    for (let height = 0; height <= ledger.tip().height; height++) chain.push(String(ledger.blockAt(height)?.id))
    const labels = heightsAndPositions(ledger.newest(byName('x'), { limit: 9 }))
    seen.add(JSON.stringify([chain, labels]))
    await new Promise((resolve) => setImmediate(resolve))
  } while (moving)
  await moved
  const sights = new Set([
    JSON.stringify([idsOf([genesis, fork, a1, a2]), [[3, 0]]]),
    JSON.stringify([
      idsOf([genesis, fork, b1, b2, b3]),
      [
        [4, 1],
        [4, 0],
        [2, 0],
      ],
    ]),
  ])
  for (const sight of seen) t.ok(sights.has(sight), 'old or new')

  const check = (now: typeof ledger): void => {
    t.same(heightsAndPositions(now.newest(byName('x'), { limit: 9 })), [
      [4, 1],
      [4, 0],
      [2, 0],
    ])
    t.same(heightsAndPositions(now.newest(byUser('a', 'x'), { limit: 9 })), [])
    t.match(now.confirmation(shared.cid), { height: 3, position: 1, block: b2.facts.id })
    t.equal(now.confirmation(back.cid), undefined)
    t.equal(now.appearances(back.cid).length, 1)
    t.same(
      now
        .staleBlocks()
        .map(({ id }) => id.toString())
        .sort(),
      idsOf([a1, a2]).sort(),
    )
    t.same(
      [...now.state.pending()].map(({ id }) => id.toString()),
      [back, record('waiting')].map(({ cid }) => cid.toString()),
      'what came back goes first',
    )
  }
  check(ledger)
  const place = ledger.confirmation(shared.cid)
  t.same(place && (await ledger.readSection(shared.cid, place)), shared.bytes)
  await ledger.close()
  const again = await openExample(folder)
  check(again)
  await again.moveTip(a2.facts.id)
  t.same(await readMainChain(again), idsOf([genesis, fork, a1, a2]))
  t.same(heightsAndPositions(again.newest(byName('x'), { limit: 9 })), [[3, 0]])
  await again.close()
})

t.test('lookups: newest first, in pages, and by iteration', async (t) => {
  const ledger = await openExample(t.testdir())
  const blocks = []
  for (let parent = genesis, n = 0; n < 60; n++) {
    parent = child(parent, [record('same', 'ann', 3 * n), record(`other${n}`), record('same', 'bob', 3 * n + 1)])
    blocks.push(parent)
  }
  await ledger.appendBlocks(blocks)
  const [last] = blocks.slice(-1)
  if (!last) throw new Error('unreachable')
  await ledger.moveTip(last.facts.id)
  const expected = Array.from({ length: 60 }, (_, n) => 60 - n).flatMap((height) => [
    [height, 2],
    [height, 0],
  ])
  t.same(heightsAndPositions(ledger.matches(byName('same'))), expected, 'more than one page')
  t.same(heightsAndPositions(ledger.newest(byName('same'), { limit: 3 })), expected.slice(0, 3))
  const before = { height: 59, position: 2 }
  const far = { height: 80_000_000_000, position: 80_000_000 }
  t.same(heightsAndPositions(ledger.newest(byName('same'), { limit: 2, before: far })), expected.slice(0, 2))
  t.same(heightsAndPositions(ledger.newest(byName('same'), { limit: 2, before })), expected.slice(3, 5))
  t.same(
    heightsAndPositions(ledger.newest(byUser('bob', 'same'), { limit: 2 })),
    [
      [60, 2],
      [59, 2],
    ],
    'by user and name',
  )
  const [match] = ledger.newest(byName('other30'), { limit: 1 })
  t.match(match, { height: 31, position: 1 })
  t.same(match && (await ledger.readSection(match.id, match)), record('other30').bytes)
  t.same([...ledger.matches(byName('nobody'))], [])
  await ledger.close()
})

t.test('blocks stream as raw sections of the main chain', async (t) => {
  const ledger = await openExample(t.testdir())
  const [one, two, three] = straightChain(3)
  if (!one || !two || !three) throw new Error('unreachable')
  await extend(ledger, [one])
  await ledger.appendBlock(child(one, [record('stale')]).sections)
  await extend(ledger, [two, three])
  const streamed = async (from: number, to: number): Promise<string[]> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of ledger.streamBlocks(from, to)) chunks.push(chunk)
    const bytes = Buffer.concat(chunks)
    const cids: string[] = []
    for (let at = 0; at < bytes.length; ) {
      const parsed = parseSection(bytes, at)
      if (parsed.kind !== 'section') throw new Error(parsed.kind)
      cids.push(parsed.section.cid.toString())
      at += parsed.length
    }
    return cids
  }
  const sectionsOf = (...blocks: (typeof one)[]) =>
    blocks.flatMap(({ sections }) => sections.map(({ cid }) => cid.toString()))
  t.same(await streamed(1, 2), sectionsOf(one, two))
  t.same(await streamed(0, 99), sectionsOf(genesis, one, two, three))
  t.same(await streamed(3, 2), [])
  await ledger.close()
})

t.test('what does not fit is refused and changes nothing', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(folder)
  const [one, two] = straightChain(2)
  if (!one || !two) throw new Error('unreachable')
  const size = async () => (await readFile(join(folder, 'chain.car'))).length
  const before = await size()
  await t.rejects(ledger.appendBlock(two.sections), { code: 'header_unknown_parent' })
  await t.rejects(ledger.appendBlocks([two, one]), { code: 'header_unknown_parent' }, 'parents go first')
  await t.rejects(ledger.appendBlock(one.sections, two.facts), { code: 'header_unknown_parent' })
  await t.rejects(ledger.appendBlock(one.sections.slice(1), one.facts), { code: 'block_malformed' })
  await t.rejects(ledger.moveTip(one.facts.id), { code: 'block_unknown' })
  await t.rejects(ledger.readBlockSections(one.facts.id), { code: 'block_unknown' })
  t.equal(await size(), before)
  await ledger.appendBlocks([one, two])
  const grown = await size()
  await ledger.appendBlocks([one, two])
  t.equal(await size(), grown, 'a known block is not written twice')
  await ledger.close()
})

t.test('another version, another network and a missing chain are refused by name', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(folder)
  await extend(ledger, straightChain(1))
  await ledger.close()

  const other = toSection({ name: 'other' })
  await t.rejects(openExample(folder, { parametersBlock: other }), { code: 'data_folder_other_network' })
  const otherGenesis = child(genesis).sections
  await t.rejects(openExample(folder, { genesis: otherGenesis }), { code: 'data_folder_other_network' })

  const version = join(folder, 'version.json')
  const text = await readFile(version, 'utf8')
  for (const bad of [text.replace('"format":1', '"format":2'), '{', '{"format":1}', '']) {
    await writeFile(version, bad)
    await t.rejects(openExample(folder), { code: 'data_folder_version' })
  }
  await rm(version)
  await t.rejects(openExample(folder), { code: 'data_folder_version' })
  await writeFile(version, text)

  await rm(join(folder, 'chain.car'))
  await t.rejects(openExample(folder), { code: 'chain_damaged', facts: { offset: 0 } })
})

t.test('databases of another data folder are not believed', async (t) => {
  const folder = t.testdir({ a: {}, b: {} })
  for (const name of ['a', 'b']) {
    const ledger = await openExample(join(folder, name))
    await extend(ledger, straightChain(name === 'a' ? 2 : 3))
    await ledger.close()
  }
  const swap = async (database: string): Promise<void> => {
    await rm(join(folder, 'a', database), { recursive: true })
    await copyFolder(join(folder, 'b', database), join(folder, 'a', database))
  }
  await swap('index')
  const ledger = await openExample(join(folder, 'a'))
  t.equal(ledger.tip().height, 2)
  t.match(ledger.recovery.indexRebuilt, /another data folder/)
  await ledger.close()
  await swap('state')
  await t.rejects(openExample(join(folder, 'a')), { code: 'index_damaged', facts: { database: 'state' } })
})

t.test('an index that another version of the program left is made anew', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(folder)
  await extend(ledger, straightChain(3))
  const before = await ledger.stateHash()
  await ledger.close()
  const index = join(folder, 'index')
  const { id } = JSON.parse(await readFile(join(folder, 'version.json'), 'utf8')) as { id: string }
  await rm(index, { recursive: true })
  // As version 1 made it: its rows say what they are about under a key that this version does not ask for.
  await createDatabase({ folder: index, durable: false, owner: id })
  const again = await openExample(folder)
  t.match(again.recovery.indexRebuilt, /another version of this program/)
  t.equal(again.recovery.indexedBlocks, 4)
  t.equal(await again.stateHash(), before)
  await again.close()
  const third = await openExample(folder)
  t.equal(third.recovery.indexRebuilt, null, 'once')
  await third.close()
})

t.test('many matches of the same blocks are read together, each with its own block and place', async (t) => {
  const ledger = await openExample(t.testdir())
  const many = (from: number) => Array.from({ length: 60 }, (_, at) => record('same', 'ann', from + at))
  const one = child(genesis, many(0))
  const two = child(one, many(100))
  await extend(ledger, [one, two])
  const found = ledger.newest(byName('same'), { limit: 256 })
  const expected = [two, one].flatMap(({ sections, facts }) =>
    sections
      .slice(0, 60)
      .map(({ cid }, position) => ({ id: cid, block: facts.id, time: facts.time, position }))
      .reverse(),
  )
  const plain = (id: { toString(): string }): string => id.toString()
  t.same(
    found.map(({ id, block, time, position }) => [plain(id), plain(block), time, position]),
    expected.map(({ id, block, time, position }) => [plain(id), plain(block), time, position]),
  )
  for (const match of found) await ledger.readSection(match.id, match)
  await ledger.close()
})

t.test('blocks of the main chain are read together, past those of other branches', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(folder)
  const long = Array.from({ length: 40 }, (_, at) => record('long', 'ann', at, 10_000))
  const fork = child(genesis, long)
  const [stale, a1] = [child(fork, [record('stale')]), child(fork, long, 2)]
  const rest = straightChain(100, a1)
  await extend(ledger, [fork, stale])
  await extend(ledger, [a1, ...rest])
  const chain = [genesis, fork, a1, ...rest]
  const read = async (from: number, to: number): Promise<string[]> => {
    const ids: string[] = []
    for await (const blocks of ledger.readMainChain(from, to)) {
      for (const sections of blocks) {
        const block = chain[from + ids.length]
        t.same(
          sections.map(({ cid }) => cid.toString()),
          block?.sections.map(({ cid }) => cid.toString()),
        )
        ids.push(String(sections.at(-1)?.cid))
      }
    }
    return ids
  }
  t.same(await read(0, Number.POSITIVE_INFINITY), idsOf(chain))
  t.same(await read(2, 70), idsOf(chain.slice(2, 71)))
  t.same(await read(102, 102), idsOf(chain.slice(102)))
  t.same(await read(103, 200), [])
  const { offset } = ledger.blockAt(50) ?? { offset: 0 }
  const file = await open(join(folder, 'chain.car'), 'r+')
  await file.write(Uint8Array.of(0), 0, 1, offset + 60)
  await file.close()
  await t.rejects(read(40, 60), { code: 'chain_damaged' })
  await ledger.close()
})
