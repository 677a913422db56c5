import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { list } from 'tar'
import { CHUNK_SIZE, encryptedSize, HEADER_SIZE, SEALED_CHUNK_SIZE } from '#emrchain/crypto/file-cipher.js'
import { parseFileCid } from '#emrchain/protocol/cid.js'
import { bytesOf, keystream } from '../fixtures/file-content.js'
import { startRecordingProxy } from '../fixtures/recording-proxy.js'
import { personOf } from '../fixtures/run-cli.js'
import { folderOf, startNode } from '../fixtures/start-node.js'

const program = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))
const cheapWallets = fileURLToPath(new URL('../fixtures/cheap-wallets.js', import.meta.url))

interface Said {
  readonly cid: string
  readonly path: string
  readonly size: number
  readonly files?: number
  readonly file?: string
}

const partials = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.part'))

t.test('get goes on where it stopped, and fetches no more than it needs', async (t) => {
  const proxy = await startRecordingProxy(t)
  const { url, node } = await startNode(t, { publicUrl: proxy.url })
  proxy.leadTo(url)
  const home = folderOf(t)
  const wallet = join(home, 'wallet.age')
  const person = personOf<Said>(t, wallet, () => proxy.url)
  const size = 12_000_001
  const contents = await bytesOf(keystream(size, 'large'))
  writeFileSync(join(home, 'study.dcm'), contents)
  await person.read('wallet', 'init')
  const { cid } = await person.read('add', join(home, 'study.dcm'), '--name', 'study', '--mine')
  const output = join(home, 'copy.dcm')
  const crossing = async <R>(work: () => Promise<R>): Promise<[R, number]> => {
    const before = proxy.crossed()
    const done = await work()
    return [done, proxy.crossed() - before]
  }
  /** What a command costs beside the bytes of the file. */
  const BESIDE = 10_000

  // A range.
  for (const [range, start, end] of [
    ['0-0', 0, 1],
    [`${5 * CHUNK_SIZE - 1}-${5 * CHUNK_SIZE}`, 5 * CHUNK_SIZE - 1, 5 * CHUNK_SIZE + 1],
    ['11999990-99999999', 11_999_990, size],
  ] as const) {
    const part = join(home, `part of ${range}`)
    const [got, bytes] = await crossing(() => person.read('get', 'study', '-o', part, '--range', range))
    t.match(got, { size: end - start, range: { start, end: end - 1 } })
    t.ok(readFileSync(part).equals(contents.subarray(start, end)), range)
    t.equal(statSync(part).mode & 0o777, 0o600)
    t.ok(bytes < 2 * SEALED_CHUNK_SIZE + HEADER_SIZE + BESIDE, `${range}: ${bytes} bytes crossed`)
  }
  const beyond = await person.run('get', 'study', '-o', output, '--range', `${size}-`)
  t.match(beyond, { code: 4, stderr: /"range_unsatisfiable"/ })
  for (const range of ['5-1', '-5']) {
    t.match(await person.run('get', 'study', '-o', output, '--range', range), { code: 2 }, range)
  }
  t.notOk(existsSync(output))

  // The network breaks off in the middle; nobody has to do anything.
  const broken = proxy.breakAfter(4_000_000)
  const [shown, crossed] = await crossing(() => person.show('get', 'study', '-o', output))
  await broken
  t.equal(shown.code, 0)
  t.match(shown.stderr, /The node broke off.*Trying again in 1 s \(1 of 5\)\.\n/)
  t.ok(readFileSync(output).equals(contents))
  t.ok(crossed < encryptedSize(size) + 4_000_000, `${crossed} bytes crossed: nothing much twice`)
  t.same(partials(home), [])

  // Ctrl-C in the middle, which leaves what has come.
  const interrupted = join(home, 'interrupted.dcm')
  const held = proxy.breakAfter(7_000_000).then(() => proxy.leadTo('http://127.0.0.1:1'))
  const env = { EMRCHAIN_PASSPHRASE: 'x', EMRCHAIN_WALLET: wallet, EMRCHAIN_NODE: proxy.url }
  const child = spawn(process.execPath, [`--import=${cheapWallets}`, program, 'get', 'study', '-o', interrupted], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = text(child.stderr)
  await held
  child.kill('SIGINT')
  t.equal((await once(child, 'close'))[0], 130)
  t.match(await said, /MB are kept in .*\.aes\.part, encrypted\. The same command goes on from there\.\n/)
  t.notOk(existsSync(interrupted))
  const [name = ''] = partials(home)
  const partial = join(home, name)
  t.equal(name, `.interrupted.dcm.${cid.slice(-12)}.aes.part`)
  t.same(partials(home), [name], 'and no decrypted half')
  t.equal(statSync(partial).mode & 0o777, 0o600)
  const kept = statSync(partial).size
  // What lay in buffers of the system is lost when a connection breaks.
  t.ok(kept > 1_000_000 && kept < 8_000_000, `${kept} bytes are kept`)
  proxy.leadTo(url)

  const goOn = (): Promise<[Said, number]> => crossing(() => person.read('get', 'study', '-o', interrupted, '--force'))
  const [, rest] = await goOn()
  t.ok(readFileSync(interrupted).equals(contents))
  t.ok(rest < encryptedSize(size) - kept + SEALED_CHUNK_SIZE + BESIDE, `${rest} bytes crossed for the rest`)
  t.same(partials(home), [])

  // Whatever became of what was kept: no wrong byte comes of it.
  const encrypted = await bytesOf(await node.readFile(parseFileCid(cid), AbortSignal.timeout(30_000)))
  const spoilt: Record<string, [spoil: (path: string) => void, atLeast: number]> = {
    'a flipped bit': [
      (path) => {
        const bytes = readFileSync(path)
        bytes.writeUInt8(bytes.readUInt8(3_000_000) ^ 4, 3_000_000)
        writeFileSync(path, bytes)
      },
      9_000_000,
    ],
    'of another file': [(path) => writeFileSync(path, Buffer.alloc(6_000_000, 5)), size],
    'longer than the file': [
      (path) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(9_000_000)])),
      5_000_000,
    ],
  }
  for (const [what, [spoil, atLeast]] of Object.entries(spoilt)) {
    writeFileSync(partial, encrypted.subarray(0, 7_000_000))
    spoil(partial)
    const [, again] = await goOn()
    t.ok(readFileSync(interrupted).equals(contents), what)
    t.ok(again > atLeast && again < atLeast + 100_000, `${what}: ${again} bytes crossed`)
    t.same(partials(home), [])
  }
  symlinkSync(join(home, 'victim'), partial)
  writeFileSync(join(home, 'victim'), 'as it was')
  t.match(await person.run('get', 'study', '-o', interrupted, '--force'), { code: 1, stderr: /"disk_failed"/ })
  t.equal(readFileSync(join(home, 'victim'), 'utf8'), 'as it was', 'a link is not followed')
})

t.test('a folder is one record', async (t) => {
  const { url, node } = await startNode(t)
  const home = folderOf(t)
  const person = personOf<Said>(t, join(home, 'wallet.age'), () => url)
  await person.read('wallet', 'init')
  const series = join(home, 'series')
  const inside: Record<string, Buffer | null> = { empty: null, 'sub/deep': null, 'sub/deep/none': Buffer.alloc(0) }
  for (let i = 0; i < 120; i++) inside[`IM${i}`] = await bytesOf(keystream(1 + i * 700, `image ${i}`))
  inside[`sub/${'long name '.repeat(20)}é.dcm`] = await bytesOf(keystream(1_500_000, 'long'))
  mkdirSync(series)
  for (const [name, bytes] of Object.entries(inside)) {
    if (bytes) writeFileSync(join(series, name), bytes)
    else mkdirSync(join(series, name), { recursive: true })
  }
  const added = await person.read('add', `${series}/`, '--name', 'CT', '--mine')
  t.match(added, { file: 'series.tar', files: 122, stored: { Name: 'series.tar.aes' } })
  t.equal([...((await node.blockAt(1))?.transactions ?? [])].length, 1, 'one record')

  const out = join(home, 'out')
  mkdirSync(out)
  const got = await person.read('get', 'CT', '-o', out)
  t.match(got, { path: join(out, 'series'), files: 122 })
  const found = readdirSync(got.path, { recursive: true, encoding: 'utf8' }).sort()
  t.same(found, [...Object.keys(inside), 'sub'].sort())
  for (const [name, bytes] of Object.entries(inside)) {
    const place = join(got.path, name)
    if (bytes) t.ok(readFileSync(place).equals(bytes), name.slice(0, 20))
    t.equal(statSync(place).mode & 0o777, bytes ? 0o600 : 0o700)
  }
  t.same(partials(out), [])
  t.match(await person.run('get', 'CT', '-o', out), { code: 7, stderr: /"output_exists"/ })
  t.match(await person.run('get', 'CT', '-o', got.path, '--force'), { code: 0 }, 'into the folder, under its own name')
  t.ok(existsSync(join(got.path, 'series', 'IM5')))
  t.match(await person.run('get', 'CT', '-o', join(home, 'wallet.age'), '--force'), { code: 7 }, 'never over anything')

  // For others it is a tar like any other.
  const { path } = await person.read('get', 'CT', '-o', join(home, 'CT.tar'), '--tar')
  const listed: string[] = []
  list({ file: path, sync: true, strict: true, onReadEntry: (entry) => listed.push(entry.path) })
  t.equal(listed.length, Object.keys(inside).length + 2)
  t.equal(listed[0], 'series/')
  t.ok(listed.includes('series/sub/deep/none'))
  // And a tar that was none to begin with stays one.
  t.match(await person.read('add', path, '--name', 'as tar'), { file: 'CT.tar' })

  // What cannot be recorded is refused before anything is sent.
  const size = node.tip().header.height
  symlinkSync('IM5', join(series, 'link'))
  t.match(await person.run('add', series, '--name', 'no'), {
    code: 5,
    stderr: /"folder_unfit".*symbolic link|symbolic link/,
  })
  mkdirSync(join(home, 'hollow', 'within'), { recursive: true })
  t.match(await person.run('add', join(home, 'hollow'), '--name', 'no'), { code: 5, stderr: /"folder_unfit"/ })
  t.equal([...node.pendingTransactions()].length, 1, 'only the tar')
  t.equal(node.tip().header.height, size)
})

t.test('a folder that changes while it is sent is not recorded', async (t) => {
  const { url, node } = await startNode(t)
  const home = folderOf(t)
  const person = personOf<Said>(t, join(home, 'wallet.age'), () => url)
  await person.read('wallet', 'init')
  const series = join(home, 'series')
  mkdirSync(series)
  writeFileSync(join(series, 'a'), Buffer.alloc(30_000_000))
  writeFileSync(join(series, 'b'), 'whole')
  // The node begins to write when the first bytes come; then the second file goes.
  const watcher = watch(join(folderOf(t, 'node-1'), 'data', 'files'))
  watcher.once('change', () => truncateSync(join(series, 'b'), 2))
  t.match(await person.run('add', series, '--name', 'CT'), { code: 4, stderr: /"input_unreadable"/ })
  watcher.close()
  t.equal([...node.pendingTransactions()].length, 0)
  t.match(await person.run('get', 'CT', '-o', join(home, 'x')), { code: 4 }, 'and no key of it is kept')
})
