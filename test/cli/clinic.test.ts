import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { errorCodeOf as codeOf, personOf, type Ran, runCli } from '../fixtures/run-cli.js'
import { folderOf, get, post, startNode } from '../fixtures/start-node.js'

const run = (...words: string[]): Promise<Ran> => runCli([...words, '--json'])

t.test('a network with administrators is founded, and only its first node mines', async (t) => {
  const [data, network] = [folderOf(t, 'first'), folderOf(t, 'clinic.json')]
  const found = (name: string, ...rest: string[]): Promise<Ran> =>
    run('found', name, '--data', data, '-o', network, ...rest)
  t.equal(codeOf(await found('My clinic')), 'invalid_network')
  t.equal(codeOf(await found('clinic', '--threshold', '2')), 'invalid_network')
  t.equal(codeOf(await found('clinic', '--threshold', 'two')), 'usage')
  t.equal(codeOf(await found('clinic', '--administrator', 'me')), 'invalid_network')
  t.notOk(existsSync(data), 'what is refused leaves nothing')
  const other = 'ab'.repeat(32)
  const made = await found('clinic', '--administrator', other, '--threshold', '2')
  t.equal(made.code, 0, made.stderr)
  const { nodeKey, genesis } = JSON.parse(made.stdout)
  const file = JSON.parse(readFileSync(network, 'utf8'))
  t.match(file, { name: 'clinic', clearLabels: false, administrators: { threshold: 2 } })
  t.same(file.administrators.keys, [nodeKey, other].sort())
  t.equal(codeOf(await found('clinic')), 'output_exists')
  t.same(JSON.parse(readFileSync(network, 'utf8')), file)

  const first = await startNode(t, { network, data })
  t.match((await get(`${first.url}/status`)).body, { genesis, key: nodeKey })
  const bare = await post(`${first.url}/add_transaction`, {
    user_id: 'u',
    EHR_name: 'MRI',
    ipfs_hash: 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o',
  })
  t.match(bare, { status: 422, body: { code: 'clear_label_forbidden', detail: 'Use "emrchain record".' } })
  const ann = personOf(t, folderOf(t, 'ann', 'wallet.age'), () => first.url)
  await ann.read('wallet', 'init')
  const refused = await ann.run('add', network, '--name', 'MRI')
  t.match([refused.code, codeOf(refused)], [5, 'record_without_consent'])
  t.same((await get(`${first.url}/transactions`)).body, { pending: [] })
  t.equal((await get(`${first.url}/mine_block`)).status, 200)

  const second = await startNode(t, { network })
  t.match(await get(`${second.url}/mine_block`), { status: 422, body: { code: 'block_miner_not_admitted' } })
  t.match((await get(`${second.url}/get_chain`)).body, { length: 1 })
})
