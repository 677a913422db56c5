import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { isEmrError } from '#emrchain/errors.js'
import { isThere } from '#emrchain/ledger/data-folder.js'
import { difference, forEvery, isLong, range } from './cut-anywhere.js'
import {
  all,
  blocks,
  copyFolder,
  extend,
  makeAcknowledged,
  openExample,
  readMainChain,
  sizeOf,
} from './example-chain.js'

const patient = { timeout: isLong ? 20_000_000 : 100_000 }

t.test('a tail that was never acknowledged is cut, wherever the write stopped', patient, async (t) => {
  const folder = t.testdir()
  const base = join(folder, 'base')
  const ledger = await openExample(base)
  await extend(ledger, blocks.slice(0, 3))
  const durable = ledger.tip().offset + ledger.tip().length
  // Appended, but the tip did not move: the state the crash leaves between the two.
  await ledger.appendBlocks(blocks.slice(3))
  await ledger.close()
  const whole = await readFile(join(base, 'chain.car'))
  const places = range(durable, whole.length)
  const report = await forEvery(places, async (length, worker) => {
    const copy = join(folder, worker)
    await copyFolder(base, copy)
    await truncate(join(copy, 'chain.car'), length)
    const again = await openExample(copy)
    const found = {
      chain: await readMainChain(again),
      cut: again.recovery.cutBytes,
      tail: blocks.slice(3).filter(({ facts }) => again.block(facts.id)).length,
      // The index that knew the tail is kept where the tail can be read, and made anew where not.
      isRebuilt: again.recovery.indexRebuilt !== null,
    }
    await again.close()
    await rm(copy, { recursive: true })
    const isRebuilt = length < whole.length
    return difference(found, { chain: all.slice(0, 4), cut: length - durable, tail: 0, isRebuilt })
  })
  t.equal(report, undefined, `${places.length} places`)
})

t.test(
  'an acknowledged block that is missing is damage, wherever the file ends; nothing is cut',
  patient,
  async (t) => {
    const folder = t.testdir()
    const base = join(folder, 'base')
    const ends = await makeAcknowledged(base, blocks)
    const whole = await readFile(join(base, 'chain.car'))
    const places = range(ends[3] ?? 0, whole.length - 1)
    const report = await forEvery(places, async (length, worker) => {
      const copy = join(folder, worker)
      if (!(await isThere(copy))) await copyFolder(base, copy)
      const path = join(copy, 'chain.car')
      await writeFile(path, whole.subarray(0, length))
      const error = await openExample(copy).catch((error: unknown) => error)
      const found = isEmrError(error, 'chain_damaged')
        ? { offset: error.facts.offset, left: await sizeOf(path) }
        : error
      return difference(found, { offset: length, left: length })
    })
    t.equal(report, undefined, `${places.length} places`)
    await writeFile(join(folder, 'copy0', 'chain.car'), whole)
    const ledger = await openExample(join(folder, 'copy0'))
    t.same(await readMainChain(ledger), all, 'with the bytes back it opens')
    await ledger.close()
  },
)

t.test('without state and index the whole blocks count, wherever the file ends', patient, async (t) => {
  const folder = t.testdir()
  const base = join(folder, 'base')
  const ends = await makeAcknowledged(base, blocks)
  const whole = await readFile(join(base, 'chain.car'))
  const version = await readFile(join(base, 'version.json'))
  const places = range(ends[3] ?? 0, ends.at(-1) ?? 0)
  const report = await forEvery(places, async (length, worker) => {
    const copy = join(folder, worker)
    await mkdir(copy)
    await writeFile(join(copy, 'version.json'), version)
    await writeFile(join(copy, 'chain.car'), whole.subarray(0, length))
    const ledger = await openExample(copy)
    const chain = await readMainChain(ledger)
    const left = await sizeOf(join(copy, 'chain.car'))
    await ledger.close()
    await rm(copy, { recursive: true })
    const count = ends.filter((end) => end <= length).length
    return difference({ chain, left }, { chain: all.slice(0, count), left: ends[count - 1] })
  })
  t.equal(report, undefined, `${places.length} places`)
})
