import { type ChildProcess, spawn } from 'node:child_process'
import { type EventEmitter, once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { exitCodes } from '#emrchain/cli/exit-codes.js'
import { withLock } from '#emrchain/cli/lock-file.js'
import { bytesText, printable, table } from '#emrchain/cli/text.js'
import { SMALL_YOUNG_GENERATION } from '#emrchain/cli/young-generation.js'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { VERSION } from '#emrchain/node/version.js'
import { parseFileCid } from '#emrchain/protocol/cid.js'
import type { TestScope } from '../fixtures/block-maker.js'
import { bytesOf, keystream } from '../fixtures/file-content.js'
import { commandsOf } from '../fixtures/run-cli.js'
import { easyNetwork, folderOf, startNode } from '../fixtures/start-node.js'

const program = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))
const cheapWallets = fileURLToPath(new URL('../fixtures/cheap-wallets.js', import.meta.url))

interface Outcome {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs commands in a folder of the test, with an environment that no variable of this machine gets into. */
function shellOf(t: TestScope, settings: Readonly<Record<string, string>> = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('EMRCHAIN_'))
  const environment = { ...Object.fromEntries(inherited), HOME: folderOf(t), ...settings }
  const start = (words: readonly string[], change: Readonly<Record<string, string>> = {}): ChildProcess =>
    spawn(process.execPath, [`--import=${cheapWallets}`, program, ...words], {
      cwd: folderOf(t),
      env: { ...environment, ...change },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  /**
   * In a process that runs other commands too, unless it is to be given something to read, or another passphrase: a
   * process opens a wallet once.
   */
  async function run(line: string, { input = '', ...change }: Record<string, string> = {}): Promise<Outcome> {
    if (input === '' && change.EMRCHAIN_PASSPHRASE === undefined) {
      const { code, stdout, stderr } = await commandsOf(t)({
        ...{ words: line.split(' '), env: { ...environment, ...change } },
        cwd: folderOf(t),
      })
      return { code, out: stdout, err: stderr }
    }
    const child = start(line.split(' '), change)
    child.stdin?.end(input)
    const [out, err, [code]] = await Promise.all([
      child.stdout ? text(child.stdout) : '',
      child.stderr ? text(child.stderr) : '',
      once(child, 'close'),
    ])
    return { code, out, err }
  }
  return { start, run }
}

const json = ({ out }: Outcome): unknown => JSON.parse(out)
const problem = ({ err }: Outcome): unknown => JSON.parse(err)

t.test('a record goes from one wallet to another', async (t) => {
  const { url, node } = await startNode(t)
  const home = folderOf(t)
  const wallet = join(home, 'wallets', 'wallet.age')
  const contents = await bytesOf(keystream(200_001, 'cli'))
  writeFileSync(join(home, 'MRI.pdf'), contents)
  const { run, start } = shellOf(t, {
    EMRCHAIN_NODE: url,
    EMRCHAIN_WALLET: wallet,
    EMRCHAIN_PASSPHRASE: 'correct horse',
  })

  const init = await run('wallet init')
  t.match(init, { code: 0, err: '', out: /A new wallet is in .*wallet\.age/ })
  t.equal(statSync(wallet).mode & 0o777, 0o600)
  t.equal(statSync(join(home, 'wallets')).mode & 0o777, 0o700)
  const sealed = readFileSync(wallet)
  t.match(problem(await run('wallet init --json')), { error: { code: 'wallet_exists', exitCode: 7 } })
  t.ok(sealed.equals(readFileSync(wallet)), 'the wallet is as it was')

  const added = json(await run('add MRI.pdf --name MRI --user xxxxx --mine --json'))
  t.match(added, {
    name: 'MRI',
    file: 'MRI.pdf',
    size: contents.length,
    cid: /^Qm/,
    stored: { Name: 'MRI.pdf.aes', Size: /^\d+$/ },
    transaction: /^bafyrei/,
    block: { index: 2, hash: /^[0-9a-f]{64}$/ },
    labelled: true,
  })
  const { cid } = added as { cid: string }
  t.match(
    [...((await node.blockAt(1))?.transactions ?? [])],
    [{ body: { label: { user_id: 'xxxxx', EHR_name: 'MRI' } } }],
  )
  t.equal(statSync(wallet).mode & 0o777, 0o600)
  t.same(readdirSync(join(home, 'wallets')), ['wallet.age'], 'nothing is left beside the wallet')

  // Each opens the wallet, which takes its time: all at once.
  const other = { EMRCHAIN_WALLET: join(home, 'other.age'), EMRCHAIN_PASSPHRASE: 'other' }
  writeFileSync(join(home, 'mine.pdf'), 'something else')
  const [list, got, refused, wrong, exported, otherInit] = await Promise.all([
    run('list'),
    run('get MRI -o out.pdf --json'),
    run('get MRI -o mine.pdf'),
    run('list --json', { EMRCHAIN_PASSPHRASE: 'wrong horse' }),
    run(`key export ${cid} -o MRI.key`),
    run('wallet init', other),
  ])
  t.match(list.out, /^NAME +FILE +SIZE +ADDED +RECORD +CID\nMRI +MRI\.pdf +200 kB +\S+ \S+ +block 2, 1 deep +Qm\w+\n$/)
  t.equal(list.code, 0)

  t.same(json(got), { name: 'MRI', cid, path: 'out.pdf', size: contents.length })
  t.ok(contents.equals(readFileSync(join(home, 'out.pdf'))))
  t.equal(statSync(join(home, 'out.pdf')).mode & 0o777, 0o600)

  t.match(refused, { code: 7, out: '', err: /^emrchain: .*left as it is.*\[output_exists\]\n/ })
  t.equal(readFileSync(join(home, 'mine.pdf'), 'utf8'), 'something else')

  t.equal(wrong.code, 6)
  t.equal(wrong.out, '')
  t.match(problem(wrong), { error: { code: 'passphrase_wrong', message: /\.$/, facts: {}, exitCode: 6 } })
  t.notMatch(wrong.err, /horse/)

  // To somebody else, through a file and through a pipe.
  t.equal(exported.code, 0)
  t.equal(statSync(join(home, 'MRI.key')).mode & 0o777, 0o600)
  const key = readFileSync(join(home, 'MRI.key'), 'utf8')
  t.match(key, /^emrchain-key:v1:\S+\n$/)
  t.notOk(exported.out.includes(key.trim()))
  t.equal(otherInit.code, 0)
  t.match(json(await run('key import --json', { ...other, input: key })), { name: 'MRI', fileName: 'MRI.pdf', cid })
  const theirs = await run('get MRI -o mine.pdf --force', other)
  t.equal(theirs.code, 0)
  t.ok(contents.equals(readFileSync(join(home, 'mine.pdf'))))

  // The file as the node's peers and the paper's calls see it, opened without the node.
  const encrypted = await bytesOf(await node.readFile(parseFileCid(cid), AbortSignal.timeout(10_000)))
  writeFileSync(join(home, 'MRI.pdf.aes'), encrypted)
  const here = { EMRCHAIN_NODE: 'http://127.0.0.1:1' }
  t.equal((await run('decrypt MRI.pdf.aes -o by-key.pdf --key-file MRI.key', here)).code, 0)
  t.ok(contents.equals(readFileSync(join(home, 'by-key.pdf'))))
  t.equal((await run('decrypt MRI.pdf.aes -o by-wallet.pdf', here)).code, 0)
  t.ok(contents.equals(readFileSync(join(home, 'by-wallet.pdf'))))

  // Names are text of somebody: none may turn what a terminal shows.
  const turned = await run('add MRI.pdf --name scan\u202efdp --mine')
  t.match(turned, { code: 0, out: /Its record is "scan\\u\{202e\}fdp"/ })
  const turnedBack = await run('get scan\u202efdp -o turned.pdf')
  t.match(turnedBack, { code: 0, out: /^scan\\u\{202e\}fdp is in turned\.pdf/ })

  // Ctrl-C when half of the file is here.
  const status = await (await fetch(`${url}/status`)).text()
  const slow = createServer((request, reply) => {
    reply.setHeader('content-type', 'application/json')
    if (request.url === '/status') reply.end(status)
    else reply.write(encrypted.subarray(0, 150_000))
  }).listen(0, '127.0.0.1')
  await once(slow, 'listening')
  t.teardown(() => {
    slow.closeAllConnections()
    slow.close()
  })
  // A node that goes away between the file and its record.
  const upload = createServer(async (request, reply) => {
    if (request.url === '/transactions') return reply.destroy()
    request.resume()
    reply.setHeader('content-type', 'application/json')
    if (request.url === '/status') return reply.end(status)
    await once(request, 'end')
    const Hash = 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o'
    reply.writeHead(201).end(JSON.stringify({ 'IPFS Hash': { Hash, Name: 'MRI.pdf.aes', Size: '200000' } }))
  }).listen(0, '127.0.0.1')
  await once(upload, 'listening')
  t.teardown(() => upload.close())
  t.match(
    await run('add MRI.pdf --name again', {
      EMRCHAIN_NODE: `http://127.0.0.1:${(upload.address() as AddressInfo).port}`,
    }),
    {
      code: 3,
      err: /is stored, encrypted, as Qm.*, and its key is in the wallet[\s\S]*\[node_/,
    },
  )
  const watcher = watch(home)
  const child = start(['get', 'MRI', '-o', 'half.pdf'], {
    EMRCHAIN_NODE: `http://127.0.0.1:${(slow.address() as AddressInfo).port}`,
  })
  const partial = new Promise<void>((resolve) => {
    watcher.on('change', (_event, name) => {
      // Nine chunks of it are here.
      if (String(name).endsWith('.aes.part') && statSync(join(home, String(name))).size > 147_000) resolve()
    })
  })
  const closed = once(child, 'close')
  await Promise.race([partial, closed])
  watcher.close()
  child.kill('SIGINT')
  t.equal((await closed)[0], 130)
  t.notOk(existsSync(join(home, 'half.pdf')))
  const left = () => readdirSync(home).filter((name) => name.endsWith('.part') || name.endsWith('.lock'))
  t.same(left(), [`.half.pdf.${cid.slice(-12)}.aes.part`], 'what has come, encrypted')
  const rest = await run('get MRI -o half.pdf')
  t.match(rest, { code: 0, err: /^148 kB of 200 kB are here already\.\n$/ })
  t.ok(contents.equals(readFileSync(join(home, 'half.pdf'))))
  t.same(left(), [])
})

t.test('commands that ask a node', async (t) => {
  const { url, node } = await startNode(t)
  const other = await startNode(t)
  const { run, start } = shellOf(t, { EMRCHAIN_NODE: url })

  const status = await run('status --json')
  t.match(json(status), {
    url,
    network: 'easy',
    genesis: node.genesis.toString(),
    fileStore: { kind: 'embedded' },
    warnings: ['no_peers'],
  })
  const { out: text } = await run('status')
  t.match(text, /^node +http.*, up for .*\nnetwork +easy, genesis bafy.*\nchain +1 block,/)
  t.match(text, /\ntip age +no block after genesis yet\nsync +nobody to compare with/)
  t.match(text, /\nnext block +2 hashes on average, target 207fffff\npeers +0\n[\s\S]*\nwarning .*\[no_peers\]\n$/)

  const listening = new Promise<void>((resolve) => {
    const events: EventEmitter = node.events
    events.on('newListener', (name) => {
      if (name === 'tip') resolve()
    })
  })
  const watching = start(['mine', '--watch', '--json'])
  if (!watching.stdout || !watching.stderr) throw new Error('no pipes')
  const seen = once(createInterface(watching.stdout), 'line')
  await listening
  const mined = json(await run('mine --json'))
  t.match(mined, { index: 2, transactions: [], previous_hash: /^[0-9a-f]{64}$/ })
  t.same(JSON.parse(String((await seen)[0])), mined)
  const gone = once(watching, 'close')
  watching.kill('SIGINT')
  t.equal((await gone)[0], 0, 'Ctrl-C is how one stops to watch')
  t.match((await run('mine')).out, /^Mined block 3 with 0 records, [0-9a-f]{64}\.\n$/)

  const chain = json(await run('chain --from 2 --json')) as { chain: { index: number }[]; length: number }
  t.same(
    chain.chain.map(({ index }) => index),
    [2, 3],
  )
  t.equal(chain.length, 3)
  t.match(
    (await run('chain --limit 1')).out,
    /^BLOCK +TIME \(UTC\) +HASH +MINER +RECORDS\n3 +\S+ \S+ +\S+… +\S+… +-\n$/,
  )
  t.match(problem(await run('chain --from 9 --json')), { error: { code: 'block_unknown', exitCode: 4 } })

  const connected = await run(`connect ${other.url} ftp://x --json`)
  t.equal(connected.code, 5, 'one of the two was refused')
  t.match(json(connected), { total_nodes: Array, refused: [{ node: 'ftp://x', code: 'peer_bad_address' }] })
  t.match((await run('peers')).out, new RegExp(`^NODE .*\\n${other.url} +connected +0 +`))
  t.match((await run(`peers --block ${other.url}`)).out, new RegExp(`\\n${other.url} +blocked +0 +`))
  t.match(problem(await run('peers --block ftp://x --json')), { error: { code: 'peer_bad_address' } })
  const unblocked = await run(`peers --unblock ${other.url} --json`)
  t.match(json(unblocked), { peers: [{ address: other.url, score: 0, chosen: true }] })
})

t.test('commands that need no node', async (t) => {
  const home = folderOf(t)
  const { run } = shellOf(t, { EMRCHAIN_NODE: 'http://127.0.0.1:1' })
  const contents = await bytesOf(keystream(70_000, 'local'))
  writeFileSync(join(home, 'a.bin'), contents)

  t.match(json(await run('encrypt a.bin --json')), { path: 'a.bin.aes', keyFile: 'a.bin.aes.key', size: 70_136 })
  t.match(readFileSync(join(home, 'a.bin.aes.key'), 'utf8'), /^[0-9a-f]{64}\n$/)
  t.equal(statSync(join(home, 'a.bin.aes.key')).mode & 0o777, 0o600)
  t.equal((await run('decrypt a.bin.aes -o b.bin --key-file a.bin.aes.key')).code, 0)
  t.ok(contents.equals(readFileSync(join(home, 'b.bin'))))

  writeFileSync(join(home, 'wrong.key'), `${'ab'.repeat(32)}\n`)
  const damaged = readFileSync(join(home, 'a.bin.aes'))
  damaged[60_000] = (damaged[60_000] ?? 0) ^ 1
  writeFileSync(join(home, 'damaged.aes'), damaged)

  writeFileSync(join(home, 'w.age'), 'not a wallet')
  const refusals: [line: string, expected: object][] = [
    ['decrypt a.bin.aes -o c.bin --key-file wrong.key', { code: 5, err: /\[cipher_wrong_key\]/ }],
    ['decrypt damaged.aes -o c.bin --key-file a.bin.aes.key', { code: 5, err: /\[cipher_damaged\]/ }],
    ['encrypt a.bin', { code: 7, err: /\[output_exists\]/ }],
    ['add a.bin --name a', { code: 6, err: /\[wallet_missing\]/ }],
    ['list --wallet w.age', { code: 6, err: /\[passphrase_missing\]/ }],
    ['add nothing.bin --name a', { code: 4, err: /\[input_unreadable\]/ }],
    ['add /dev/null --name a', { code: 4, err: /\[input_unreadable\]/ }],
    ['add . --name a', { code: 6, err: /\[wallet_missing\]/ }],
    ['status', { code: 3, out: '', err: /^emrchain: .* http:\/\/127\.0\.0\.1:1 \[node_unreachable\]\n/ }],
    ['status --node nonsense', { code: 2, err: /\[peer_bad_address\]\n.*https:\/\/node\.example:5002/ }],
    ['status --node node.example:5002', { code: 2, err: /\[peer_bad_address\]/ }],
    ['status --node localhost:1', { code: 3, err: /http:\/\/localhost:1 \[node_unreachable\]/ }],
    ['ad a.bin', { code: 2, out: '', err: /Did you mean add\?.*\[usage\]/ }],
    ['chain --limit 1 --to 3', { code: 2, err: /\[usage\]/ }],
    ['start --port 70000', { code: 2, err: /command line, port.*\[config_invalid\]/ }],
    ['verify --data nowhere', { code: 4, err: /\[path_not_found\]/ }],
  ]
  await Promise.all(refusals.map(async ([line, expected]) => t.match(await run(line), { out: '', ...expected }, line)))
  t.notOk(existsSync(join(home, 'c.bin')), 'no part of it stays')
  t.match(problem(await run('add a.bin --json')), { error: { code: 'usage', message: /--name/, exitCode: 2 } })

  const chain = [
    { index: 1, nonce: 1, previous_hash: '0', timestamp: '2020-09-02 23:31:41.258101', transactions: [] },
    {
      index: 2,
      nonce: 533,
      previous_hash: '03bee3d22f9c590f051f15f6efe33f282cfeac3fd90957779f04ddf29c2c879d',
      timestamp: '2020-09-02 23:33:07.304063',
      transactions: [],
    },
  ]
  writeFileSync(join(home, 'chain.json'), JSON.stringify({ chain, length: 2 }))
  const verified = await run('prototype verify chain.json')
  t.match(verified, { code: 0, out: /Valid by the prototype's rules: 2 blocks\.[\s\S]*do not protect/ })
  writeFileSync(join(home, 'chain.json'), JSON.stringify({ chain: [chain[0], { ...chain[1], nonce: 534 }], length: 2 }))
  const broken = await run('prototype verify chain.json --json')
  t.equal(broken.code, 5)
  t.match(json(broken), { valid: false, firstFault: { position: 2, rule: 'puzzle' } })
})

t.test('help', async (t) => {
  const { run } = shellOf(t)
  const [help, version, key, start] = await Promise.all(
    ['--help', '--version', 'key', 'start --help'].map((line) => run(line)),
  )
  if (!help || !version || !key || !start) throw new Error('not run')
  t.equal(help.code, 0)
  for (const { code, meaning } of Object.values(exitCodes)) t.ok(help.out.includes(`${code}  ${meaning}`), `${code}`)
  t.equal(version.out, `${VERSION}\n`)
  const commands = [...help.out.matchAll(/^ {2}([a-z]+) .*[a-z]{3}/gm)].map(([, name]) => name ?? '')
  for (const name of ['add', 'list', 'get', 'start', 'network', 'demo', 'verify', 'wallet', 'key']) {
    t.ok(commands.includes(name), name)
  }
  t.match(key, { code: 2, out: '', err: /^Usage: emrchain key/ })
  t.match(start.out, /--mine-interval <ms>[\s\S]*--file-root <dir>[\s\S]*--config <file>[\s\S]*Examples:/)
})

t.test('a node from its start to its end', async (t) => {
  const home = folderOf(t)
  const network = easyNetwork(t)
  const { run, start } = shellOf(t, { EMRCHAIN_NETWORK: network, EMRCHAIN_PORT: '1', EMRCHAIN_LOG_LEVEL: 'warn' })
  writeFileSync(join(home, 'node.json'), JSON.stringify({ data: 'data', logLevel: 'trace', ipfs: 'embedded' }))
  const words = ['start', '--config', 'node.json', '--port', '0', '--mining-threads', '1']

  const child = start([...words, '--json'])
  if (!child.stdout || !child.stderr) throw new Error('no pipes')
  const errors = text(child.stderr)
  const [line] = await once(createInterface(child.stdout), 'line')
  const ready = JSON.parse(line)
  t.match(ready, {
    url: /^http:\/\/127\.0\.0\.1:\d+$/,
    network: 'easy',
    fileStore: 'embedded',
    data: join(home, 'data'),
  })
  if ('execve' in process && existsSync('/proc/self/cmdline')) {
    const restarted = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8')
    t.ok(restarted.includes(SMALL_YOUNG_GENERATION), 'the same process, with little room for new objects')
    t.ok(restarted.endsWith(`${words.join('\0')}\0--json\0`), 'and what was typed')
  }
  const client = createNodeClient(ready.url)
  const { cid } = await client.uploadFile(keystream(10_000, 'start'), 'a.aes')
  t.match(cid, /^Qm/)
  await client.mine()
  await client.mine()

  t.match(await run('verify --data data'), { code: 1, err: /\[data_folder_in_use\]/ })
  const { port } = new URL(ready.url)
  const taken = await run(`start --config node.json --data elsewhere --port ${port}`)
  t.match(taken, { code: 2, out: '', err: new RegExp(`port: ${port} is taken.*\\[config_invalid\\]`) })

  const watching = start(['mine', '--watch'], { EMRCHAIN_NODE: ready.url })
  if (!watching.stderr) throw new Error('no pipe')
  const [said] = await once(createInterface(watching.stderr), 'line')
  t.match(said, /^Listening to http/)
  const watched = once(watching, 'close')
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  t.equal((await closed)[0], 0)
  t.equal((await watched)[0], 3, 'there is nothing left to watch')
  t.equal(await errors, '', 'a variable goes before the file: nothing below a warning is logged')

  const again = start(words)
  if (!again.stdout) throw new Error('no pipe')
  const [sentence] = await once(createInterface(again.stdout), 'line')
  t.match(
    sentence,
    /^emrchain answers at http:\/\/127\.0\.0\.1:\d+, network easy, file store embedded, data in \S+data$/,
  )
  const ended = once(again, 'close')
  again.kill('SIGINT')
  t.equal((await ended)[0], 0)

  const verified = await run('verify --data data --json')
  t.equal(verified.code, 0)
  t.match(json(verified), { valid: true, blocks: 2, transactions: 0, tip: { height: 2, index: 3 }, unfinishedBytes: 0 })
  t.match((await run('verify --data data')).out, /holds: 2 blocks after genesis, 0 transactions\.\n/)
  t.match(await run('verify --data data --network paper'), { code: 5, err: /\[data_folder_other_network\]/ })
  const path = join(home, 'data', 'chain.car')
  const chain = readFileSync(path)
  const middle = Math.floor(chain.length / 2)
  chain[middle] = (chain[middle] ?? 0) ^ 1
  writeFileSync(path, chain)
  t.match(await run('verify --data data'), { code: 5, out: '', err: /\[chain_damaged\]/ })
})

t.test('text from elsewhere cannot drive the terminal', async (t) => {
  t.equal(printable('a\u001b[31mb\u009bc\u202ed\n'), 'a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\u{a}')
  t.equal(printable('Röntgen 漢字 😀'), 'Röntgen 漢字 😀')
  const rows = [
    ['漢字', '1', 'x'],
    ['e\u0301', '22', '\u0007'],
  ]
  t.equal(table(['NAME', 'N', 'REST'], rows), 'NAME  N   REST\n漢字  1   x\ne\u0301     22  \\u{7}')
  const sizes = [0, 999, 1_000, 63_884, 999_499, 999_999, 1_073_741_824].map(bytesText)
  t.same(sizes, ['0 B', '999 B', '1.0 kB', '63.9 kB', '999 kB', '1.0 MB', '1.1 GB'])
})

t.test('one process at a time changes a wallet', async (t) => {
  const path = join(folderOf(t), 'wallet.age')
  const { signal } = new AbortController()
  let inside = 0
  const order = await Promise.all(
    [1, 2, 3].map((task) =>
      withLock(path, signal, async () => {
        t.equal(++inside, 1)
        await readFile(program)
        inside--
        return task
      }),
    ),
  )
  t.same(order, [1, 2, 3])

  const gone = spawn(process.execPath, ['--version'], { stdio: 'ignore' })
  await once(gone, 'close')
  writeFileSync(`${path}.lock`, String(gone.pid))
  t.equal(await withLock(path, signal, async () => 'taken over'), 'taken over')
  writeFileSync(`${path}.lock`, String(process.pid))
  await t.rejects(
    withLock(path, AbortSignal.abort(), async () => undefined),
    { code: 'cancelled' },
  )
})
