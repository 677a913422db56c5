import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { createMiner, type MinedHeader } from '#emrchain/mining/miner.js'

const newHeader = (): Buffer => randomBytes(180).fill(0, 172)
/** A target that asks for `bits` leading zero bits. */
const targetOf = (bits: number): Buffer =>
  Buffer.from((2n ** BigInt(256 - bits) - 1n).toString(16).padStart(64, '0'), 'hex')
/** No SHA-256 that anyone will see meets this one. */
const impossible = Buffer.alloc(32)
const anything = Buffer.alloc(32, 0xff)

const assertMined = (t: Test, header: Buffer, target: Buffer, mined: MinedHeader): void => {
  const sealed = Buffer.from(header)
  sealed.writeBigUInt64BE(BigInt(mined.nonce), 172)
  t.same(Buffer.from(mined.header), sealed, 'only the nonce of the header changed')
  t.ok(createHash('sha256').update(sealed).digest().compare(target) <= 0, 'its hash meets the target')
  t.ok(mined.hashes > 0 && mined.ms > 0)
}

const moduleText = (file: string): string => JSON.stringify(import.meta.resolve(`#emrchain/mining/${file}`))

t.test('finds valid nonces, with one worker the first', async (t) => {
  const miner = createMiner({ threads: 1 })
  t.teardown(() => miner.close())
  t.equal(miner.hashRate(), 0)
  const header = newHeader()
  const target = targetOf(10)
  const mined = await miner.mine(header, target)
  assertMined(t, header, target, mined)
  let first = 0
  const tried = Buffer.from(header)
  for (;;) {
    tried.writeBigUInt64BE(BigInt(first), 172)
    if (createHash('sha256').update(tried).digest().compare(target) <= 0) break
    first++
  }
  t.equal(mined.nonce, first)
  t.equal(mined.hashes, first + 1)
  t.ok(miner.hashRate() > 0)
})

t.test('two workers never return a wrong nonce, job after job and queued', async (t) => {
  const miner = createMiner({ threads: 2 })
  t.teardown(() => miner.close())
  const target = targetOf(9)
  for (let round = 0; round < 60; round++) {
    const header = newHeader()
    assertMined(t, header, target, await miner.mine(header, target))
  }
  const order: number[] = []
  const queued = Array.from({ length: 20 }, async (_, place) => {
    const header = newHeader()
    const mined = await miner.mine(header, target)
    order.push(place)
    assertMined(t, header, target, mined)
  })
  await Promise.all(queued)
  t.same(
    order,
    Array.from({ length: 20 }, (_, place) => place),
    'jobs are done in the order of the calls',
  )
})

t.test('begins at the nonce of the header and ends with the last of 48 bits', async (t) => {
  const miner = createMiner({ threads: 2 })
  t.teardown(() => miner.close())
  const header = newHeader()
  header.writeUIntBE(2 ** 48 - 10_000, 174, 6)
  await t.rejects(miner.mine(header, impossible), { code: 'mining_exhausted' })
  const mined = await miner.mine(header, targetOf(4))
  assertMined(t, header, targetOf(4), mined)
  t.ok(mined.nonce >= 2 ** 48 - 10_000)
})

t.test('cancels at once while the event loop goes on, and the workers are free for the next job', async (t) => {
  const miner = createMiner({ threads: 2 })
  t.teardown(() => miner.close())
  const events: string[] = []
  const controller = new AbortController()
  const mining = miner.mine(newHeader(), impossible, { signal: controller.signal }).then(
    () => events.push('mined'),
    (error) => events.push(error.code),
  )
  const waiting = new AbortController()
  const queued = miner.mine(newHeader(), anything, { signal: waiting.signal }).catch((error) => {
    events.push(`queued ${error.code}`)
  })
  for (let turn = 0; turn < 3; turn++) {
    await readFile(new URL(import.meta.url))
    events.push('answered')
  }
  t.ok(miner.hashRate() >= 0)
  waiting.abort()
  await queued
  // A rejection runs before anything else that the event loop has to do.
  const turn = new Promise<void>((resolve) => {
    setImmediate(() => {
      events.push('next turn')
      resolve()
    })
  })
  controller.abort()
  await Promise.all([mining, turn])
  t.same(events, ['answered', 'answered', 'answered', 'queued cancelled', 'cancelled', 'next turn'])

  const header = newHeader()
  assertMined(t, header, anything, await miner.mine(header, anything))
  await t.rejects(miner.mine(header, anything, { signal: AbortSignal.abort() }), { code: 'cancelled' })
})

t.test('refuses what it cannot mine', async (t) => {
  const miner = createMiner({ threads: 1 })
  await t.rejects(miner.mine(Buffer.alloc(181), anything), { code: 'header_malformed' })
  await t.rejects(miner.mine(newHeader(), Buffer.alloc(33)), { code: 'header_bad_target' })
  await t.rejects(miner.mine(newHeader().fill(1, 172, 173), anything), { code: 'header_bad_nonce' })
  for (const threads of [0, 1.5, 257]) t.throws(() => createMiner({ threads }), { code: 'config_invalid' })
  t.equal(createMiner().threads, Math.min(8, availableParallelism()), 'a thread for each core')

  const running = miner.mine(newHeader(), impossible)
  const queued = miner.mine(newHeader(), impossible)
  const closed = Promise.all([
    t.rejects(running, { code: 'closing' }),
    t.rejects(queued, { code: 'closing' }),
    miner.close(),
  ])
  await t.rejects(miner.mine(newHeader(), anything), { code: 'closing' })
  await closed
  await miner.close()
})

t.test('a worker that dies fails its job and is replaced for the next', async (t) => {
  const folder = t.testdir({
    // A real worker that dies, throws or lies when the first byte of the header says so.
    'worker.mjs': `
      import { parentPort } from 'node:worker_threads'
      import { createNativeKernel } from ${moduleText('native-kernel.js')}
      import { searchSlices } from ${moduleText('search-slices.js')}
      parentPort.on('message', (job) => {
        if (job.header[0] === 1) process.exit(3)
        if (job.header[0] === 2) throw new Error('broken')
        const nonce = job.header[0] === 3 ? 12345 : searchSlices(createNativeKernel(), job)
        parentPort.postMessage({ id: job.id, nonce })
      })
    `,
    'unreadable.mjs': 'this is not a program',
  })
  const miner = createMiner({ threads: 2 }, { workerUrl: pathToFileURL(`${folder}/worker.mjs`) })
  t.teardown(() => miner.close())
  for (const fault of [1, 2, 3]) {
    const header = newHeader()
    header[0] = fault
    await t.rejects(miner.mine(header, impossible), { code: 'mining_failed' })
    header[0] = 0
    assertMined(t, header, targetOf(8), await miner.mine(header, targetOf(8)))
  }
  const broken = createMiner({ threads: 1 }, { workerUrl: pathToFileURL(`${folder}/unreadable.mjs`) })
  await t.rejects(broken.mine(newHeader(), anything), { code: 'mining_failed' })
  await broken.close()
  const elsewhere = createMiner({ threads: 1 }, { workerUrl: new URL('http://127.0.0.1/worker.js') })
  await t.rejects(elsewhere.mine(newHeader(), anything), { code: 'mining_failed' })
  await elsewhere.close()
})

t.test('a process with a miner ends by itself when idle, and after close in the midst of a search', async (t) => {
  const programs = {
    idle: `
      miner.warm()
      await miner.mine(header, Buffer.alloc(32, 255))
      console.log('done')
    `,
    closed: `
      const refused = miner.mine(header, Buffer.alloc(32)).catch((error) => error.code)
      await miner.close()
      console.log(await refused)
    `,
  }
  const run = async (program: string): Promise<string> => {
    const source = `
      import { createMiner } from ${moduleText('miner.js')}
      const miner = createMiner({ threads: 2 })
      const header = Buffer.alloc(180)
      ${program}
    `
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', source], {
      env: {},
      timeout: 20_000,
    })
    return stdout.trim()
  }
  t.equal(await run(programs.idle), 'done')
  t.equal(await run(programs.closed), 'closing')
})
