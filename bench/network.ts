import { join } from 'node:path'
import { createOpensslVerify, verifyNative } from '#emrchain/crypto/ed25519-node.js'
import { createBlockMaker, easyNetworkFile } from '../test/fixtures/block-maker.js'
import { type Commits, countOnDisk, followCommits } from './commits.js'
import { type Benchmark, figure } from './figures.js'
import { type ClusterNode, startNodeCluster } from './node-cluster.js'
import { openPostConnection } from './post-connection.js'
import { peakMemory, processorSeconds, watchOwnMemory } from './process-usage.js'
import { quantile } from './quantile.js'
import { type SignedRecords, signRecords } from './signed-records.js'
import { readTraffic } from './traffic.js'
import { verifyRate } from './verify-rate.js'

const NODES = 3
const AUTHORS = 1_000
const REFERENCE = 5_000
/** More records a second than are ever taken. */
const MOST = 3_500
/** What the first node waits at least, and half as much again at most, between two blocks. */
export const MINE_INTERVAL = 250
/** How many records may be submitted and not yet be on all three chains: what Caliper calls a fixed load. */
const LOAD = 4_000
const CONNECTIONS = 16
/** Longest time without a record that gets to all chains. */
const PATIENCE = 60_000

type Measured = Readonly<Record<string, number>>

/**
 * Three nodes on this machine, each a process of its own, each connected with each, the first mining whenever something
 * is pending; every second hash meets the target, so that the processor is there for the records. Records that were
 * signed before go to all three in turn, as fast as they are on all three chains: a fixed number of them is under way.
 */
export const networkBenchmark: Benchmark = async ({ folder, runs, isQuick, say, plot }) => {
  const seconds = isQuick ? 5 : 60
  const maker = createBlockMaker(easyNetworkFile)
  say(`network: signing ${seconds * MOST} records`)
  const records = signRecords(maker, seconds * MOST, { authors: AUTHORS, sample: REFERENCE })
  const measured: Measured[] = []
  const series: { name: string; points: { x: number; y: number }[] }[] = []
  for (let run = 0; run < runs; run++) {
    say(`network: run ${run + 1} of ${runs} begins: ${seconds} s`)
    const reference = verifyRate(records.sample, createOpensslVerify(), AUTHORS)
    const native = verifyRate(records.sample, verifyNative, AUTHORS)
    const { points, ...figures } = await loadOnce(join(folder, `run-${run}`), records, seconds)
    measured.push({ ...figures, reference, native, ratio: figures.rate / ((reference / NODES) * 2) })
    series.push({ name: `run ${run + 1}`, points })
    say(`network: run ${run + 1} of ${runs}: ${figures.rate.toFixed(0)} records/s, p50 ${figures.p50} ms`)
  }
  plot({
    name: 'network-throughput',
    title: 'Records on all three chains, by the second',
    x: { label: 'time since the first record (s)' },
    y: { label: 'rate (records/s)' },
    series,
  })
  return rows.map(([what, unit, key]) =>
    figure(
      what,
      unit,
      measured.map((run) => run[key] ?? Number.NaN),
    ),
  )
}

const rows: readonly (readonly [what: string, unit: string, key: string])[] = [
  ['records on all three chains', 'records/s', 'rate'],
  ['submitted and on all three chains', '%', 'success'],
  ['time to commit, p50', 'ms', 'p50'],
  ['time to commit, p95', 'ms', 'p95'],
  ['time to commit, p99', 'ms', 'p99'],
  ['records in a block', 'records', 'perBlock'],
  ['reference: verify by node:crypto on one thread', 'signatures/s', 'reference'],
  ['the same by libsodium, which the nodes use', 'signatures/s', 'native'],
  ['records against a third of two threads of node:crypto', 'times', 'ratio'],
  ['processor time of the node that mines', 's', 'cpu0'],
  ['processor time of the second node', 's', 'cpu1'],
  ['processor time of the third node', 's', 'cpu2'],
  ['processor time of the load generator', 's', 'cpuLoad'],
  ['processor time of all', 'µs a record', 'cpuRecord'],
  ['peak memory of the largest node', 'MiB', 'peak'],
  ['of it without mapped files, at most', 'MiB', 'own'],
  ['between the nodes', 'bytes a record', 'between'],
  ['over all connections', 'bytes a record', 'traffic'],
]

async function loadOnce(folder: string, records: SignedRecords, seconds: number) {
  let commits: Commits | undefined
  const mines = { MINE: 'true', MINE_INTERVAL: String(MINE_INTERVAL) }
  const profile = process.env.BENCH_PROFILE
  const { nodes, end } = await startNodeCluster({
    folder,
    network: easyNetworkFile,
    nodes: [mines, {}, {}],
    onBlock: () => commits?.onBlock(),
    flags: (node) => (profile ? ['--cpu-prof', `--cpu-prof-dir=${profile}/node-${node}`] : []),
  })
  try {
    commits = await followCommits(nodes)
    const own = nodes.map(({ pid }) => watchOwnMemory(pid))
    const processes = [...nodes.map(({ pid }) => pid), process.pid]
    const before = processes.map(processorSeconds)
    const sent = await submitAll(nodes, commits, records, seconds)
    const cpu = processes.map((pid, at) => processorSeconds(pid) - (before[at] ?? 0))
    await commits.close()

    const names = records.names.slice(0, sent.length)
    for (const node of nodes) {
      const there = await countOnDisk(node, names)
      if (there !== names.length - sent.refused) throw new Error(`A chain has ${there} of ${names.length} records.`)
    }
    const committed = names.flatMap((name) => commits?.at(name) ?? [])
    const latencies = names
      .flatMap((name, at) => (commits?.at(name) ?? Number.NaN) - (sent.times[at] ?? 0))
      .filter((time) => !Number.isNaN(time))
      .sort((a, b) => a - b)
    const first = sent.times[0] ?? 0
    const last = committed.reduce((most, time) => Math.max(most, time), 0)
    const traffic = await Promise.all(nodes.map(readTraffic))
    const between = traffic.reduce((sum, { calling }) => sum + calling, 0)
    const called = traffic.reduce((sum, { called }) => sum + called, 0)
    return {
      rate: (committed.length / (last - first)) * 1_000,
      success: (committed.length / names.length) * 100,
      p50: quantile(latencies, 0.5),
      p95: quantile(latencies, 0.95),
      p99: quantile(latencies, 0.99),
      perBlock: committed.length / (nodes[0]?.blocks.size ?? 1),
      cpu0: cpu[0] ?? 0,
      cpu1: cpu[1] ?? 0,
      cpu2: cpu[2] ?? 0,
      cpuLoad: cpu[3] ?? 0,
      cpuRecord: (cpu.reduce((sum, one) => sum + one, 0) / committed.length) * 1e6,
      peak: Math.max(...nodes.map(({ pid }) => peakMemory(pid))),
      own: Math.max(...own.map((most) => most())),
      between: between / committed.length,
      // What one node calls, another is called: counted once.
      traffic: called / committed.length,
      points: bySecond(committed, first),
    }
  } finally {
    await end()
  }
}

/** Submits records to the nodes in turn for so long, and waits until the last of them is on all chains. */
async function submitAll(
  nodes: readonly ClusterNode[],
  commits: Commits,
  { bodies, names }: SignedRecords,
  seconds: number,
) {
  const times: number[] = []
  let refused = 0
  let next = 0
  const until = Date.now() + seconds * 1_000
  await Promise.all(
    Array.from({ length: CONNECTIONS * nodes.length }, async (_, at) => {
      const node = nodes[at % nodes.length]
      if (!node) return
      const connection = await openPostConnection(new URL('/transactions', node.url), 'application/vnd.ipld.dag-cbor')
      while (next < bodies.length && Date.now() < until) {
        if (commits.waiting() >= LOAD) {
          await commits.below(LOAD, PATIENCE)
          continue
        }
        const [place, name, body] = [next, names[next] ?? '', bodies[next++]]
        if (!body) break
        times[place] = Date.now()
        commits.submitted(name)
        if ((await connection.post(body)) === 202) continue
        refused++
        commits.refused(name)
      }
      connection.close()
    }),
  )
  await commits.below(1, PATIENCE)
  return { times, refused, length: next }
}

function bySecond(committed: readonly number[], first: number): { x: number; y: number }[] {
  const counts: number[] = []
  for (const time of committed) {
    const second = Math.floor((time - first) / 1_000)
    counts[second] = (counts[second] ?? 0) + 1
  }
  return Array.from(counts, (y = 0, second) => ({ x: second + 1, y }))
}
