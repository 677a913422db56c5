import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { addRecord } from '#emrchain/client/add-record.js'
import { getRecord } from '#emrchain/client/get-record.js'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { newWallet, type Wallet } from '#emrchain/client/wallet.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { decryptFile, encryptFile, FILE_CONTEXT, FILE_KEY_SIZE } from '#emrchain/crypto/file-cipher.js'
import { easyNetworkFile } from '../test/fixtures/block-maker.js'
import { sourceOf } from '../test/fixtures/file-content.js'
import { newSwarmKey, startKubo } from '../test/fixtures/kubo-daemon.js'
import { type Benchmark, type BenchmarkOptions, type Figure, figure } from './figures.js'
import { startNodeCluster } from './node-cluster.js'
import { processorSeconds } from './process-usage.js'
import { quantile } from './quantile.js'

/** The largest file of the paper that measured retrieval. */
const SIZE = 20_500_000
const ROUNDS = 20
const QUICK_ROUNDS = 5
const PIECE = 262_144

/**
 * A record of 20.5 MB that was encrypted, stored and mined at one node is read at another one that never saw the file,
 * by a client that decrypts it: from the question for its name to the last byte, compared with what was added. Another
 * file each round. Beside it, in each round, the reference: the same encrypted bytes over plain HTTP, and decrypted.
 */
export const retrievalBenchmark: Benchmark = async (options) => {
  const figures = await readBetween('embedded stores', ['embedded', 'embedded'], options)
  const closing: (() => Promise<void>)[] = []
  const scope = { teardown: (end: () => Promise<void>) => closing.push(end), comment: options.leaveOut }
  try {
    const swarmKey = newSwarmKey()
    const one = await startKubo(scope, { swarmKey })
    const other = one && (await startKubo(scope, { swarmKey }))
    if (!one || !other) return figures
    return [...figures, ...(await readBetween('Kubo daemons', [one.rpcUrl.href, other.rpcUrl.href], options))]
  } finally {
    for (const end of closing) await end()
  }
}

async function readBetween(
  kind: string,
  stores: readonly [string, string],
  { folder, runs, isQuick, say }: BenchmarkOptions,
): Promise<Figure[]> {
  let onBlock: (() => void) | undefined
  const profile = process.env.BENCH_PROFILE
  const { nodes, end } = await startNodeCluster({
    folder: join(folder, kind.replace(' ', '-')),
    network: easyNetworkFile,
    nodes: stores.map((store) => ({ IPFS: store })),
    onBlock: (node) => node === 1 && onBlock?.(),
    flags: (node) => (profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}/node-${node}`] : []),
  })
  const measured: { ms: number; reference: number; processors: number[] }[] = []
  try {
    const [from, to] = nodes
    if (!from || !to) throw new Error('There are no two nodes.')
    const [there, here] = [createNodeClient(from.url), createNodeClient(to.url)]
    let wallet: Wallet = newWallet()
    const processes = [from.pid, to.pid, process.pid]
    const rounds = isQuick ? QUICK_ROUNDS : Math.max(ROUNDS, runs)
    // The first round warms code and connections and does not count.
    for (let round = 0; round <= rounds; round++) {
      const plain = randomBytes(SIZE)
      const name = `CT-${round}`
      const added = await addRecord(
        { source: sourceOf(plain, PIECE), fileName: `${name}.dcm`, name },
        { client: there, wallet, aead: nodeAead, now: Date.now, keep: async () => undefined },
      )
      wallet = added.wallet
      const arrived = new Promise<void>((resolve) => {
        onBlock = resolve
      })
      await there.mine()
      await arrived

      const before = processes.map(processorSeconds)
      const ms = await timed(async () => {
        const { contents } = await getRecord(name, { client: here, wallet, aead: nodeAead })
        await assertSame(contents, plain)
      })
      const processors = processes.map((pid, at) => (processorSeconds(pid) - (before[at] ?? 0)) * 1_000)
      const reference = await plainCopy(plain)
      if (round === 0) continue
      measured.push({ ms, reference, processors })
      say(`retrieval: ${kind}, round ${round}: ${ms.toFixed(0)} ms, reference ${reference.toFixed(0)} ms`)
    }
  } finally {
    await end()
  }
  const all = (value: (one: (typeof measured)[number]) => number): number[] => measured.map(value)
  const sorted = all(({ ms }) => ms).sort((a, b) => a - b)
  return [
    figure(
      `${kind}: 20.5 MB from another node, decrypted`,
      'ms',
      all(({ ms }) => ms),
    ),
    figure(`${kind}: the same, p95`, 'ms', [quantile(sorted, 0.95)]),
    figure(
      `${kind}: reference, plain HTTP and decryption of the same run`,
      'ms',
      all(({ reference }) => reference),
    ),
    figure(
      `${kind}: against the reference`,
      'times',
      all(({ ms, reference }) => ms / reference),
    ),
    ...['node that has it', 'node that is asked', 'client'].map((what, at) =>
      figure(
        `${kind}: processor time, ${what}`,
        'ms',
        all(({ processors }) => processors[at] ?? Number.NaN),
      ),
    ),
  ]
}

/** How long the encrypted bytes of `plain` take from a plain HTTP server on another thread, and to be decrypted, in ms. */
async function plainCopy(plain: Uint8Array): Promise<number> {
  const key = randomBytes(FILE_KEY_SIZE)
  const parts: Uint8Array[] = []
  for await (const part of encryptFile(sourceOf(plain, PIECE), { key, context: FILE_CONTEXT, aead: nodeAead })) {
    parts.push(Uint8Array.from(part))
  }
  const server = new Worker(new URL('./plain-server.js', import.meta.url), { workerData: Buffer.concat(parts) })
  try {
    const [port] = await once(server, 'message')
    return await timed(async () => {
      const { body } = await fetch(`http://127.0.0.1:${port}/`)
      if (!body) throw new Error('Nothing came.')
      await assertSame(decryptFile(body, { key, context: FILE_CONTEXT, aead: nodeAead }), plain)
    })
  } finally {
    await server.terminate()
  }
}

async function assertSame(pieces: AsyncIterable<Uint8Array>, expected: Uint8Array): Promise<void> {
  let at = 0
  for await (const piece of pieces) {
    if (Buffer.compare(piece, expected.subarray(at, at + piece.length)) !== 0) throw new Error('Other bytes came.')
    at += piece.length
  }
  if (at !== expected.length) throw new Error(`${at} bytes came.`)
}

async function timed(work: () => Promise<void>): Promise<number> {
  const before = performance.now()
  await work()
  return performance.now() - before
}
