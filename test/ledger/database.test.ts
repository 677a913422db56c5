import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { createDatabase, type Database, type DatabaseOptions, openDatabase } from '#emrchain/ledger/database.js'
import { databasePaths } from '#emrchain/ledger/layout.js'
import { packWrites, unpackWrites } from '#emrchain/ledger/page-writes.js'
import { openExample } from './example-chain.js'

const key = (name: string): Uint8Array => Buffer.from(`x${name}`)
const value = (name: string): Uint8Array => Buffer.from(`value of ${name} `.repeat(8))
const names = Array.from({ length: 200 }, (_, at) => `n${at}`)

const make = async (options: DatabaseOptions): Promise<Database> => {
  await createDatabase(options)
  return openDatabase(options)
}

const fill = (database: Database): Promise<void> =>
  database.write((writes) => {
    for (const name of names) writes.put(key(name), value(name))
  })

/** Inverts a bit in the pages file where `bytes` stand. LMDB maps the file, so an open database sees it at once. */
const flip = async (folder: string, bytes: Uint8Array): Promise<void> => {
  const path = databasePaths(folder).pages
  const at = (await readFile(path)).lastIndexOf(bytes)
  if (at < 0) throw new Error('the bytes are not in the file')
  const file = await open(path, 'r+')
  await file.write(Uint8Array.of((bytes[0] ?? 0) ^ 4), 0, 1, at)
  await file.close()
}

/** A database that a killed process has left: filled, not closed. */
const abandon = async (options: DatabaseOptions): Promise<void> => {
  const script = fileURLToPath(new URL('./database-filler.js', import.meta.url))
  const filler = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (!filler.stdout) throw new Error('unreachable')
  await once(filler.stdout, 'data')
  filler.kill('SIGKILL')
  await once(filler, 'exit')
}

for (const durable of [true, false]) {
  const name = durable ? 'state' : 'index'

  t.test(`${name}: what is written is read, in order, also after closing`, async (t) => {
    const options = { folder: join(t.testdir(), name), durable, owner: 'me' }
    const database = await make(options)
    await fill(database)
    t.same(database.get(key('n7')), value('n7'))
    t.equal(database.get(key('none')), undefined)
    database.writeNow((writes) => {
      writes.put(key('n7'), value('seven'))
      writes.remove(key('n8'))
    })
    t.same(database.get(key('n7')), value('seven'))
    await database.close()
    const again = await openDatabase(options)
    t.same(again.get(key('n7')), value('seven'))
    t.equal(again.get(key('n8')), undefined)
    const rows = again.rows({ start: key('n10'), end: key('n15'), limit: 3 })
    t.same(
      rows.map((row) => [Buffer.from(row.key).toString(), Buffer.from(row.value)]),
      ['n10', 'n100', 'n101'].map((one) => [`x${one}`, value(one)]),
    )
    await again.close()
  })

  t.test(
    `${name}: a value that was altered under our hands is index_damaged, and so is the next opening`,
    async (t) => {
      const options = { folder: join(t.testdir(), name), durable, owner: 'me' }
      const database = await make(options)
      await fill(database)
      await flip(options.folder, value('n50'))
      t.throws(() => database.get(key('n50')), { code: 'index_damaged', facts: { database: name } })
      t.throws(() => database.rows({ start: key('n49'), end: key('n51') }), { code: 'index_damaged' })
      t.same(database.get(key('n51')), value('n51'), 'others are read')
      await database.close()
      await t.rejects(openDatabase(options), { code: 'index_damaged' })
    },
  )

  t.test(`${name}: a file that was altered while it was closed is refused`, async (t) => {
    const options = { folder: join(t.testdir(), name), durable, owner: 'me' }
    const { pages, session } = databasePaths(options.folder)
    const database = await make(options)
    await fill(database)
    await database.close()
    const whole = await readFile(pages)
    const changes: Record<string, () => Promise<void>> = {
      'a flipped bit': () => flip(options.folder, value('n50')),
      zeroed: () => writeFile(pages, new Uint8Array(whole.length)),
      'cut short': () => truncate(pages, 8192),
      empty: () => writeFile(pages, ''),
      gone: () => rm(pages),
      'without a session': () => rm(session),
    }
    const note = await readFile(session)
    for (const [what, change] of Object.entries(changes)) {
      await change()
      await t.rejects(openDatabase(options), { code: 'index_damaged' }, what)
      await writeFile(pages, whole)
      await writeFile(session, note)
    }
    await t.rejects(openDatabase({ ...options, owner: 'another' }), { code: 'index_damaged' })
    await (await openDatabase(options)).close()
  })

  t.test(
    `${name}: after a kill it opens; if its pages make no sense it is refused, and the process lives`,
    async (t) => {
      const options = { folder: join(t.testdir(), name), durable, owner: 'me' }
      const { folder } = options
      const { pages } = databasePaths(folder)
      await createDatabase(options)
      await abandon(options)
      const database = await openDatabase(options)
      t.same(database.get(key('n199')), value('n199'))
      await database.close()

      // LMDB itself would end the process on each of these.
      const changes: Record<string, (whole: Buffer) => Promise<void>> = {
        zeroed: async (whole) => writeFile(pages, new Uint8Array(whole.length)),
        noise: async (whole) => writeFile(pages, Buffer.alloc(whole.length, 'noise')),
        'cut short': async () => truncate(pages, 12288),
        empty: async () => truncate(pages, 0),
      }
      for (const [what, change] of Object.entries(changes)) {
        await abandon(options)
        const whole = await readFile(pages)
        await change(whole)
        await t.rejects(openDatabase(options), { code: 'index_damaged' }, what)
        await rm(folder, { recursive: true })
        await createDatabase(options)
      }
      await abandon(options)
      await flip(folder, value('n50'))
      if (durable) await t.rejects(openDatabase(options), { code: 'index_damaged' }, 'every value is checked')
      else {
        const index = await openDatabase(options)
        t.throws(() => index.get(key('n50')), { code: 'index_damaged' }, 'values are checked on reading')
        await index.close()
        await t.rejects(openDatabase(options), { code: 'index_damaged' })
      }
    },
  )
}

t.test('writes go to the thread that commits as they are, and alone', async (t) => {
  const pool = Buffer.alloc(8_192, 7)
  const writes = [
    [pool.subarray(0, 9), pool.subarray(9, 300)],
    [pool.subarray(5, 6), null],
    [Buffer.from('name'), new Uint8Array(0)],
    [Buffer.from('long'), new Uint8Array(100_000).fill(1)],
  ] as const
  const packed = packWrites(writes)
  t.equal(packed.buffer.byteLength, packed.length, 'nothing that lies beside them is moved')
  const same = (list: Iterable<readonly [Uint8Array, Uint8Array | null]>) =>
    [...list].map(([key, value]) => [Buffer.from(key), value && Buffer.from(value)])
  t.same(same(unpackWrites(packed)), same(writes))
  t.same([...unpackWrites(packWrites([]))], [])
})

t.test('the digest of an earlier version is read', async (t) => {
  const options = { folder: join(t.testdir(), 'db'), durable: true, owner: 'me' }
  const { pages, session } = databasePaths(options.folder)
  const database = await make(options)
  await fill(database)
  await database.close()
  const note = `clean ${createHash('sha256')
    .update(await readFile(pages))
    .digest('hex')}\n`
  await writeFile(session, note)
  await (await openDatabase(options)).close()
  t.match(await readFile(session, 'utf8'), /^clean crc32-[0-9a-f]{64}\n$/, 'and not written any more')
  await writeFile(session, note)
  await flip(options.folder, value('n50'))
  await t.rejects(openDatabase(options), { code: 'index_damaged' })
})

t.test('a machine that went down may have lost unsynced writes: the index is refused, the state is not', async (t) => {
  for (const durable of [true, false]) {
    const options = { folder: join(t.testdir({}), 'db'), durable, owner: 'me' }
    await createDatabase(options)
    await abandon(options)
    const { session } = databasePaths(options.folder)
    const note = await readFile(session, 'utf8')
    t.match(note, /^open /)
    await writeFile(session, note.replace(/^open \S+/, 'open 00000000-0000-0000-0000-000000000000'))
    if (durable) {
      const state = await openDatabase(options)
      t.same(state.get(key('n0')), value('n0'))
      await state.close()
    } else await t.rejects(openDatabase(options), { code: 'index_damaged' })
  }
})

t.test('a ledger makes a damaged index anew, and refuses a damaged state', async (t) => {
  const folder = t.testdir()
  await (await openExample(folder)).close()
  for (const name of ['index', 'state']) {
    const { pages } = databasePaths(join(folder, name))
    const bytes = await readFile(pages)
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
    await writeFile(pages, bytes)
    if (name === 'state') await t.rejects(openExample(folder), { code: 'index_damaged', facts: { database: 'state' } })
    else {
      const ledger = await openExample(folder)
      t.type(ledger.recovery.indexRebuilt, 'string')
      await ledger.close()
    }
  }
})
