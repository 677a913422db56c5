import { Session } from 'node:inspector/promises'
import { basename } from 'node:path'
import { openRegularFile } from '#emrchain/cli/regular-file.js'
import { writeOutput } from '#emrchain/cli/write-output.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { decryptFile, encryptFile, FILE_CONTEXT, FILE_KEY_SIZE } from '#emrchain/crypto/file-cipher.js'
import { createBlockBuffers } from '#emrchain/files/block-buffers.js'
import { createEmbeddedFileStore } from '#emrchain/files/embedded/create-embedded-file-store.js'

// Run by files.ts, as a process of its own: `file-job.js STORE FILE JOB [profile]` does one job and tells its time.

/** To encrypt FILE and store it durably in STORE; to get what is stored; to get it and write it durably to FILE. */
export type Job = 'store' | 'read' | 'get'

/** What a job tells its parent, as a line of JSON. */
export interface DoneJob {
  /** From the first call until all is done. The start of Node.js is not in it. */
  readonly seconds: number
  /** Processor time of all threads meanwhile, in seconds. */
  readonly processor: number
  /** Functions of the main thread that took the most time by themselves, in seconds. */
  readonly profile?: readonly (readonly [name: string, seconds: number])[]
}

const options = { key: Buffer.alloc(FILE_KEY_SIZE, 7), context: FILE_CONTEXT, aead: nodeAead }

async function store(folder: string, from: string): Promise<void> {
  const kept = await createEmbeddedFileStore({ folder })
  const file = await openRegularFile(from)
  await kept.add(encryptFile(file.bytes, options))
  await file.close()
  await kept.close()
}

async function* plain(folder: string): AsyncGenerator<Uint8Array, void, undefined> {
  const kept = await createEmbeddedFileStore({ folder })
  const [cid] = (await kept.list()) ?? []
  if (!cid) throw new Error(`There is no file in ${folder}.`)
  const buffers = createBlockBuffers()
  async function* encrypted() {
    if (!cid) return
    for await (const piece of kept.read(cid, { buffers })) {
      yield piece
      buffers.giveBack(piece)
    }
  }
  yield* decryptFile(encrypted(), options)
  await kept.close()
}

const jobs: Readonly<Record<Job, (folder: string, file: string) => Promise<unknown>>> = {
  store,
  async read(folder) {
    for await (const _ of plain(folder));
  },
  get: (folder, file) => writeOutput(file, plain(folder)),
}

const [, , folder = '', file = '', job = '', profile] = process.argv
const session = profile ? await beginProfile() : undefined
const before = process.cpuUsage()
const begin = performance.now()
await jobs[job as Job](folder, file)
const seconds = (performance.now() - begin) / 1000
const { user, system } = process.cpuUsage(before)
const done: DoneJob = { seconds, processor: (user + system) / 1e6, ...(session ? { profile: await end(session) } : {}) }
process.stdout.write(`${JSON.stringify(done)}\n`)

async function beginProfile(): Promise<Session> {
  const begun = new Session()
  begun.connect()
  await begun.post('Profiler.enable')
  await begun.post('Profiler.start')
  return begun
}

async function end(begun: Session): Promise<[string, number][]> {
  const { profile: found } = await begun.post('Profiler.stop')
  const names = new Map(
    found.nodes.map(({ id, callFrame: { functionName, url } }) => [id, `${functionName} ${basename(url)}`.trim()]),
  )
  const times = new Map<string, number>()
  for (const [at, id] of (found.samples ?? []).entries()) {
    const name = names.get(id) ?? ''
    times.set(name, (times.get(name) ?? 0) + (found.timeDeltas?.[at] ?? 0) / 1e6)
  }
  return [...times].sort(([, a], [, b]) => b - a).slice(0, 12)
}
