import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { repair } from '#emrchain/node/repair.js'
import type { TestScope } from '../fixtures/block-maker.js'
import { createBlockMaker, easyNetworkFile } from '../fixtures/block-maker.js'
import { createDamageStage, flip } from '../fixtures/damage.js'
import { createRandom, seedOfRun } from '../fixtures/random.js'
import { type Ran, runCli } from '../fixtures/run-cli.js'
import { agree, easyNetwork, startNode, type TestNode, transactionsOf, until } from '../fixtures/start-node.js'

const run = (...words: string[]): Promise<Ran> => runCli(words)
const never = new AbortController().signal
const maker = createBlockMaker(easyNetworkFile)

/** Flips a bit in the body of the block at `height`. */
async function damageBlock({ node }: TestNode, height: number): Promise<(data: string) => void> {
  const block = await node.blockAt(height)
  const [transaction] = block?.transactions ?? []
  if (!block || !transaction) throw new Error('no such block')
  return (data) => {
    const path = join(data, 'chain.car')
    const bytes = readFileSync(path)
    const at = bytes.indexOf(transaction.bytes) + 20
    bytes[at] = (bytes[at] ?? 0) ^ 1
    writeFileSync(path, bytes)
  }
}

/** Two nodes with the same ten blocks; the second is closed. */
async function twoNodes(t: TestScope): Promise<{ network: string; good: TestNode; bad: TestNode; ids: string[] }> {
  const network = easyNetwork(t)
  const good = await startNode(t, { network })
  const bad = await startNode(t, { network })
  await bad.node.connect([good.url])
  const ids: string[] = []
  for (let n = 1; n <= 10; n++) {
    for (const name of ['x', 'y']) {
      const { id, bytes } = maker.record(`${name}${n}`)
      await good.node.submitTransaction(bytes)
      ids.push(id.toString())
    }
    await good.node.mine(never)
  }
  await until(bad, () => agree(bad, good))
  return { network, good, bad, ids }
}

t.test('a damaged node is repaired, fetches what is missing, and is as the other', async (t) => {
  const { network, good, bad, ids } = await twoNodes(t)
  const { data } = bad.options
  const damage = await damageBlock(good, 5)
  await bad.close()
  damage(data)
  const damaged = readFileSync(join(data, 'chain.car'))
  const done = await run('repair', '--data', data, '--network', network, '--json')
  t.equal(done.code, 5, done.stderr)
  const report = JSON.parse(done.stdout)
  const missing = await good.node.blockAt(5)
  t.match(report, {
    damaged: true,
    whole: false,
    blocks: 4,
    leftOut: 5,
    missing: [{ height: 5, id: `${missing?.header.id}` }],
  })
  t.same(report.missing.length, 1)
  t.same(report.lostTransactions, [ids[8]])
  t.ok(readFileSync(report.setAside).equals(damaged), 'the damaged file is kept as it was')

  const again = await startNode(t, { ...bad.options, peer: [good.url] })
  await until(again, () => agree(again, good))
  t.same(await transactionsOf(again.node), await transactionsOf(good.node))
  t.same(await again.node.checkChain(never), { valid: true })
  await again.close()
  const whole = await run('repair', '--data', data, '--network', network)
  t.equal(whole.code, 0)
  t.match(whole.stdout, /is whole; it was not changed/)
})

t.test('alone it keeps all but what was in the damaged bytes, and names that', async (t) => {
  const { network, good, bad, ids } = await twoNodes(t)
  const { data } = bad.options
  const damage = await damageBlock(good, 5)
  await bad.close()
  await good.close()
  damage(data)
  const done = await run('repair', '--data', data, '--network', network)
  t.equal(done.code, 5)
  t.match(done.stdout, /Missing: block 6, bafy/)
  t.match(done.stdout, `Lost here: transaction ${ids[8]}`)
  const again = await startNode(t, bad.options)
  t.same(await transactionsOf(again.node), { onChain: ids.slice(0, 8), pending: ids.slice(9) })
  await again.node.mine(never)
  t.equal((await transactionsOf(again.node)).onChain.length, 19, 'and it goes on')
})

t.test('wherever the chain file is damaged, what is lost has a name', async (t) => {
  const stage = await createDamageStage(join(t.testdir(), 'stage'))
  t.teardown(() => stage.close())
  const seed = seedOfRun()
  t.comment(`EMRCHAIN_TEST_SEED=${seed}`)
  const random = createRandom(seed)
  const { size } = statSync(join(stage.folder, 'chain.car'))
  const car = (folder: string): string => join(folder, 'chain.car')
  const damages: { name: string; damage: (folder: string) => void }[] = Array.from({ length: 8 }, () => {
    const [at, bit] = [random.whole(0, size - 1), random.whole(0, 7)]
    return { name: `bit ${bit} of byte ${at}`, damage: flip('chain.car', at, bit) }
  })
  damages.push(
    { name: 'header', damage: flip('chain.car', 3, 2) },
    { name: 'deleted', damage: (folder) => rmSync(car(folder)) },
    { name: 'emptied', damage: (folder) => truncateSync(car(folder), 0) },
    { name: 'halved', damage: (folder) => truncateSync(car(folder), size >> 1) },
    { name: 'last byte', damage: (folder) => truncateSync(car(folder), size - 1) },
    { name: 'swapped', damage: (folder) => copyFileSync(car(stage.other), car(folder)) },
    {
      name: 'a hole of 4 KiB',
      damage: (folder) => {
        const bytes = readFileSync(car(folder))
        writeFileSync(car(folder), bytes.fill(0, 3000, 3000 + 4096))
      },
    },
  )
  for (const { name, damage } of damages) {
    // Opening first, as an operator would: it must not make the damage worse.
    const { faults } = await stage.tryDamage(damage)
    t.same(faults, [], name)
    const report = await repair(stage.copy, { network: stage.network, newKey: false, now: () => 0 })
    t.ok(report.damaged, `${name} is seen`)
    t.equal(existsSync(report.setAside ?? ''), name !== 'deleted')
    t.notOk(readdirSync(stage.copy).includes('chain.car.repaired'))
    const look = await stage.look(stage.copy)
    t.notOk(look?.stopped, `${name}: it opens`)
    const named = new Set([...report.lostTransactions, ...report.missing.map(({ id }) => id)])
    for (const [what, value] of Object.entries(stage.original)) {
      const [kind, id = ''] = what.split(' ')
      const found = look?.answers?.[what] ?? 'none'
      if (kind === 'transaction' && found === 'none' && !named.has(id)) {
        const [block = ''] = value.split(' ')
        // Whose block is missing, or all that leads to the tip.
        const isNamed = named.has(block) || report.missing.some((gap) => gap.id === null) || report.missingTip !== null
        if (!isNamed) t.fail(`${name}: ${what} is lost without a name`)
      }
      if (kind === 'file' || kind === 'key') t.equal(found, value, `${name}: ${what}`)
      if (kind === 'block' && found !== 'none' && found !== value) t.fail(`${name}: ${what} is another`)
    }
    t.equal(look?.answers?.valid, 'valid', `${name}: what is left is valid`)
  }
})

t.test('a lost key is given up on request only', async (t) => {
  const network = easyNetwork(t)
  const node = await startNode(t, { network })
  const { data } = node.options
  const { key } = node.node.hello()
  await node.close()
  rmSync(join(data, 'node.key'))
  await t.rejects(startNode(t, node.options), { code: 'node_key_wrong', facts: { expected: key } })
  t.notOk(existsSync(join(data, 'node.key')), 'none was made in its place')
  const done = await run('repair', '--new-key', '--data', data, '--network', network)
  t.equal(done.code, 0, done.stderr)
  const again = await startNode(t, node.options)
  t.not(again.node.hello().key, key)
})

t.test('where there is no data folder nothing is made', async (t) => {
  const folder = join(t.testdir(), 'none')
  const done = await run('repair', '--data', folder, '--json')
  t.equal(done.code, 4)
  t.match(done.stderr, /path_not_found/)
  t.notOk(existsSync(folder))
})
