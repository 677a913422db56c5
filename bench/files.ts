import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openRegularFile } from '#emrchain/cli/regular-file.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { FILE_KEY_SIZE, TAG_SIZE } from '#emrchain/crypto/file-cipher.js'
import { digestOf, keystream } from '../test/fixtures/file-content.js'
import { type Benchmark, type Figure, figure } from './figures.js'
import type { DoneJob, Job } from './file-job.js'

const MIB = 1024 * 1024
const SIZE = 200 * MIB
const QUICK_SIZE = 50 * MIB
const CHUNK = 16_384

const STORE = 'ours: encrypt, hash, store durably'
const READ = 'ours: read, check, decrypt'
const GET = 'ours: read, check, decrypt, write, sync'

/**
 * What is done once to `source`, in `folder`, which is empty. It may tell how long it took by its own clock, and what is
 * to be done after that.
 */
type Way = (source: string, folder: string) => Promise<{ seconds?: number; after?: () => Promise<void> }>

/** Encrypts 200 MiB and stores them durably, and gets them back, beside what else there is for it, each way in each run. */
export const filesBenchmark: Benchmark = async ({ folder, runs, isQuick, say, leaveOut }) => {
  const size = isQuick ? QUICK_SIZE : SIZE
  const source = join(folder, 'source')
  await pipeline(Readable.from(keystream(size, 'bench')), createWriteStream(source))
  const digest = await digestOf(keystream(size, 'bench'))
  const kept = join(folder, 'kept')
  await jobOf('store', kept, source)
  /** Of each of ours, run by run, in seconds. */
  const processor = new Map<string, number[]>()
  const whole = new Map<string, number[]>()
  /** One of ours: a process of its own, as the others are, whose own clock is taken. */
  const ours = async (what: string, ...args: Parameters<typeof jobOf>): Promise<number> => {
    const begin = performance.now()
    const { seconds, processor: used } = await jobOf(...args)
    whole.set(what, [...(whole.get(what) ?? []), (performance.now() - begin) / 1000])
    processor.set(what, [...(processor.get(what) ?? []), used])
    return seconds
  }

  const ways: Record<string, Way> = {
    ...ageWay(folder, leaveOut),
    async 'cp and sync'(from, to) {
      await promisify(execFile)('sh', ['-c', 'cp "$0" "$1" && sync "$1"', from, join(to, 'copy')])
      return {}
    },
    [STORE]: async (from, to) => ({ seconds: await ours(STORE, 'store', join(to, 'files'), from) }),
    [READ]: async () => ({ seconds: await ours(READ, 'read', kept, '') }),
    async [GET](_, to) {
      const seconds = await ours(GET, 'get', kept, join(to, 'copy'))
      return {
        seconds,
        async after() {
          if ((await digestOf(createReadable(join(to, 'copy')))) !== digest) throw new Error('Other bytes came back.')
        },
      }
    },
    // What one thread takes for each part of the work.
    async 'alone: AES-256-GCM in chunks of 16 KiB'() {
      const key = Buffer.alloc(FILE_KEY_SIZE, 7)
      const plain = Buffer.alloc(CHUNK, 1)
      const sealed = Buffer.alloc(CHUNK + TAG_SIZE)
      for (let at = 0; at < size; at += CHUNK) nodeAead.seal(key, key.subarray(0, 12), plain, sealed)
      return {}
    },
    async 'alone: SHA-256 of blocks of 256 KiB'() {
      const block = Buffer.alloc(256 * 1024, 1)
      for (let at = 0; at < size; at += block.length) createHash('sha256').update(block).digest()
      return {}
    },
    async 'alone: write and fdatasync'(_, to) {
      const piece = Buffer.alloc(2 * MIB, 1)
      const file = await open(join(to, 'copy'), 'wx')
      for (let at = 0; at < size; at += piece.length) await file.write(piece, 0, piece.length, at)
      await file.datasync()
      await file.close()
      return {}
    },
  }

  const seconds = new Map<string, number[]>()
  for (let run = 0; run < runs; run++) {
    for (const [what, way] of Object.entries(ways)) {
      const to = join(folder, 'run')
      mkdirSync(to)
      const begin = performance.now()
      const { seconds: own, after } = await way(source, to)
      const took = own ?? (performance.now() - begin) / 1000
      seconds.set(what, [...(seconds.get(what) ?? []), took])
      say(`files: run ${run + 1} of ${runs}, ${what}: ${(size / MIB / took).toFixed(0)} MiB/s`)
      await after?.()
      rmSync(to, { recursive: true })
      // What waits to be written slows down whoever comes next.
      execFileSync('sync')
    }
  }
  for (const [what, job] of [
    [STORE, 'store'],
    [READ, 'read'],
  ] as const) {
    const { profile = [] } = await jobOf(job, job === 'store' ? join(folder, 'profiled') : kept, source, 'profile')
    say(`files: profile of one run of "${what}", time of the main thread in functions by themselves, in ms:`)
    for (const [name, time] of profile) say(`${(time * 1000).toFixed(0).padStart(7)} ${name}`)
  }

  const speeds: Figure[] = []
  for (const [what, took] of seconds) {
    speeds.push(
      figure(
        what,
        'MiB/s',
        took.map((one) => size / MIB / one),
      ),
    )
    const used = processor.get(what)
    if (used) speeds.push(figure(`${what}: all threads`, 's', used))
    const all = whole.get(what)
    if (all)
      speeds.push(
        figure(
          `${what}: with the start of Node.js`,
          'MiB/s',
          all.map((one) => size / MIB / one),
        ),
      )
  }
  return [...speeds, ...ratios(seconds)]
}

async function jobOf(job: Job, folder: string, file: string, ...profile: readonly string[]): Promise<DoneJob> {
  const script = fileURLToPath(new URL('./file-job.js', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [script, folder, file, job, ...profile])
  return JSON.parse(stdout) as DoneJob
}

/** How many times faster, in the same run. */
function ratios(seconds: ReadonlyMap<string, readonly number[]>): Figure[] {
  const ours = seconds.get(STORE) ?? []
  return ['age | ipfs add', 'cp and sync'].flatMap((what) => {
    const others = seconds.get(what)
    return others
      ? [
          figure(
            `ours, of ${what}`,
            'times',
            others.map((one, run) => one / (ours[run] ?? Number.NaN)),
          ),
        ]
      : []
  })
}

async function* createReadable(path: string): AsyncGenerator<Uint8Array> {
  const file = await openRegularFile(path)
  yield* file.bytes
  await file.close()
}

/**
 * The pipeline of other programs, where they are: `age` by AGE_BIN or the path, with `age-keygen` beside it, and Kubo by
 * KUBO_BIN.
 */
function ageWay(folder: string, leaveOut: (what: string) => void): Record<string, Way> {
  const age = process.env.AGE_BIN ?? found('age')
  const ipfs = process.env.KUBO_BIN ?? found('ipfs')
  if (!age || !ipfs || !existsSync(age) || !existsSync(ipfs)) {
    leaveOut(`age | ipfs add; there is no ${age && existsSync(age) ? 'Kubo (KUBO_BIN)' : 'age (AGE_BIN)'}`)
    return {}
  }
  const identity = join(folder, 'identity')
  execFileSync(`${age}-keygen`, ['-o', identity], { stdio: 'ignore' })
  const [, recipient = ''] = /public key: (age1\S+)/.exec(readFileSync(identity, 'utf8')) ?? []
  const env = { ...process.env, IPFS_PATH: join(folder, 'ipfs'), IPFS_TELEMETRY: 'off', GOLOG_LOG_LEVEL: 'error' }
  execFileSync(ipfs, ['init', '--empty-repo'], { env, stdio: 'ignore' })
  const script = '"$0" -r "$1" "$2" | "$3" add -Q --cid-version=0 --raw-leaves=false'
  return {
    async 'age | ipfs add'(source) {
      await promisify(execFile)('sh', ['-c', script, age, recipient, source, ipfs], { env })
      // Each run makes other bytes; what is there does not make it slower, but it takes room.
      return {
        after: async () => void (await promisify(execFile)(ipfs, ['repo', 'gc', '-q'], { env, maxBuffer: 1e8 })),
      }
    },
  }
}

function found(program: string): string | undefined {
  try {
    return execFileSync('sh', ['-c', 'command -v "$0"', program], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}
