import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeBlocks } from '#emrchain/protocol/car.js'
import { readDocument } from '../docs/markdown.js'
import { createBlockMaker } from '../fixtures/block-maker.js'
import { get, post, postBytes, startNode, type TestNode } from '../fixtures/start-node.js'

/** `/metrics` and `/status`: what they say is so, and the table of docs/operations.md says what they say. */

const CAR = 'application/vnd.ipld.car'
const CBOR = 'application/vnd.ipld.dag-cbor'

/** One line of a sample: its name, its labels, its value. */
interface Sample {
  readonly name: string
  readonly labels: Record<string, string>
  readonly value: number
}

function samplesOf(text: string): Sample[] {
  return [...text.matchAll(/^([a-z_]+)(?:\{([^}]*)\})? (\S+)$/gm)].map(([, name = '', labels = '', value]) => ({
    name,
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', text = '']) => [key, text])),
    value: Number(value),
  }))
}

async function scrape(node: TestNode) {
  const { status, headers, body } = await get(`${node.url}/metrics`)
  const text = String(body)
  const samples = samplesOf(text)
  const reading = (name: string, labels: Record<string, string> = {}): number | undefined =>
    samples.find(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )?.value
  return { status, type: headers['content-type'], text, samples, reading }
}

async function addRecord(node: TestNode, EHR_name: string): Promise<void> {
  writeFileSync(join(node.options.fileRoot, 'hello.txt'), 'hello world\n')
  await post(`${node.url}/create_hash`, { file_path: 'hello.txt' })
  const ipfs_hash = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
  await post(`${node.url}/add_transaction`, { user_id: 'xxxxx', ipfs_hash, EHR_name })
}

t.test('the numbers are those of what happened', async (t) => {
  const maker = createBlockMaker()
  let time = maker.genesis.time + 60_000
  const node = await startNode(t, {}, { now: () => time })
  const fresh = await scrape(node)
  t.equal(fresh.status, 200)
  t.equal(fresh.type, 'text/plain; version=0.0.4; charset=utf-8')
  for (const [name, value] of [
    ['emrchain_chain_height', 0],
    ['emrchain_chain_text_blocks', 0],
    ['emrchain_chain_work_hashes', 0],
    ['emrchain_chain_next_work_hashes', 2],
    ['emrchain_chain_tip_age_seconds', 60],
    ['emrchain_reorganisations_total', 0],
    ['emrchain_mempool_transactions', 0],
    ['emrchain_mining_active', 0],
  ] as const) {
    t.equal(fresh.reading(name), value, name)
  }
  t.equal(fresh.reading('emrchain_file_store_healthy', { kind: 'embedded' }), 1)

  await addRecord(node, 'MRI')
  t.ok(((await scrape(node)).reading('emrchain_mempool_bytes') ?? 0) > 200)
  await get(`${node.url}/mine_block`)
  await get(`${node.url}/mine_block`)
  const { header } = node.node.tip()
  await get(`${node.url}/get_chain`)
  t.equal((await scrape(node)).reading('emrchain_chain_text_blocks'), 3)

  // A branch of three blocks that leaves before both of them, then an invalid block, and records that are refused.
  const [one, two, three] = (() => {
    const one = maker.block(maker.genesis, [])
    const two = maker.block(one.header, [])
    return [one, two, maker.block(two.header, [])] as const
  })()
  t.equal((await postBytes(`${node.url}/blocks`, CAR, encodeBlocks([one, two, three]))).status, 202)
  t.notOk(node.node.tip().header.id.equals(header.id), 'the branch won')
  const wrong = maker.block(three.header, [], { header: { height: 9 } })
  t.equal((await postBytes(`${node.url}/blocks`, CAR, encodeBlocks([wrong]))).status, 422)
  const late = maker.record('late', { at: time + 121_000 })
  t.equal((await postBytes(`${node.url}/transactions`, CBOR, late.bytes)).status, 422)
  t.equal((await get(`${node.url}/blocks/9999`)).status, 404)
  t.equal((await get(`${node.url}/no-such-place/of-a-patient`)).status, 404)
  time += 5_000

  const after = await scrape(node)
  for (const [name, value, labels] of [
    ['emrchain_chain_height', 3],
    ['emrchain_chain_work_hashes', 6],
    ['emrchain_blocks_mined_total', 2],
    ['emrchain_blocks_connected_total', 5],
    ['emrchain_transactions_connected_total', 1],
    ['emrchain_transactions_accepted_total', 1],
    ['emrchain_mempool_transactions', 1],
    ['emrchain_reorganisations_total', 1],
    ['emrchain_reorganised_blocks_total', 2],
    ['emrchain_reorganisation_deepest_blocks', 2],
    ['emrchain_up_seconds', 5],
    ['emrchain_blocks_refused_total', 1, { code: 'header_wrong_height' }],
    ['emrchain_transactions_refused_total', 1, { code: 'transaction_from_future' }],
    ['emrchain_http_request_duration_seconds_count', 2, { route: '/mine_block', method: 'GET', status: '2xx' }],
    ['emrchain_http_request_duration_seconds_count', 1, { route: '/blocks/:id', status: '4xx' }],
    ['emrchain_http_request_duration_seconds_count', 1, { route: 'none', method: 'other', status: '4xx' }],
    ['emrchain_peers', 0, { state: 'answering' }],
  ] as const) {
    t.equal(after.reading(name, labels), value, `${name} ${JSON.stringify(labels ?? {})}`)
  }
  t.ok((after.reading('emrchain_mining_hashes_total') ?? 0) >= 2)
  t.equal((await scrape(node)).reading('emrchain_reorganisations_total'), 1, 'a scrape adds nothing')
  t.notMatch(after.text, /patient|MRI|xxxxx|hello|no-such/, 'nothing of a request or record')
  const { rss } = process.memoryUsage()
  t.ok(Math.abs((after.reading('process_resident_memory_bytes') ?? 0) - rss) < rss / 2)
  t.ok((after.reading('process_cpu_seconds_total') ?? 0) > 0)

  const { body } = await get(`${node.url}/status`)
  t.match(body, {
    uptime: 5,
    tip: { height: 3, age: 62 },
    next: { target: '207fffff', work: '2' },
    reorganisations: { count: 1, deepest: 2 },
    peerStates: { answering: 0, failing: 0, unheard: 0 },
    sync: { state: 'alone', bestHeight: 3 },
    miner: { searching: false, hashesPerSecond: 0 },
    warnings: ['no_peers'],
  })
})

t.test('what the tables of docs/operations.md name is what is there', async (t) => {
  const node = await startNode(t)
  const maker = createBlockMaker()
  // What is counted by its code has no line before it happened.
  await postBytes(`${node.url}/transactions`, CBOR, maker.record('late', { at: Date.now() + 1e9 }).bytes)
  const wrong = maker.block(maker.genesis, [], { header: { height: 9 } })
  await postBytes(`${node.url}/blocks`, CAR, encodeBlocks([wrong]))
  const junk = new Uint8Array(3)
  t.equal((await postBytes(`${node.url}/shares/${maker.genesis.id}/release`, CBOR, junk)).status, 422)
  await scrape(node)
  const { text, samples } = await scrape(node)
  const kinds = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', kind = '']) => [name, kind]))
  const found = [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help = '']) => {
    const own = samples.filter((sample) => sample.name === name || sample.name === `${name}_count`)
    const labels = Object.keys(own[0]?.labels ?? {}).map((label) => `\`${label}\``)
    return `| \`${name}\` | ${kinds.get(name)} | ${labels.join(', ') || '-'} | ${help} |`
  })
  const page = readDocument('docs/operations.md')
  const rows = page.split('\n').filter((line) => /^\| `(emrchain|process|nodejs)_[a-z_]+` \|/.test(line))
  t.ok(found.length > 25)
  t.same([...rows].sort(), [...found].sort())
})

t.test('two nodes in one process count apart', async (t) => {
  const one = await startNode(t)
  const two = await startNode(t)
  await get(`${one.url}/mine_block`)
  t.equal((await scrape(one)).reading('emrchain_chain_height'), 1)
  const { reading } = await scrape(two)
  t.equal(reading('emrchain_chain_height'), 0)
  t.equal(reading('emrchain_http_request_duration_seconds_count', { route: '/mine_block' }), undefined)
})
