import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Header, type HeaderData } from 'tar/header'
import { Pax } from 'tar/pax'
import { FOLDER_MARK } from '#emrchain/cli/folder/folder-entry.js'
import { packFolder } from '#emrchain/cli/folder/pack-folder.js'
import { isFolderTar } from '#emrchain/cli/folder/read-folder.js'
import { scanFolder } from '#emrchain/cli/folder/scan-folder.js'
import { unpackFolder } from '#emrchain/cli/folder/unpack-folder.js'
import { bytesOf, digestOf, sourceOf } from '../fixtures/file-content.js'

t.test('the same folder makes the same tar, of the size that was told, and comes back', async (t) => {
  const home = t.testdir({ a: {}, b: {} })
  // In another order, at another time.
  for (const [parent, names] of [
    ['a', ['z', 'B', 'é', 'a']],
    ['b', ['a', 'é', 'z', 'B']],
  ] as const) {
    mkdirSync(join(home, parent, 'S', 'below'), { recursive: true })
    for (const name of names) {
      writeFileSync(join(home, parent, 'S', name), name.repeat(700))
      writeFileSync(join(home, parent, 'S', 'below', name), name, { mode: 0o640 })
    }
  }
  utimesSync(join(home, 'a', 'S', 'a'), 1, 1)
  const [one, two] = [await scanFolder(join(home, 'a', 'S')), await scanFolder(join(home, 'b', 'S'))]
  const packed = await copyOf(packFolder(one))
  t.ok(packed.equals(await copyOf(packFolder(two))))
  t.equal(packed.length, one.size)
  t.equal(createHash('sha256').update(packed).digest('hex'), PINNED, 'and will in later versions')
  t.ok(isFolderTar(packed.subarray(0, 1024)))
  t.notOk(isFolderTar(packed.subarray(1024, 2048)))
  t.notOk(isFolderTar(packed.subarray(0, 1023)))
  for (const cut of [1, 511, 512, 65_536]) {
    const out = join(home, `out ${cut}`)
    t.same(await unpackFolder(out, sourceOf(packed, cut)), { files: 8, size: 3505 })
    const again = await scanFolder(out)
    t.same(
      again.entries.map(({ path }) => path.slice(1)),
      one.entries.map(({ path }) => path.slice(1)),
    )
    t.ok((await copyOf(packFolder({ ...again, entries: one.entries }))).equals(packed), `in pieces of ${cut}`)
  }
})

t.test('many small files', async (t) => {
  const home = t.testdir({ S: {} })
  const many = process.env.EMRCHAIN_LONG ? 5000 : 1000
  for (let i = 0; i < many; i++) writeFileSync(join(home, 'S', `${i}`), `file ${i}`.repeat(1 + (i % 90)))
  const folder = await scanFolder(join(home, 'S'))
  t.equal(folder.files, many)
  const digest = await digestOf(packFolder(folder))
  const { files } = await unpackFolder(join(home, 'out'), packFolder(folder))
  t.equal(files, many)
  const again = await scanFolder(join(home, 'out'))
  t.equal(again.size, folder.size)
  t.equal(await digestOf(packFolder({ ...again, entries: folder.entries })), digest)
})

t.test('what a tar can hold and a folder cannot', async (t) => {
  const home = t.testdir()
  const block = (facts: HeaderData, content = ''): Buffer => {
    const header = new Header({ mode: 0o644, mtime: new Date(0), size: content.length, ...facts })
    header.encode()
    const gap = Buffer.alloc(-content.length & 511)
    return Buffer.concat([header.block ?? Buffer.alloc(0), Buffer.from(content), gap])
  }
  const mark = new Pax({ comment: FOLDER_MARK, mtime: new Date(0) }).encode()
  const top = Buffer.concat([mark, block({ path: 'S/', type: 'Directory' })])
  const file = (path: string, content = 'x'): Buffer => block({ path, type: 'File' }, content)
  const renamed = (path: string): Buffer =>
    Buffer.concat([new Pax({ path, mtime: new Date(0) }).encode(), file('S/innocent')])
  const end = Buffer.alloc(1024)
  const spoilt = file('S/a')
  spoilt.writeUInt8(spoilt.readUInt8(0) ^ 1, 0)
  const long = new Pax({ path: `S/${'n'.repeat(70_000)}`, mtime: new Date(0) }).encode()

  const good = Buffer.concat([top, file('S/a', 'right'), end])
  t.same(await unpackFolder(join(home, 'good'), sourceOf(good)), { files: 1, size: 5 })

  const cases: Record<string, readonly Buffer[]> = {
    'a path that goes up': [top, renamed('S/../../evil'), end],
    'a path that goes up at once': [top, renamed('../evil'), end],
    'an absolute path': [top, renamed('/tmp/evil'), end],
    'a dot': [top, renamed('S/./a'), end],
    'an empty part': [top, renamed('S//a'), end],
    'a backslash': [top, renamed('S/..\\evil'), end],
    'a control character': [top, renamed('S/a\u001b[2J'), end],
    'a name that is too long': [top, renamed(`S/${'n'.repeat(256)}`), end],
    'a header of endless length': [top, long, file('S/a'), end],
    'another folder beside it': [top, file('T/a'), end],
    'no folder at first': [mark, file('S/a'), end],
    'the folder twice': [top, block({ path: 'S/', type: 'Directory' }), end],
    'a file where the folder is': [top, file('S'), end],
    'a name twice': [top, file('S/a'), file('S/a'), end],
    'a file as a folder': [top, file('S/a'), file('S/a/b'), end],
    'a file before its folder': [top, file('S/sub/a'), end],
    'a symbolic link': [top, block({ path: 'S/link', type: 'SymbolicLink', linkpath: '/etc/passwd' }), end],
    'a link': [top, file('S/a'), block({ path: 'S/b', type: 'Link', linkpath: '/etc/passwd' }), end],
    'a device': [top, block({ path: 'S/null', type: 'CharacterDevice' }), end],
    'a FIFO': [top, block({ path: 'S/fifo', type: 'FIFO' }), end],
    'a global header': [top, new Pax({ path: 'S/../evil' }, true).encode(), file('S/a'), end],
    'a header of another sum': [top, spoilt, end],
    'no end': [top, file('S/a')],
    'an end within a file': [top, file('S/a').subarray(0, 600)],
    'something behind its end': [top, file('S/a'), end, file('S/b')],
    'something in a gap': [top, file('S/a').fill(7, 700), end],
  }
  for (const [what, parts] of Object.entries(cases)) {
    await t.rejects(unpackFolder(join(home, 'out'), sourceOf(Buffer.concat(parts))), { code: 'folder_malformed' }, what)
  }
  t.same(readdirSync(home), ['good'], 'nothing is left, here or elsewhere')
  t.equal(statSync(join(home, 'good')).mode & 0o777, 0o700)
})

/** As `bytesOf`, for pieces that are good only until the next. */
async function copyOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return bytesOf(
    (async function* () {
      for await (const piece of source) yield Uint8Array.from(piece)
    })(),
  )
}

const PINNED = '18c095ee692db110cf17bc86d2f08e643e8ca3716703a2dcba803954cad3fa94'
