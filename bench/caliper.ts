import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { encryptFile, FILE_CONTEXT, FILE_KEY_SIZE } from '#emrchain/crypto/file-cipher.js'
import { parseFileCid } from '#emrchain/protocol/cid.js'
import { createBlockMaker, easyNetworkFile, signerOf } from '../test/fixtures/block-maker.js'
import { sourceOf } from '../test/fixtures/file-content.js'
import { type Commits, followCommits } from './commits.js'
import { type Benchmark, type Figure, figure } from './figures.js'
import { MINE_INTERVAL } from './network.js'
import { type ClusterNode, startNodeCluster } from './node-cluster.js'
import { ownMemory, processorSeconds } from './process-usage.js'
import { quantile } from './quantile.js'
import { nameOf } from './signed-records.js'
import { readTraffic } from './traffic.js'

const NODES = 3
const PATIENCE = 120_000
const KILOBYTE = 1_000
const PIECE = 262_144

/** What Caliper calls a round: so many transactions by so many users, each with an encrypted file of this size or with none. */
interface Round {
  readonly transactions: number
  readonly users: number
  readonly fileBytes: number
}

/** The three sweeps: the number that changes, and what stays. */
function sweeps(isQuick: boolean): Record<string, { label: string; rounds: { x: number; round: Round }[] }> {
  const some = (all: readonly number[]): readonly number[] =>
    isQuick ? all.filter((_, at) => at === 0 || at === all.length - 1) : all
  const files = isQuick ? 3 : 20
  return {
    transactions: {
      label: 'transactions, by 20 users',
      rounds: some([5, 25, 50, 100, 200, 400]).map((x) => ({
        x,
        round: { transactions: x, users: 20, fileBytes: 0 },
      })),
    },
    users: {
      label: 'users, 400 transactions',
      rounds: some([20, 40, 60, 80, 100, 120]).map((x) => ({
        x,
        round: { transactions: 400, users: x, fileBytes: 0 },
      })),
    },
    files: {
      label: `size of the file (kB), ${files} transactions by 3 users`,
      rounds: some([200, 1_000, 5_000, 10_000, 20_500]).map((x) => ({
        x,
        round: { transactions: files, users: 3, fileBytes: x * KILOBYTE },
      })),
    },
  }
}

/** What Caliper reports of a round, and its units; see docs/benchmarks.md for what each means. */
const columns = {
  success: '%',
  sendRate: 'TPS',
  throughput: 'TPS',
  least: 's',
  average: 's',
  most: 's',
  p50: 's',
  p95: 's',
  p99: 's',
  processor: 's',
  memory: 'MiB',
  traffic: 'kB',
} as const
type Column = keyof typeof columns
type Measured = Readonly<Record<Column, number>>

const titles: Readonly<Record<Column, string>> = {
  success: 'success',
  sendRate: 'send rate',
  throughput: 'throughput',
  least: 'latency, min',
  average: 'latency, avg',
  most: 'latency, max',
  p50: 'latency, p50',
  p95: 'latency, p95',
  p99: 'latency, p99',
  processor: 'processor time of the nodes',
  memory: 'memory of the largest node',
  traffic: 'traffic between and to the nodes',
}

/**
 * The sweep that Hyperledger Caliper would make, over three nodes as `network` has them. A user sends one transaction after the
 * other, the next as soon as the node has taken the last. A transaction is committed when it is in a block on all nodes.
 */
export const caliperBenchmark: Benchmark = async ({ folder, runs, isQuick, say, plot }) => {
  let commits: Commits | undefined
  const mines = { MINE: 'true', MINE_INTERVAL: String(MINE_INTERVAL) }
  const { nodes, end } = await startNodeCluster({
    folder: join(folder, 'cluster'),
    network: easyNetworkFile,
    nodes: [mines, ...Array.from({ length: NODES - 1 }, () => ({}))],
    onBlock: () => commits?.onBlock(),
  })
  const figures: Figure[] = []
  try {
    commits = await followCommits(nodes)
    const maker = createBlockMaker(easyNetworkFile)
    let made = 0
    const context: Context = { nodes, commits, record: (file) => signedRecord(maker, ++made, file) }
    // Warms code and connections, and does not count.
    for (let run = 0; run < 3; run++) await runRound({ transactions: 400, users: 20, fileBytes: 0 }, context)
    await runRound({ transactions: 3, users: 3, fileBytes: 200 * KILOBYTE }, context)

    for (const [name, { label, rounds }] of Object.entries(sweeps(isQuick))) {
      const found: { x: number; byColumn: Partial<Record<Column, Figure>> }[] = []
      for (const { x, round } of rounds) {
        const measured: Measured[] = []
        for (let run = 0; run < runs; run++) measured.push(await runRound(round, context))
        const byColumn: Partial<Record<Column, Figure>> = {}
        for (const column of Object.keys(columns) as Column[]) {
          const values = measured.map((one) => one[column])
          const one = figure(`${name} ${x}: ${titles[column]}`, columns[column], values)
          byColumn[column] = one
          figures.push(one)
        }
        found.push({ x, byColumn })
        say(
          `caliper: ${name} ${x}: ${Object.entries(byColumn)
            .map(([column, { median, unit }]) => `${column} ${median} ${unit}`)
            .join(', ')}`,
        )
      }
      const lineOf = (column: Column) => ({
        name: titles[column],
        points: found.flatMap(({ x, byColumn: { [column]: one } }) =>
          one ? [{ x, y: one.median, least: one.least, most: one.most }] : [],
        ),
      })
      plot({
        name: `caliper-${name}-latency`,
        title: 'Time until a record is on all three chains',
        x: { label },
        y: { label: 'latency (s)' },
        series: (['least', 'average', 'p95', 'most'] as const).map(lineOf),
      })
      plot({
        name: `caliper-${name}-throughput`,
        title: 'Records on all three chains',
        x: { label },
        y: { label: 'rate (records/s)' },
        series: (['sendRate', 'throughput'] as const).map(lineOf),
      })
    }
    await commits.close()
  } finally {
    await end()
  }
  return figures
}

interface Context {
  readonly nodes: readonly ClusterNode[]
  readonly commits: Commits
  record(file: string | undefined): { bytes: Uint8Array; name: string }
}

function signedRecord(maker: ReturnType<typeof createBlockMaker>, number: number, file: string | undefined) {
  const label = { user_id: `user-${number}`, EHR_name: `MRI-${number}`, file_name: `MRI-${number}.aes`, size: number }
  const signer = signerOf(`author-${number % 100}`)
  const cid = file === undefined ? {} : { file: parseFileCid(file) }
  const record = maker.record(`MRI-${number}`, { at: Date.now(), signer, label, ...cid })
  return { bytes: record.bytes, name: nameOf(record) }
}

async function runRound({ transactions, users, fileBytes }: Round, context: Context): Promise<Measured> {
  const { nodes, commits, record } = context
  const clients = nodes.map(({ url }) => createNodeClient(url))
  // Files and, where there are none, signatures are made before: they are not what is measured.
  const plain = fileBytes > 0 ? Array.from({ length: transactions }, () => randomBytes(fileBytes)) : []
  const signed = fileBytes > 0 ? [] : Array.from({ length: transactions }, () => record(undefined))
  const sent: { name: string; begun: number; submitted: number }[] = []
  let failed = 0
  let next = 0
  const trafficBefore = await trafficOf(nodes)
  const before = nodes.map(({ pid }) => processorSeconds(pid))

  async function send(client: (typeof clients)[number], at: number): Promise<void> {
    const begun = Date.now()
    let name: string | undefined
    try {
      const file = plain[at]
      const cid = file && (await client.uploadFile(encrypted(file), `MRI-${at}.aes`)).cid
      const made = signed[at] ?? record(cid)
      name = made.name
      commits.submitted(name)
      sent.push({ name, begun, submitted: Date.now() })
      await client.submitTransaction(made.bytes)
    } catch {
      failed++
      if (name !== undefined) commits.refused(name)
    }
  }
  await Promise.all(
    Array.from({ length: users }, async (_, user) => {
      const client = clients[user % clients.length]
      while (client && next < transactions) await send(client, next++)
    }),
  )
  await commits.below(1, PATIENCE)

  const processor = nodes.reduce((sum, { pid }, at) => sum + processorSeconds(pid) - (before[at] ?? 0), 0)
  const traffic = (await trafficOf(nodes)) - trafficBefore
  const committed = sent.flatMap(({ name, begun }) => {
    const at = commits.at(name)
    return at === undefined ? [] : [{ at, latency: (at - begun) / 1_000 }]
  })
  const latencies = committed.map(({ latency }) => latency).sort((a, b) => a - b)
  const first = Math.min(...sent.map(({ begun }) => begun))
  const lastSent = Math.max(...sent.map(({ submitted }) => submitted))
  const lastCommitted = Math.max(...committed.map(({ at }) => at))
  if (committed.length + failed !== transactions) throw new Error('A transaction was taken and is on no chain.')
  return {
    success: (committed.length / transactions) * 100,
    // In the same millisecond there is no rate.
    sendRate: (transactions / Math.max(1, lastSent - first)) * 1_000,
    throughput: (committed.length / Math.max(1, lastCommitted - first)) * 1_000,
    least: latencies[0] ?? Number.NaN,
    average: latencies.reduce((sum, one) => sum + one, 0) / latencies.length,
    most: latencies.at(-1) ?? Number.NaN,
    p50: quantile(latencies, 0.5),
    p95: quantile(latencies, 0.95),
    p99: quantile(latencies, 0.99),
    processor,
    memory: Math.max(...nodes.map(({ pid }) => ownMemory(pid))),
    traffic: traffic / KILOBYTE,
  }
}

/** Encrypts as it is sent, under a fresh key, as `emrchain add` does. */
async function* encrypted(file: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  const key = randomBytes(FILE_KEY_SIZE)
  yield* encryptFile(sourceOf(file, PIECE), { key, context: FILE_CONTEXT, aead: nodeAead })
}

/** Bytes over all connections of the nodes, those between two of them once. */
async function trafficOf(nodes: readonly ClusterNode[]): Promise<number> {
  const counted = await Promise.all(nodes.map(readTraffic))
  return counted.reduce((sum, { called }) => sum + called, 0)
}
