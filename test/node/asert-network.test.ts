import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { expectedTarget } from '#emrchain/consensus/difficulty.js'
import { verifyDataFolder } from '#emrchain/node/verify-data-folder.js'
import { encodeBlocks } from '#emrchain/protocol/car.js'
import { compactToHex } from '#emrchain/protocol/compact-target.js'
import { asertNetworkFile, createBlockMaker } from '../fixtures/block-maker.js'
import { agree, get, networkFile, postBytes, startNode, until } from '../fixtures/start-node.js'

/** Nodes of a network whose target moves: mined by one, taken by another, checked by every verifier. */

const root = fileURLToPath(new URL('../../', import.meta.url))
const CAR = 'application/vnd.ipld.car'

t.test('a chain of a network whose target moves', async (t) => {
  const network = networkFile(t, asertNetworkFile)
  const maker = createBlockMaker(asertNetworkFile)
  // Genesis was a minute ago by the clock of the nodes, which goes on by itself between the blocks.
  let time = maker.genesis.time + 60_000
  const now = (): number => time
  const miner = await startNode(t, { network }, { now })
  const targets: string[] = []
  for (let n = 0; n < 80; n++) {
    t.equal((await get(`${miner.url}/mine_block`)).status, 200)
    const { header } = miner.node.tip()
    targets.push(compactToHex(header.target))
    time += n < 70 ? 5 : 3_000
  }
  t.equal(targets[0], '2007ffff', 'the first is that of the parameters')
  t.equal(targets[1], '207fffff', 'a minute late: the limit')
  t.ok(new Set(targets).size > 10, `${new Set(targets).size} targets`)

  const follower = await startNode(t, { network, peer: [miner.url] }, { now })
  await until(follower, () => agree(miner, follower))
  t.equal(follower.node.tip().work, miner.node.tip().work)
  t.match((await get(`${follower.url}/is_valid`)).body, { message: /valid/ })

  const { header: parent } = miner.node.tip()
  const right = expectedTarget(maker.network, parent)
  time += 10
  for (const [target, what] of [
    [right - 1, 'harder'],
    [0x2007ffff, 'harder, that of genesis'],
  ] as const) {
    const block = maker.block(parent, [], { header: { target, time } })
    const answer = await postBytes(`${follower.url}/blocks`, CAR, encodeBlocks([block]))
    t.match([answer.status, answer.body], [422, { code: 'header_wrong_target' }], what)
  }
  // Early blocks ask for more work; who goes on with the limit is refused.
  for (let n = 0; n < 40; n++) await get(`${miner.url}/mine_block`)
  const early = miner.node.tip().header
  t.not(expectedTarget(maker.network, early), 0x207fffff)
  const easier = maker.block(early, [], { header: { target: 0x207fffff, time: early.time + 1 } })
  const answer = await postBytes(`${miner.url}/blocks`, CAR, encodeBlocks([easier]))
  t.match([answer.status, answer.body], [422, { code: 'header_wrong_target' }], 'easier')

  await Promise.all([miner.close(), follower.close()])
  const verified = await verifyDataFolder(miner.options.data, { network })
  t.match(verified, { blocks: 120, tip: { height: 120 }, unfinishedBytes: 0 })
  await t.rejects(verifyDataFolder(miner.options.data, { network: 'paper' }), { code: 'data_folder_other_network' })
  const python = spawnSync(
    'python3',
    [join(root, 'test/protocol/verify_chain.py'), join(miner.options.data, 'chain.car')],
    {
      encoding: 'utf8',
    },
  )
  if (python.error === undefined) {
    t.match(python.stdout, new RegExp(`^valid: height 120, .* work ${verified.tip.work.toString(16)}\n$`))
  }
})
