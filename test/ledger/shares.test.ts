import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { armFailpoints, type Failpoint } from '#emrchain/failpoint.js'
import { checkFormatVersion } from '#emrchain/ledger/data-folder.js'
import { dataFolderPaths } from '#emrchain/ledger/layout.js'
import { type Deposit, openShares, type Shares } from '#emrchain/ledger/shares.js'

const digest = (text: string): Uint8Array => Uint8Array.from(createHash('sha256').update(text).digest())
const idOf = (name: string): Uint8Array => digest(`id ${name}`)
const depositOf = (name: string, change: Partial<Deposit> = {}): Deposit => ({
  share: digest(`share ${name}`),
  label: Buffer.concat([digest(`label ${name}`), digest(`more ${name}`)]),
  commitment: digest(`commitment ${name}`),
  patient: digest('patient'),
  nonce: digest(`nonce ${name}`),
  file: digest('file'),
  author: digest('author'),
  at: 1_000,
  ...change,
})

async function makeFolder(t: Test): Promise<string> {
  const folder = join(t.testdir(), 'data')
  mkdirSync(folder)
  await checkFormatVersion(dataFolderPaths(folder))
  return folder
}

/** The bytes of every file below a folder, by path. */
const filesOf = (folder: string): Map<string, Buffer> =>
  new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile())
      .map((path) => [path, readFileSync(path)]),
  )
const isAnywhere = (folder: string, bytes: Uint8Array): boolean =>
  [...filesOf(folder).values()].some((content) => content.includes(Buffer.from(bytes)))
const keyFilesOf = (folder: string): string[] =>
  readdirSync(join(folder, 'shares')).filter((name) => name.startsWith('epoch-'))
const keyIn = (folder: string): Buffer => {
  const [name = ''] = keyFilesOf(folder)
  return readFileSync(join(folder, 'shares', name)).subarray(0, 32)
}
const same = (t: Test, shares: Shares, name: string, wanted: Deposit | undefined = depositOf(name)) => {
  const found = shares.get(idOf(name))
  t.same(
    found &&
      Object.entries(found)
        .map(([key, value]) => [key, plain(value)])
        .sort(),
    entriesOf(wanted),
    name,
  )
}
const plain = (value: Uint8Array | number) => (typeof value === 'number' ? value : Buffer.from(value).toString('hex'))
const entriesOf = (deposit: Deposit) =>
  Object.entries(deposit)
    .map(([key, value]) => [key, plain(value)])
    .sort()

t.test('deposits stay, also after closing, and nothing of them is on the disk in clear', async (t) => {
  const folder = await makeFolder(t)
  const shares = await openShares(folder)
  await Promise.all(['a', 'b', 'c'].map((name) => shares.put(idOf(name), depositOf(name))))
  await shares.put(idOf('b'), depositOf('b', { label: digest('another label') }))
  t.equal(shares.count(), 3)
  t.equal(shares.get(idOf('d')), undefined)
  await shares.close()
  const again = await openShares(folder)
  same(t, again, 'a')
  same(t, again, 'b', depositOf('b', { label: digest('another label') }))
  same(t, again, 'c')
  const { share, label, patient, nonce } = depositOf('a')
  for (const bytes of [share, label, patient, nonce]) t.equal(isAnywhere(folder, bytes), false)
  t.ok(isAnywhere(folder, idOf('a')), 'the search finds what is there')
  t.equal(statSync(join(folder, 'shares', 'epoch-1.key')).mode & 0o777, 0o600)
  await again.close()
})

t.test('erasing destroys the key under which it lay', async (t) => {
  const folder = await makeFolder(t)
  const shares = await openShares(folder)
  const names = Array.from({ length: 600 }, (_, at) => `deposit ${at}`)
  await Promise.all(names.map((name) => shares.put(idOf(name), depositOf(name))))
  const oldKey = Buffer.from(keyIn(folder))
  t.ok(isAnywhere(folder, oldKey), 'the search finds what is there')
  const before = [...filesOf(folder).values()]

  const erasing = shares.erase([idOf('deposit 7'), idOf('deposit 8'), idOf('nobody')])
  t.equal(shares.get(idOf('deposit 7')), undefined, 'it is not read any more from the call on')
  const meanwhile = shares.put(idOf('new'), depositOf('new'))
  const replaced = shares.put(idOf('deposit 9'), depositOf('deposit 9', { label: digest('replaced') }))
  await Promise.all([erasing, meanwhile, replaced])
  t.same(keyFilesOf(folder), ['epoch-2.key'])
  t.equal(isAnywhere(folder, oldKey), false, 'the old key is nowhere in the folder')
  t.ok(
    before.some((content) => content.includes(oldKey)),
    'it was',
  )
  for (const name of ['deposit 7', 'deposit 8']) {
    for (const bytes of [depositOf(name).share, depositOf(name).label]) t.equal(isAnywhere(folder, bytes), false)
  }
  await shares.close()
  const again = await openShares(folder)
  t.equal(again.count(), 599)
  for (const name of names) {
    if (name === 'deposit 9') same(t, again, name, depositOf(name, { label: digest('replaced') }))
    else if (name !== 'deposit 7' && name !== 'deposit 8') same(t, again, name)
    else t.equal(again.get(idOf(name)), undefined)
  }
  same(t, again, 'new')
  await again.close()
})

t.test('a process that ends at any step of an erasure leaves it done or not begun', async (t) => {
  const folder = await makeFolder(t)
  const copies = `${folder}-copies`
  const shares = await openShares(folder)
  for (const name of ['a', 'b', 'c']) await shares.put(idOf(name), depositOf(name))
  const oldKey = Buffer.from(keyIn(folder))
  const steps: { point: Failpoint; copy: string }[] = []
  armFailpoints((point) => {
    const copy = join(copies, `${steps.length}`)
    steps.push({ point, copy })
    cpSync(folder, copy, { recursive: true })
  })
  await shares.erase([idOf('b')])
  armFailpoints(undefined)
  const points = steps.map(({ point }) => point)
  for (const point of [
    'shares.erase.begin',
    'shares.erase.noted',
    'durable-file.written',
    'durable-file.renamed',
    'shares.erase.key',
    'shares.erase.moved',
    'shares.erase.batch',
    'shares.key.begin',
    'shares.key.overwritten',
    'shares.key.removed',
    'shares.erase.done',
  ] as const)
    t.ok(points.includes(point), point)
  const noted = points.indexOf('shares.erase.noted')
  for (const [at, { point, copy }] of steps.entries()) {
    const left = await openShares(copy)
    t.equal(keyFilesOf(copy).length, 1, `one key after ${point}`)
    same(t, left, 'a')
    same(t, left, 'c')
    if (at >= noted) {
      t.equal(left.get(idOf('b')), undefined, `gone after ${point}`)
      t.equal(isAnywhere(copy, oldKey), false, `and so is the old key`)
    }
    if (point === 'shares.erase.begin') same(t, left, 'b')
    // It works as before.
    await left.put(idOf('d'), depositOf('d'))
    await left.erase([idOf('a')])
    t.equal(left.get(idOf('a')), undefined)
    same(t, left, 'd')
    await left.close()
  }
  await shares.close()
})

t.test('who waits for a record is counted, until it is claimed or erased', async (t) => {
  const folder = await makeFolder(t)
  const shares = await openShares(folder)
  const author = digest('author')
  await Promise.all([
    shares.put(idOf('a'), depositOf('a', { at: 1 })),
    shares.put(idOf('b'), depositOf('b', { at: 2 })),
    shares.put(idOf('c'), depositOf('c', { at: 3 })),
  ])
  t.equal(shares.waitingOf(author, 0), 3)
  t.equal(shares.waitingOf(author, 2), 2)
  t.equal(shares.waitingOf(digest('another'), 0), 0)
  await shares.claim(idOf('c'))
  await shares.claim(idOf('nobody'))
  await shares.put(idOf('c'), depositOf('c'))
  t.equal(shares.waitingOf(author, 0), 2)
  await shares.erase([idOf('a')])
  await shares.close()
  const again = await openShares(folder)
  t.equal(again.waitingOf(author, 0), 1)
  same(t, again, 'c')
  await again.close()
})

t.test('deposits that wait are found by their age, and those that never wait are not', async (t) => {
  const folder = await makeFolder(t)
  const shares = await openShares(folder)
  await shares.put(idOf('old'), depositOf('old', { at: 1 }))
  await shares.put(idOf('older'), depositOf('older', { at: 0, author: digest('another') }))
  await shares.put(idOf('young'), depositOf('young', { at: 5 }))
  await shares.put(idOf('claimed'), depositOf('claimed', { at: 0 }), { claimed: true })
  const named = (found: Uint8Array[]) => found.map((id) => Buffer.from(id).toString('hex')).sort()
  t.same(named(shares.waitingBefore(5)), named([idOf('old'), idOf('older')]))
  t.same(named(shares.waitingBefore(0)), [])
  await shares.close()
  const again = await openShares(folder)
  t.same(named(again.waitingBefore(6)), named([idOf('old'), idOf('older'), idOf('young')]))
  same(t, again, 'claimed', depositOf('claimed', { at: 0 }))
  await again.close()
})

t.test(
  'patients whose shares have to move stay noted, and one that is noted again meanwhile is not struck out',
  async (t) => {
    const folder = await makeFolder(t)
    const shares = await openShares(folder)
    const [x, y] = [Buffer.alloc(36, 1), Buffer.alloc(36, 2)]
    await shares.moves.add(x)
    await Promise.all([shares.moves.add(y), shares.moves.add(y)])
    const patients = ({ moves }: Shares) => moves.all().map(({ patient }) => Buffer.from(patient).toString('hex'))
    t.same(
      patients(shares),
      [x, y].map((id) => id.toString('hex')),
    )
    const [first, second] = shares.moves.all()
    if (!first || !second) throw new Error('They are not noted.')
    await shares.moves.add(x)
    await shares.moves.remove(first)
    // The note comes while the removal is written.
    await Promise.all([shares.moves.remove(second), shares.moves.add(y)])
    t.same(
      patients(shares),
      [x, y].map((id) => id.toString('hex')),
    )
    await shares.close()
    const again = await openShares(folder)
    t.same(
      patients(again),
      [x, y].map((id) => id.toString('hex')),
    )
    for (const move of again.moves.all()) await again.moves.remove(move)
    await again.close()
    const last = await openShares(folder)
    t.same(patients(last), [])
    await last.close()
  },
)

t.test('a key that is missing or altered is named, and nothing is served', async (t) => {
  const home = await makeFolder(t)
  for (const harm of ['missing', 'altered'] as const) {
    const folder = join(home, harm)
    mkdirSync(folder)
    await checkFormatVersion(dataFolderPaths(folder))
    const shares = await openShares(folder)
    await shares.put(idOf('a'), depositOf('a'))
    await shares.close()
    const path = join(folder, 'shares', 'epoch-1.key')
    if (harm === 'altered') writeFileSync(path, Buffer.alloc(40, 1))
    else rmSync(path)
    await t.rejects(openShares(folder), { code: 'index_damaged', facts: { database: 'shares' } })
  }
})

t.test('notes of erasures and progress stay', async (t) => {
  const folder = await makeFolder(t)
  const shares = await openShares(folder)
  const note = {
    record: Buffer.alloc(36, 1),
    erasure: Buffer.alloc(36, 2),
    deposit: idOf('a'),
    file: digest('file'),
    step: 'noted',
    parts: 0,
  } as const
  t.equal(shares.erasures.get(note.record), undefined)
  await shares.erasures.put(note)
  await shares.erasures.put({ ...note, step: 'destroyed', parts: 3 })
  await shares.close()
  const again = await openShares(folder)
  t.match(again.erasures.all(), [{ step: 'destroyed', parts: 3 }])
  t.same(again.erasures.all().length, 1)
  t.same(again.erasures.recordOf(idOf('a')), note.record)
  t.equal(again.erasures.recordOf(idOf('b')), undefined)
  t.same(again.erasures.progress(), [])
  await again.close()
})

t.test('a folder of another version is refused', async (t) => {
  const folder = t.testdir({ 'version.json': '{}' })
  await t.rejects(openShares(folder), { code: 'data_folder_version' })
})
