import { execFile } from 'node:child_process'
import { appendFile, open, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { CarReader } from '@ipld/car'
import t from 'tap'
import { type ChainFileHandle, createChainFile, openChainFile } from '#emrchain/ledger/chain-file.js'
import type { ScanEnd } from '#emrchain/ledger/chain-scan.js'
import { encodeCarSection } from '#emrchain/protocol/car.js'
import { network, parametersBlock, record, toSection } from './example-chain.js'

const root = network.cid
const names = ['a', 'b', 'c']
const sections = names.map((name) => record(name))

const make = async (folder: string) => {
  const path = join(folder, 'chain.car')
  await createChainFile(path, [parametersBlock])
  return { path, file: await openChainFile(path, { root }) }
}

t.test('any CAR reader reads it, and it reads what it wrote', async (t) => {
  const { path, file } = await make(t.testdir())
  const places = [...(await file.append(sections.slice(0, 2))), ...(await file.append(sections.slice(2)))]
  t.equal(file.length, (await stat(path)).size)
  const reader = await CarReader.fromBytes(await readFile(path))
  t.same((await reader.getRoots()).map(String), [root.toString()])
  const blocks = []
  for await (const { cid, bytes } of reader.blocks()) blocks.push([cid.toString(), Buffer.from(bytes).toString('hex')])
  const expected = [parametersBlock, ...sections].map(({ cid, bytes }) => [
    cid.toString(),
    Buffer.from(bytes).toString('hex'),
  ])
  t.same(blocks, expected)
  for (const [at, { cid, bytes }] of sections.entries()) {
    const place = places[at]
    if (!place) throw new Error('unreachable')
    t.same(await file.read(cid, place.offset, place.length), bytes)
    await t.rejects(file.read(root, place.offset, place.length), { code: 'chain_damaged' }, 'another section')
    await t.rejects(file.read(cid, place.offset, place.length - 1), { code: 'chain_damaged' })
    await t.rejects(file.read(cid, place.offset + 1, place.length), { code: 'chain_damaged' })
  }
  const [first] = places
  if (!first) throw new Error('unreachable')
  const run = [...(await file.readSections(first.offset, file.length - first.offset))]
  t.same(
    run.map(({ offset, length }) => ({ offset, length })),
    places,
  )
  const chunks = []
  for await (const chunk of file.readRange(first.offset, file.length - first.offset)) chunks.push(chunk)
  t.same(Buffer.concat(chunks), Buffer.concat(sections.map(encodeCarSection)))
  await file.close()

  await t.rejects(openChainFile(path, { root: toSection('other').cid }), { code: 'data_folder_other_network' })
  await truncate(path, 20)
  await t.rejects(openChainFile(path, { root }), { code: 'chain_damaged', facts: { offset: 0 } })
})

t.test('sections that are longer than a chunk are scanned and streamed', async (t) => {
  const { file } = await make(t.testdir())
  const large = [3_000_000, 10, 1_048_576, 1].map((size) => toSection(new Uint8Array(size)))
  await file.append(large)
  const found: string[] = []
  const scan = file.scan(file.start)
  for await (const { cid } of scan) found.push(cid.toString())
  t.same(
    found,
    [parametersBlock, ...large].map(({ cid }) => cid.toString()),
  )
  t.same(scan.end, { kind: 'clean', offset: file.length })
  let streamed = 0
  for await (const chunk of file.readRange(file.start, file.length - file.start)) {
    t.ok(chunk.length <= 256 * 1024)
    streamed += chunk.length
  }
  t.equal(streamed, file.length - file.start)
  await file.close()
})

t.test('a scan tells a torn tail from damage', async (t) => {
  const { path, file } = await make(t.testdir())
  const [a, b, c] = await file.append(sections)
  if (!a || !b || !c) throw new Error('unreachable')
  await file.close()
  const whole = await readFile(path)
  const endOf = async (bytes: Uint8Array): Promise<ScanEnd | undefined> => {
    await writeFile(path, bytes)
    const changed = await openChainFile(path, { root })
    const scan = changed.scan(changed.start)
    for await (const { length } of scan) if (length === 0) t.fail('a section without a length')
    await changed.close()
    return scan.end
  }
  const flip = (at: number, mask: number): Uint8Array => {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] ?? 0) ^ mask
    return bytes
  }
  t.same(await endOf(whole), { kind: 'clean', offset: whole.length })
  for (let length = c.offset + 1; length < whole.length; length++) {
    t.same(await endOf(whole.subarray(0, length)), { kind: 'torn', offset: c.offset })
  }
  t.same(await endOf(Buffer.concat([whole, new Uint8Array(3000)])), { kind: 'torn', offset: whole.length })
  for (const at of [0, 1, 2, 3, 4, 5, 30, 40, b.length - 1]) {
    t.same(await endOf(flip(b.offset + at, 1)), { kind: 'damaged', offset: b.offset }, `byte ${at}`)
  }
  // The length of a section in the middle now reaches behind the end of the file: no crash does that.
  const longer = (b.length - 1) ^ 0x40
  t.ok(b.offset + 1 + longer > whole.length && b.length - 1 < 0x40, 'the flipped bit makes it longer')
  t.same(await endOf(flip(b.offset, 0x40)), { kind: 'damaged', offset: b.offset })
  t.same(await endOf(Buffer.concat([whole, Buffer.from('not a section at all')])), {
    kind: 'damaged',
    offset: whole.length,
  })
})

/** A file whose operations fail as told; whatever does not fail is done by a real file. */
const failing = (fail: { write?: string; datasync?: string; truncate?: string }) => ({
  open: async (path: string, flags: string): Promise<ChainFileHandle> => {
    const file = await open(path, flags)
    const refuse = (code: string): never => {
      throw Object.assign(new Error(code), { code })
    }
    return new Proxy(file, {
      get(target, name) {
        if (name === 'write' && fail.write) {
          // As a disk does that fills up: part of the bytes are taken.
          return async (bytes: Uint8Array, from: number, length: number, at: number) => {
            if (length < 100) return refuse(fail.write ?? '')
            return target.write(bytes, from, 50, at)
          }
        }
        if (name === 'datasync' && fail.datasync) return async () => refuse(fail.datasync ?? '')
        if (name === 'truncate' && fail.truncate) return async () => refuse(fail.truncate ?? '')
        const value = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  },
})

t.test('a full disk changes nothing; after another failure the file takes no more', async (t) => {
  const { path, file } = await make(t.testdir())
  await file.append(sections.slice(0, 1))
  await file.close()
  const before = await readFile(path)

  for (const code of ['ENOSPC', 'EFBIG', 'EDQUOT']) {
    const fail: { write?: string } = { write: code }
    const full = await openChainFile(path, { root }, failing(fail))
    await t.rejects(full.append(sections.slice(1)), { code: 'disk_full' })
    t.same(await readFile(path), before)
    t.equal(full.length, before.length)
    // When there is room again it goes on.
    delete fail.write
    const [place] = await full.append(sections.slice(1, 2))
    t.equal(place?.offset, before.length)
    await full.truncate(before.length)
    await full.close()
  }
  const faults: { write?: string; datasync?: string; truncate?: string }[] = [
    { write: 'EIO' },
    { datasync: 'EIO' },
    { datasync: 'ENOSPC', truncate: 'EIO' },
  ]
  for (const fail of faults) {
    const broken = await openChainFile(path, { root }, failing(fail))
    await t.rejects(broken.append(sections.slice(1)), { code: 'disk_failed' })
    for (const name of ['write', 'datasync', 'truncate'] as const) delete fail[name]
    await t.rejects(broken.append(sections.slice(1)), { code: 'disk_failed' }, 'also when the disk works again')
    await broken.close()
    await truncate(path, before.length)
  }
})

t.test('a limit of the file size is a full disk', { skip: process.platform === 'win32' && 'no ulimit' }, async (t) => {
  const folder = t.testdir()
  const { file } = await make(folder)
  await file.close()
  const script = fileURLToPath(new URL('./fill-disk.js', import.meta.url))
  // Blocks of 512 or 1024 bytes, as the shell counts them: in either case less than the script writes.
  // A bare environment: the test runner's hook in child processes would end one that gets SIGXFSZ, as Node does not.
  const command = `ulimit -f 64 && exec env -i "$0" "$1" "$2"`
  const run = await promisify(execFile)('sh', ['-c', command, process.execPath, script, folder])
  const [appended, length, ...code] = run.stdout.trim().split(' ')
  t.same(code, ['disk_full', 'disk_full'])
  t.ok(Number(appended) > 0)
  t.equal((await stat(join(folder, 'chain.car'))).size, Number(length))
  const again = await openChainFile(join(folder, 'chain.car'), { root })
  const scan = again.scan(again.start)
  let count = -1
  for await (const { length: size } of scan) count += Math.sign(size)
  t.equal(count, Number(appended))
  t.equal(scan.end?.kind, 'clean')
  await again.close()
})

t.test('a second file is not made in the place of the first by half', async (t) => {
  const folder = t.testdir()
  await appendFile(join(folder, 'chain.car.new'), 'left by a crash')
  const { file } = await make(folder)
  t.same(await file.read(root, file.start, file.length - file.start), network.bytes)
  await file.close()
})
