import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, rmdir, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { EmrError } from '#emrchain/errors.js'
import { createChainFile, openChainFile } from '#emrchain/ledger/chain-file.js'
import { type ChainIndex, createChainIndex } from '#emrchain/ledger/chain-index.js'
import { createChainWriter } from '#emrchain/ledger/chain-writer.js'
import { createDatabase, openDatabase } from '#emrchain/ledger/database.js'
import { createNodeState, type NodeState } from '#emrchain/ledger/node-state.js'
import { recoverChain } from '#emrchain/ledger/recover-chain.js'
import { encodeCarSection } from '#emrchain/protocol/car.js'
import {
  extend,
  genesis,
  idsOf,
  network,
  openExample,
  parametersBlock,
  readMainChain,
  record,
  rules,
  straightChain,
} from './example-chain.js'

/** A mounted disk of 32 MiB, or why there is none. */
const mountSmallDisk = async (): Promise<{ disk: string } | { reason: string }> => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { reason: 'only root can mount a small disk' }
  const disk = await mkdtemp(join(tmpdir(), 'emrchain-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', disk], { stdio: 'ignore' })
  } catch {
    await rmdir(disk)
    return { reason: 'mounting is not allowed here' }
  }
  t.teardown(async () => {
    execFileSync('umount', ['-l', disk])
    await rmdir(disk)
  })
  return { disk }
}

const mounted = await mountSmallDisk()
const skip = 'reason' in mounted && mounted.reason

t.test('on a full disk what was acknowledged stays, and it goes on when there is room', { skip }, async (t) => {
  if (!('disk' in mounted)) throw new Error('unreachable')
  const { disk } = mounted
  /** Takes all room but so many bytes. */
  const leave = async (bytes: number): Promise<void> => {
    await rm(join(disk, 'ballast'), { force: true })
    const { bavail, bsize } = await statfs(disk)
    await writeFile(join(disk, 'ballast'), new Uint8Array(Math.max(0, bavail * bsize - bytes)))
  }
  const home = join(disk, 'home')
  const ledger = await openExample(home)
  const blocks = straightChain(8)
  await extend(ledger, blocks.slice(0, 2))

  const acknowledged: string[] = []
  let refused = 0
  for (let round = 0; round < 25; round++) {
    await leave(round * 4096)
    for (let burst = 0; burst < 6; burst++) {
      const puts = Array.from({ length: 4 }, async (_, at) => {
        const one = record('x'.repeat(1500), 'ann', round * 100 + burst * 4 + at)
        await ledger.state.putPending(one.cid, one.bytes)
        acknowledged.push(one.cid.toString())
      })
      for (const result of await Promise.allSettled(puts)) {
        if (result.status === 'fulfilled') continue
        refused++
        if (result.reason.code !== 'disk_full') t.match(result.reason, { code: 'disk_full' })
      }
    }
  }
  t.ok(refused > 0 && acknowledged.length > 0, `${acknowledged.length} taken, ${refused} refused`)
  await leave(1024 * 1024)
  const [, , third, fourth, ...rest] = blocks
  if (!third || !fourth) throw new Error('unreachable')
  await t.rejects(ledger.appendBlock(third.sections), { code: 'disk_full' })
  t.same(await readMainChain(ledger), idsOf([genesis, ...blocks.slice(0, 2)]))
  await leave(20 * 1024 * 1024)
  await ledger.appendBlocks([third, fourth])
  await leave(1024 * 1024)
  await t.rejects(ledger.moveTip(fourth.facts.id), { code: 'disk_full' })
  t.equal(ledger.tip().height, 2)

  await leave(20 * 1024 * 1024)
  await ledger.moveTip(fourth.facts.id)
  await extend(ledger, rest)
  await ledger.close()
  const again = await openExample(home)
  t.same(await readMainChain(again), idsOf([genesis, ...blocks]))
  t.same(
    [...again.state.pending()].map(({ id }) => id.toString()).sort(),
    acknowledged.sort(),
    'exactly what was acknowledged is pending',
  )
  await again.close()
})

/** A writer over real files whose index and state fail when they are told to. */
const makeWriter = async (folder: string) => {
  const options = { folder: join(folder, 'index'), durable: false, owner: 'me' }
  await createDatabase(options)
  await createDatabase({ ...options, folder: join(folder, 'state'), durable: true })
  const state = createNodeState(await openDatabase({ ...options, folder: join(folder, 'state'), durable: true }))
  await createChainFile(join(folder, 'chain.car'), [parametersBlock, ...genesis.sections])
  const file = await openChainFile(join(folder, 'chain.car'), { root: network.cid })
  const start = file.start + encodeCarSection(parametersBlock).length
  const index = createChainIndex(await openDatabase(options), start)
  const renewIndex = async (): Promise<ChainIndex> => index
  await recoverChain({ file, state, index: new EmrError('index_damaged'), renewIndex }, { ...rules, checkBlocks: 1 })
  const fail = { index: false, state: false }
  const failingIndex: ChainIndex = {
    ...index,
    get end() {
      return index.end
    },
    switchTo(change) {
      if (fail.index) throw new EmrError('disk_full')
      index.switchTo(change)
    },
  }
  const failingState: Pick<NodeState, 'chain' | 'commitChain'> = {
    chain: state.chain,
    commitChain: async (...given) => {
      if (fail.state) throw new EmrError('disk_full')
      await state.commitChain(...given)
    },
  }
  const writer = createChainWriter({ folder, file, index: failingIndex, state: failingState, reader: rules })
  const close = async (): Promise<void> => {
    await writer.finish()
    await index.close()
    await state.close()
    await file.close()
  }
  return { writer, fail, file, index, state, close }
}

t.test('a step that fails takes back those before it, or the writer refuses from then on', async (t) => {
  const { writer, fail, file, index, state, close } = await makeWriter(t.testdir())
  const [one, two] = straightChain(2)
  if (!one || !two) throw new Error('unreachable')
  const before = file.length
  fail.index = true
  await t.rejects(writer.appendBlock(one.sections), { code: 'disk_full' })
  t.equal(file.length, before, 'the bytes are taken back')
  t.equal(index.block(one.facts.id), undefined)

  fail.index = false
  await writer.appendBlocks([one, two])
  fail.state = true
  await t.rejects(writer.moveTip(one.facts.id), { code: 'disk_full' })
  t.match(index.tip(), { id: genesis.facts.id })

  fail.state = false
  await writer.moveTip(one.facts.id)
  fail.index = true
  await t.rejects(writer.moveTip(two.facts.id), { code: 'disk_failed' })
  t.match(state.chain(), { tip: two.facts.id }, 'it is durable, although the index does not show it')
  fail.index = false
  await t.rejects(writer.moveTip(two.facts.id), { code: 'disk_failed' }, 'until the folder is opened again')
  await t.rejects(writer.appendBlock(one.sections), { code: 'disk_failed' })
  await close()
})
