import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { isEmrError } from '#emrchain/errors.js'
import { isLong } from './cut-anywhere.js'
import {
  all,
  blocks,
  copyFolder,
  extend,
  genesis,
  makeAcknowledged,
  openExample,
  readMainChain,
  sizeOf,
  straightChain,
} from './example-chain.js'

t.test('space that was never filled reads as zeros and is a torn tail too', async (t) => {
  const folder = t.testdir()
  const ends = await makeAcknowledged(folder, blocks)
  const path = join(folder, 'chain.car')
  await rm(join(folder, 'state'), { recursive: true })
  await truncate(path, (ends.at(-1) ?? 0) + 5000)
  const ledger = await openExample(folder)
  t.same(await readMainChain(ledger), all)
  t.equal(ledger.recovery.cutBytes, 5000)
  await ledger.close()
})

t.test('a flipped bit before the durable end is told at opening or at reading, never served or cut', async (t) => {
  const folder = t.testdir()
  const base = join(folder, 'base')
  const ends = await makeAcknowledged(base, blocks)
  const total = ends.at(-1) ?? 0
  const chain = await readFile(join(base, 'chain.car'))
  const copy = join(folder, 'copy')
  const flipped = async (at: number, without: readonly string[], checkBlocks: number): Promise<unknown> => {
    await copyFolder(base, copy)
    for (const name of without) await rm(join(copy, name), { recursive: true })
    const bytes = Buffer.from(chain)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    await writeFile(join(copy, 'chain.car'), bytes)
    try {
      const ledger = await openExample(copy, { checkBlocks })
      try {
        return await readMainChain(ledger)
      } finally {
        await ledger.close()
      }
    } catch (error) {
      return isEmrError(error) ? error.code : error
    } finally {
      const isWhole = (await sizeOf(join(copy, 'chain.car'))) === total
      if (!isWhole) t.fail(`flip at ${at} cut the file`)
      await rm(copy, { recursive: true })
    }
  }
  // Every region: CAR header, parameters, genesis, and each byte position within blocks in steps of a prime.
  for (const without of [[], ['index'], ['index', 'state']]) {
    for (const checkBlocks of without.length === 0 ? [1, 6] : [6]) {
      const results = new Set<unknown>()
      for (let at = 0; at < total; at += isLong ? 23 : 113) results.add(await flipped(at, without, checkBlocks))
      t.same([...results], ['chain_damaged'], `without ${without.join(' and ') || 'nothing'}`)
    }
  }
})

t.test('the offset of damage is that of the section', async (t) => {
  const folder = t.testdir()
  const ends = await makeAcknowledged(folder, blocks)
  const path = join(folder, 'chain.car')
  const bytes = await readFile(path)
  const at = (ends[2] ?? 0) + 60
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(path, bytes)
  await t.rejects(openExample(folder), { code: 'chain_damaged', facts: { offset: ends[2] } })
})

/** A child that appends blocks to `folder` without end and prints the height of each that is durable. */
const startWriter = (folder: string): ChildProcess =>
  spawn(process.execPath, [fileURLToPath(new URL('./endless-writer.js', import.meta.url)), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

t.test('kill -9 while writing loses nothing that was acknowledged', async (t) => {
  const folder = t.testdir()
  let acknowledged = 0
  for (let round = 0; round < 10; round++) {
    const writer = startWriter(folder)
    const exited = once(writer, 'exit')
    if (!writer.stdout) throw new Error('unreachable')
    const until = acknowledged + 1 + round * 3
    for await (const line of createInterface({ input: writer.stdout })) {
      acknowledged = Number(line)
      // Killed where the writer happens to be by now; lines that are still under way count as well.
      if (acknowledged === until) writer.kill('SIGKILL')
    }
    const [, signal] = await exited
    t.equal(signal, 'SIGKILL')
    const ledger = await openExample(folder)
    const chain = await readMainChain(ledger)
    t.ok(chain.length - 1 >= acknowledged, `height ${chain.length - 1} of ${acknowledged}`)
    t.equal(ledger.recovery.indexRebuilt, null, 'what was not synced is still there, since the machine runs on')
    const pending = [...ledger.state.pending()].length
    t.equal(pending, chain.length - 1, 'each block came with one pending transaction')
    await ledger.close()
  }
})

t.test('a folder that was copied while in use opens with what was acknowledged', async (t) => {
  const folder = t.testdir()
  const ledger = await openExample(join(folder, 'live'))
  await extend(ledger, blocks)
  await copyFolder(join(folder, 'live', 'state'), join(folder, 'copy', 'state'))
  await copyFolder(join(folder, 'live', 'index'), join(folder, 'copy', 'index'))
  for (const name of ['chain.car', 'version.json']) {
    await copyFile(join(folder, 'live', name), join(folder, 'copy', name))
  }
  const copy = await openExample(join(folder, 'copy'))
  t.same(await readMainChain(copy), all)
  t.match(copy.recovery.indexRebuilt, /last writes may be lost/)
  await copy.close()
  await ledger.close()
})

t.test('an index that points at wrong bytes is made anew; the chain file has the last word', async (t) => {
  const folder = t.testdir()
  const [stale] = straightChain(1, genesis, 'stale')
  const [first, ...rest] = blocks
  if (!stale || !first) throw new Error('unreachable')
  // The same blocks in another order: length and tip are the same, the offsets are not.
  for (const [name, order] of Object.entries({ a: [stale, first], b: [first, stale] })) {
    const ledger = await openExample(join(folder, name))
    await ledger.appendBlocks(order)
    await ledger.appendBlocks(rest)
    await ledger.moveTip(rest.at(-1)?.facts.id ?? first.facts.id)
    await ledger.close()
  }
  await copyFile(join(folder, 'b', 'chain.car'), join(folder, 'a', 'chain.car'))
  const ledger = await openExample(join(folder, 'a'))
  t.same(await readMainChain(ledger), all)
  t.type(ledger.recovery.indexRebuilt, 'string')
  await ledger.close()
})
