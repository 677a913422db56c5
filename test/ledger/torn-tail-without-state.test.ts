import { rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { difference, forEvery, range } from './cut-anywhere.js'
import {
  copyFolder,
  genesis,
  idsOf,
  makeAcknowledged,
  openExample,
  readMainChain,
  straightChain,
} from './example-chain.js'

const blocks = straightChain(5)
const all = idsOf([genesis, ...blocks])

const sizeOf = async (path: string): Promise<number> => (await stat(path)).size

const patient = { timeout: 100_000 }

t.test('without state and index the whole blocks count, wherever the file ends', patient, async (t) => {
  const folder = t.testdir()
  const base = join(folder, 'base')
  const ends = await makeAcknowledged(base, blocks)
  const report = await forEvery(range(ends[3] ?? 0, ends.at(-1) ?? 0), async (length, worker) => {
    const copy = join(folder, worker)
    await copyFolder(base, copy)
    await rm(join(copy, 'state'), { recursive: true })
    await rm(join(copy, 'index'), { recursive: true })
    await truncate(join(copy, 'chain.car'), length)
    const ledger = await openExample(copy)
    const chain = await readMainChain(ledger)
    const left = await sizeOf(join(copy, 'chain.car'))
    await ledger.close()
    await rm(copy, { recursive: true })
    const count = ends.filter((end) => end <= length).length
    return difference({ chain, left }, { chain: all.slice(0, count), left: ends[count - 1] })
  })
  t.equal(report, undefined)
})
