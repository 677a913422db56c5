import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { CID } from 'multiformats/cid'
import t from 'tap'
import type { ClearLabel } from '#emrchain/protocol/bodies/record.js'
import { signRecord } from '#emrchain/protocol/transaction.js'
import { signerOf } from '../fixtures/block-maker.js'
import { multipart } from '../fixtures/multipart.js'
import { sendJson, standInFor } from '../fixtures/stand-in-peer.js'
import { ask, get, networkFile, post, postBytes, startNode, type TestNode, until } from '../fixtures/start-node.js'

/** The calls of the paper, answered as it prints them. */

const HELLO = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
const REPORT = 'QmYCqoyEQcARyEVfsk1hNqtzdWYpeyq22wqu8TMWdtwdAY'
const HEX = /^[0-9a-f]{64}$/
const TIMESTAMP = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{3}000$/
const ID = /^bafyrei[a-z2-7]{52}$/

interface PaperBlock {
  hash: string
  index: number
  miner: string
  nonce: number
  previous_hash: string
  timestamp: string
  transactions: { id: string }[]
}
type Mined = PaperBlock & { message: string }

/** Puts a file into the folder that the node may read, and through create_hash into its store. */
async function store(node: TestNode, name = 'hello.txt', contents: string | Uint8Array = 'hello world\n') {
  writeFileSync(join(node.options.fileRoot, name), contents)
  return post(`${node.url}/create_hash`, { file_path: name })
}
const record = (user_id = 'xxxxx', EHR_name = 'MRI', ipfs_hash = HELLO) => ({ user_id, ipfs_hash, EHR_name })
const mine = async ({ url }: TestNode): Promise<Mined> => (await get(`${url}/mine_block`)).body as Mined
const chainOf = async ({ url }: TestNode, query = '') =>
  (await get(`${url}/get_chain${query}`)).body as { chain: PaperBlock[]; length: number }

t.test('create_hash', async (t) => {
  const node = await startNode(t)
  const answer = await store(node, 'MRI.pdf.aes', Buffer.alloc(63_870, 7))
  t.equal(answer.status, 201)
  t.same(answer.body, { 'IPFS Hash': { Hash: REPORT, Name: 'MRI.pdf.aes', Size: '63884' } })
  t.match(answer.headers['content-type'], /^application\/json/)

  await mkdir(join(node.options.fileRoot, 'ward', 'two'), { recursive: true })
  const deep = await store(node, 'ward/two/note.txt')
  t.same(deep.body, { 'IPFS Hash': { Hash: HELLO, Name: 'note.txt', Size: '20' } }, 'the name is the base name')
  t.same((await store(node)).body, { 'IPFS Hash': { Hash: HELLO, Name: 'hello.txt', Size: '20' } }, 'once more')

  const empty = await store(node, 'empty', '')
  t.same(empty.body, {
    'IPFS Hash': { Hash: 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH', Name: 'empty', Size: '6' },
  })

  const upload = (name: string, contents: string) =>
    ask(`${node.url}/create_hash`, { method: 'POST', ...multipart([{ name: 'file', filename: name, contents }]) })
  const uploaded = await upload('hello.txt', 'hello world\n')
  t.equal(uploaded.status, 201)
  t.same(uploaded.body, { 'IPFS Hash': { Hash: HELLO, Name: 'hello.txt', Size: '20' } })
  t.match(await upload('../../evil', 'x'), { status: 201, body: { 'IPFS Hash': { Name: 'evil' } } })
  const long = await upload('é'.repeat(200), 'y')
  const { Hash, Name } = (long.body as { 'IPFS Hash': { Hash: string; Name: string } })['IPFS Hash']
  t.equal(Name, 'é'.repeat(100), 'a name is cut so that it fits a label and a disk')
  t.equal((await post(`${node.url}/add_transaction`, record('u', 'n', Hash))).status, 201)
})

t.test('add_transaction and add_hash', async (t) => {
  const node = await startNode(t)
  await store(node, 'MRI.pdf.aes', Buffer.alloc(63_870, 7))
  await store(node)
  const first = await post(`${node.url}/add_transaction`, record('xxxxx', 'MRI', REPORT))
  t.equal(first.status, 201)
  const { transaction } = first.body as { transaction: string }
  t.same(first.body, { message: 'This transaction will be added to blockchain 2', index: 2, transaction })
  t.match(transaction, ID)
  const second = await post(`${node.url}/add_hash`, record('xxxxx', 'MRI', REPORT))
  t.match(second, { status: 201, body: { message: 'This transaction will be added to blockchain 2', index: 2 } })
  t.not((second.body as { transaction: string }).transaction, transaction, 'the same again is another record')
  await mine(node)
  const third = await post(`${node.url}/add_hash`, record())
  t.match(third.body, { message: 'This transaction will be added to blockchain 3', index: 3 })

  const block = await mine(node)
  const key = (await get(`${node.url}/status`)).body as { key: string }
  t.same(block.transactions, [
    {
      EHR_name: 'MRI',
      file_name: 'hello.txt',
      id: (third.body as { transaction: string }).transaction,
      ipfs_hash: HELLO,
      signer: key.key,
      size: '20',
      user_id: 'xxxxx',
    },
  ])
})

t.test('a file that was not hashed here is called by its EHR_name, its size comes from its DAG', async (t) => {
  const [here, there] = [await startNode(t), await startNode(t)]
  await store(there, 'MRI.pdf.aes', Buffer.alloc(63_870, 7))
  await here.node.connect([there.url])
  t.equal((await post(`${here.url}/add_transaction`, record('xxxxx', 'Röntgen 😀', REPORT))).status, 201)
  const { transactions } = await mine(here)
  t.match(transactions, [{ EHR_name: 'Röntgen 😀', file_name: 'Röntgen 😀', size: '63884', ipfs_hash: REPORT }])
  t.same(readdirSync(join(here.options.data, 'files')), [], 'to know its size the file itself is not fetched')
  const known = CID.parse(REPORT).toV1().toString()
  t.equal((await post(`${there.url}/add_transaction`, record('xxxxx', 'MRI', known))).status, 201)
  t.match((await mine(there)).transactions, [{ file_name: 'MRI.pdf.aes', ipfs_hash: known }], 'the CID as it was given')
})

t.test('mine_block', async (t) => {
  const node = await startNode(t)
  const [genesis] = (await chainOf(node)).chain
  const empty = await get(`${node.url}/mine_block`)
  t.equal(empty.status, 200)
  const block = empty.body as Mined
  t.same(block, {
    message: 'Congratulations, you just mined a block!',
    hash: block.hash,
    index: 2,
    miner: ((await get(`${node.url}/status`)).body as { key: string }).key,
    nonce: block.nonce,
    previous_hash: genesis?.hash,
    timestamp: block.timestamp,
    transactions: [],
  })
  t.match(block, { hash: HEX, miner: HEX, previous_hash: HEX, timestamp: TIMESTAMP })
  t.ok(Number.isSafeInteger(block.nonce) && block.nonce >= 0)
  t.ok(Math.abs(Date.parse(`${block.timestamp.replace(' ', 'T')}Z`) - Date.now()) < 60_000, 'the time is UTC')
  const posted = await ask(`${node.url}/mine_block`, { method: 'POST' })
  t.match(posted, { status: 200, body: { index: 3, previous_hash: block.hash } })
  t.equal((await chainOf(node)).length, 3)
})

t.test('get_chain of the paper network', async (t) => {
  const node = await startNode(t, { network: 'paper' })
  t.same(await chainOf(node), {
    chain: [
      {
        hash: '67a12b1e870f5459772ce215ccbed7f00cc86b53dc09e4188382159861afb38f',
        index: 1,
        miner: '0'.repeat(64),
        nonce: 0,
        previous_hash: '0',
        timestamp: '2020-09-02 23:31:41.258000',
        transactions: [],
      },
    ],
    length: 1,
  })
  const block = await mine(node)
  t.match(block.hash, /^0000/, '16 bits of work')
})

t.test('get_chain and its ranges', async (t) => {
  const node = await startNode(t)
  await store(node)
  for (let n = 2; n <= 5; n++) {
    await post(`${node.url}/add_transaction`, record('xxxxx', `record ${n}`))
    await mine(node)
  }
  const { chain, length } = await chainOf(node)
  t.equal(length, 5)
  t.same(
    chain.map(({ index }) => index),
    [1, 2, 3, 4, 5],
  )
  for (const [at, block] of chain.entries()) {
    t.match(block, { hash: HEX, timestamp: TIMESTAMP })
    t.equal(block.previous_hash, at === 0 ? '0' : chain[at - 1]?.hash)
    t.same(
      block.transactions.map((transaction) => 'EHR_name' in transaction && transaction.EHR_name),
      at === 0 ? [] : [`record ${at + 1}`],
    )
  }
  const answer = await get(`${node.url}/get_chain`)
  t.match(answer.headers['content-type'], /^application\/json/)
  t.equal(answer.headers['content-length'], undefined, 'it is streamed')

  const parts: [query: string, indexes: number[]][] = [
    ['?from=2&to=4', [2, 3, 4]],
    ['?from=4', [4, 5]],
    ['?to=2', [1, 2]],
    ['?from=5&to=5', [5]],
    ['?from=0&to=1', [1]],
    ['?from=4&to=99', [4, 5]],
    ['?from=6', []],
    ['?from=4&to=2', []],
    ['?to=0', []],
    ['?limit=2', [4, 5]],
    ['?limit=0', []],
    ['?limit=9999999999', [1, 2, 3, 4, 5]],
  ]
  for (const [query, indexes] of parts) {
    const part = await chainOf(node, query)
    const expected = chain.filter(({ index }) => indexes.includes(index))
    t.same(part, { chain: expected, length: 5 }, query)
  }
})

t.test('get_file_hash', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  await store(a)
  await store(a, 'MRI.pdf.aes', Buffer.alloc(63_870, 7))
  const add = async (user_id: string, EHR_name: string, hash: string) => {
    const { body } = await post(`${a.url}/add_transaction`, record(user_id, EHR_name, hash))
    const block = await mine(a)
    await until(b, () => b.node.tip().header.height === block.index - 1)
    const { transaction } = body as { transaction: string }
    return { transaction, block: { index: block.index, hash: block.hash, timestamp: block.timestamp } }
  }
  t.match(await post(`${b.url}/get_file_hash`, { name: 'MRI' }), { status: 404, body: { code: 'file_unknown' } })
  await add('xxxxx', 'MRI', HELLO)
  const newestX = await add('xxxxx', 'MRI', REPORT)
  const ofY = await add('yyyyy', 'MRI', HELLO)
  await add('zzzzz', 'CT', HELLO)

  const x = {
    'File info': { Hash: REPORT, Name: 'MRI.pdf.aes', Size: '63884' },
    EHR_name: 'MRI',
    user_id: 'xxxxx',
    confirmations: 3,
    ...newestX,
  }
  const y = {
    'File info': { Hash: HELLO, Name: 'hello.txt', Size: '20' },
    EHR_name: 'MRI',
    user_id: 'yyyyy',
    confirmations: 2,
    ...ofY,
  }
  for (const { url } of [a, b]) {
    const found = await post(`${url}/get_file_hash`, { name: 'MRI' })
    t.equal(found.status, 200)
    t.same(found.body, { ...y, matches: [y, x] }, 'the newest of each user, newest first')
    t.same((await post(`${url}/get_file_hash`, { name: 'MRI', user_id: 'xxxxx' })).body, x)
    t.same((await post(`${url}/get_file_hash`, { name: 'MRI.pdf.aes' })).body, { ...x, matches: [x] })
    t.match((await post(`${url}/get_file_hash`, { name: 'hello.txt' })).body, {
      user_id: 'zzzzz',
      matches: [{ user_id: 'zzzzz' }, { user_id: 'yyyyy' }, { user_id: 'xxxxx' }],
    })
    for (const query of [{ name: 'mri' }, { name: 'MRI', user_id: 'zzzzz' }, { name: REPORT }]) {
      t.match(await post(`${url}/get_file_hash`, query), { status: 404, body: { code: 'file_unknown' } })
    }
  }
  for (const confirmations of [4, 5]) {
    await mine(a)
    t.match((await post(`${a.url}/get_file_hash`, { name: 'MRI', user_id: 'xxxxx' })).body, { confirmations })
  }
  await post(`${a.url}/add_transaction`, record('wwwww', 'pending'))
  t.match(await post(`${a.url}/get_file_hash`, { name: 'pending' }), { status: 404 }, 'only what is on the chain')
})

t.test('get_file', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  const contents = Buffer.alloc(700_000, 7)
  const { body } = await store(a, 'MRI.pdf.aes', contents)
  const { Hash } = (body as { 'IPFS Hash': { Hash: string } })['IPFS Hash']
  await post(`${a.url}/add_transaction`, record('xxxxx', 'MRI', Hash))
  const { index } = await mine(a)
  await until(b, () => b.node.tip().header.height === index - 1)

  const { downloads } = b.options
  for (const [name, query] of [
    ['MRI.pdf.aes', Hash],
    ['MRI.pdf (1).aes', Hash],
    ['MRI.pdf (2).aes', CID.parse(Hash).toV1().toString()],
  ] as const) {
    const got = await post(`${b.url}/get_file`, { ipfs_hash: query })
    t.equal(got.status, 200)
    t.same(got.body, {
      message: 'The File has Retrieved at Your Local Directory',
      path: join(downloads, name),
      size: 700_000,
    })
    t.ok(readFileSync(join(downloads, name)).equals(contents))
  }
  writeFileSync(join(downloads, 'MRI.pdf.aes'), 'mine')
  await post(`${b.url}/get_file`, { ipfs_hash: Hash })
  t.equal(readFileSync(join(downloads, 'MRI.pdf.aes'), 'utf8'), 'mine', 'nothing is overwritten')
  t.same(readdirSync(downloads).sort(), ['MRI.pdf (1).aes', 'MRI.pdf (2).aes', 'MRI.pdf (3).aes', 'MRI.pdf.aes'])
  const unknown = await post(`${b.url}/get_file`, { ipfs_hash: REPORT })
  t.match(unknown, { status: 404, body: { code: 'file_unavailable' } })
  await store(a, 'nameless', 'hello world\n')
  const nameless = await post(`${b.url}/get_file`, { ipfs_hash: HELLO })
  t.match(nameless.body, { path: join(downloads, HELLO) }, 'a file that no record names is called by its CID')
})

t.test('get_file writes by base name only, whatever a record says', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  await a.node.connect([b.url])
  const evil: [claimed: string, written: string][] = [
    ['../../evil', 'evil'],
    ['/etc/passwd', 'passwd'],
    ['..', '_'],
    ['.', '_ (1)'],
    ['/', 'file'],
    ['C:\\Windows\\evil.exe', 'evil.exe'],
    ['..\\..\\evil2', 'evil2'],
    ['.ssh', '_ssh'],
    ['a\nb\u0000c\u001b[31m\u009bd.pdf', 'a_b_c_[31m_d.pdf'],
    ['fdp\u202e.exe', 'fdp_.exe'],
    ['é'.repeat(128), 'é'.repeat(100)],
    ['€'.repeat(85), '€'.repeat(66)],
    [`${'n'.repeat(250)}.pdf`, 'n'.repeat(200)],
  ]
  for (const [n, [claimed, written]] of evil.entries()) {
    const { cid } = await a.node.createHash(
      { name: 'x', source: Readable.from([Buffer.from(`file ${n}`)]) },
      new AbortController().signal,
    )
    const label = { user_id: 'u', EHR_name: 'n', file_name: claimed, size: 14 }
    await send(a, cid, label)
    const { index } = await mine(a)
    await until(b, () => b.node.tip().header.height === index - 1)
    const got = await post(`${b.url}/get_file`, { ipfs_hash: cid.toString() })
    const { path } = got.body as { path: string }
    t.equal(got.status, 200, JSON.stringify(got.body))
    t.equal(dirname(path), b.options.downloads)
    t.equal(basename(path), written, JSON.stringify(claimed))
    t.equal(readFileSync(path, 'utf8'), `file ${n}`)
  }
  t.same(readdirSync(b.options.downloads).sort(), evil.map(([, written]) => written).sort())
  t.same(readdirSync(dirname(b.options.downloads)).sort(), ['data', 'downloads', 'records'])

  async function send(node: TestNode, cid: CID, label: ClearLabel): Promise<void> {
    const fields = { chain: node.node.genesis, at: Date.now(), body: { file: cid.bytes, label } }
    const { bytes } = signRecord(fields, signerOf('mallory'))
    const answer = await postBytes(`${node.url}/transactions`, 'application/vnd.ipld.dag-cbor', bytes)
    t.equal(answer.status, 202)
  }
})

t.test('connect_node', async (t) => {
  const [a, b, c] = [await startNode(t), await startNode(t), await startNode(t)]
  const other = await startNode(t, { network: networkFile(t, { name: 'other' }) })
  const dead = await startNode(t)
  await dead.close()
  const contacts: string[] = []
  const watched = await standInFor(t, b, { 'POST /peers': ({ url }) => contacts.push(String(url)) })
  const { port } = new URL(watched.url)
  const redirecting = await standInFor(t, b, {
    'POST /peers': (_, response) => response.writeHead(307, { location: `${b.url}/peers` }).end(),
  })
  const web = await standInFor(t, b, { 'POST /peers': (_, response) => sendJson(response, { hello: 'world' }) })

  const refused: [node: string, code: string][] = [
    [dead.url, 'peer_unreachable'],
    [other.url, 'other_network'],
    [redirecting.url, 'peer_misbehaved'],
    [web.url, 'peer_misbehaved'],
    ['ftp://127.0.0.1:5004', 'peer_bad_address'],
    ['127.0.0.1:5004', 'peer_bad_address'],
    ['', 'peer_bad_address'],
    [`${c.url}/path`, 'peer_bad_address'],
    [`http://user:pass@127.0.0.1:${port}`, 'peer_bad_address'],
    ['http://10.0.0.1:5002', 'peer_forbidden'],
    [`http://0.0.0.0:${port}`, 'peer_forbidden'],
    [`http://[::ffff:127.0.0.1]:${port}`, 'peer_forbidden'],
    ['http://169.254.169.254', 'peer_forbidden'],
    ['http://example.com', 'peer_forbidden'],
  ]
  const answer = await post(`${a.url}/connect_node`, { nodes: [c.url, ...refused.map(([node]) => node), b.url, a.url] })
  t.equal(answer.status, 201)
  const body = answer.body as { message: string; total_nodes: string[]; refused: { node: string; reason: string }[] }
  t.same(Object.keys(body).sort(), ['message', 'refused', 'total_nodes'])
  t.equal(body.message, 'All the nodes are now connected. The Blockchain now contains the following code')
  const addresses = (...nodes: TestNode[]): string[] => nodes.map(({ url }) => new URL(url).host).sort()
  t.same(body.total_nodes, addresses(a, b, c))
  t.same(
    body.refused.map(({ node, reason, ...rest }) => ({ node, ...rest })),
    refused.map(([node, code]) => ({ node, code })).sort((x, y) => (x.node < y.node ? -1 : 1)),
  )
  for (const { reason } of body.refused) t.match(reason, /^[A-Z].*\.$/, 'a sentence')
  t.same(contacts, [], 'what is not allowed is not contacted')

  t.same((await get(`${b.url}/peers`)).body, { peers: [known(a)] }, 'it is registered there too')
  t.same((await post(`${b.url}/connect_node`, { nodes: [] })).body, {
    message: body.message,
    total_nodes: addresses(a, b),
    refused: [],
  })
  t.same(((await get(`${other.url}/peers`)).body as { peers: [] }).peers, [])

  function known(node: TestNode): unknown {
    const [peer] = b.node.peers()
    const { key, tip } = node.node.hello()
    const state = { state: 'connected', score: 0, chosen: false }
    return { address: node.url, key, tip, seenAt: peer?.seenAt, ...state }
  }
})

t.test('connect_node takes nodes.example.json as it is, and a node is not listed twice', async (t) => {
  const nodes = [await startNode(t), await startNode(t), await startNode(t)]
  const example: unknown = JSON.parse(readFileSync(new URL('../../nodes.example.json', import.meta.url), 'utf8'))
  t.same(example, { nodes: ['http://127.0.0.1:5002', 'http://127.0.0.1:5003', 'http://127.0.0.1:5004'] })
  // The same file, with the ports of these nodes.
  const file = JSON.stringify({ nodes: nodes.map(({ url }) => url) }, undefined, 2)
  const hosts = nodes.map(({ url }) => new URL(url).host).sort()
  for (const { url } of nodes) {
    const headers = { 'content-type': 'application/json' }
    const answer = await ask(`${url}/connect_node`, { method: 'POST', headers, body: file })
    t.match(answer, { status: 201, body: { total_nodes: hosts, refused: [] } })
  }
  const [first, second] = nodes
  if (!first || !second) throw new Error('unreachable')
  const again = [second.url, `${second.url}/`, second.url.toUpperCase(), first.url.replace('127.0.0.1', 'localhost')]
  const answer = await post(`${first.url}/connect_node`, { nodes: again })
  t.match(answer.body, { total_nodes: hosts, refused: [] })
  await post(`${first.url}/connect_node`, { nodes: [second.url.replace('127.0.0.1', 'localhost')] })
  t.equal(first.node.peers().length, 2, 'a node under another name is the same node')
})

t.test('is_valid', async (t) => {
  const whole = await startNode(t)
  await store(whole)
  await post(`${whole.url}/add_transaction`, record())
  for (let n = 0; n < 3; n++) await mine(whole)
  const answer = await get(`${whole.url}/is_valid`)
  t.equal(answer.status, 200)
  t.same(answer.body, { message: 'The blockchain is valid.', valid: true })

  // A node that is not started again may have kept the blocks as text.
  await whole.close()
  const node = await startNode(t, whole.options)
  const path = join(node.options.data, 'chain.car')
  const bytes = readFileSync(path)
  const at = bytes.indexOf('xxxxx')
  bytes[at] = 0x79
  writeFileSync(path, bytes)
  const damaged = await get(`${node.url}/is_valid`)
  t.equal(damaged.status, 200)
  t.same(damaged.body, { message: 'The blockchain is not valid.', valid: false, code: 'chain_damaged', index: 2 })
  t.match(await get(`${node.url}/blocks/2`), { status: 500, body: { code: 'chain_damaged' } }, 'and it is not served')
  await t.rejects(get(`${node.url}/get_chain`), 'an answer that cannot be completed is cut')
})

t.test('replace_chain', async (t) => {
  const [a, b] = [await startNode(t), await startNode(t)]
  const peer = await standInFor(t, a)
  await b.node.connect([peer.url])
  const { chain } = await chainOf(b)
  const same = await get(`${b.url}/replace_chain`)
  t.equal(same.status, 200)
  t.same(same.body, { message: 'The chain is the best that is known.', actual_chain: chain })
  for (let n = 0; n < 3; n++) await mine(a)
  const replaced = await get(`${b.url}/replace_chain`)
  t.same(replaced.body, { message: 'The chain was replaced by a better one.', new_chain: (await chainOf(a)).chain })
  t.same(await chainOf(b), await chainOf(a))
})

t.test('the paper, from end to end', async (t) => {
  const network = 'paper'
  const [first, second, third] = [
    await startNode(t, { network }),
    await startNode(t, { network }),
    await startNode(t, { network }),
  ]
  await post(`${first.url}/connect_node`, { nodes: [second.url, third.url] })
  await store(first, 'MRI.pdf.aes', Buffer.alloc(63_870, 7))
  await post(`${first.url}/add_transaction`, record('xxxxx', 'MRI', REPORT))
  await until(second, () => [...second.node.pendingTransactions()].length === 1)
  t.match(await mine(second), { index: 2, transactions: [{ user_id: 'xxxxx', EHR_name: 'MRI' }] })
  await until(third, () => third.node.tip().header.height === 1)
  const { body } = await post(`${third.url}/get_file_hash`, { name: 'MRI' })
  const { Hash } = (body as { 'File info': { Hash: string } })['File info']
  const got = await post(`${third.url}/get_file`, { ipfs_hash: Hash })
  t.ok(readFileSync((got.body as { path: string }).path).equals(Buffer.alloc(63_870, 7)))
})
