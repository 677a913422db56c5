import { execFile } from 'node:child_process'
import { cpSync, existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { request } from 'undici'
import { dataFolderPaths } from '#emrchain/ledger/layout.js'
import type { ClearLabel } from '#emrchain/protocol/bodies/record.js'
import { easyNetworkFile } from '../test/fixtures/block-maker.js'
import { startNodeProcess } from '../test/fixtures/node-process.js'
import { readTimes, startMeasuredNode, WARMING } from './api-reads.js'
import { type Benchmark, type Figure, figure } from './figures.js'
import { type Growth, plotGrowth } from './growth-plots.js'
import { getRequest, postJson, putUnderLoad } from './http-load.js'
import { importChain } from './import-chain.js'
import { AUTHORS, growChain } from './make-chain.js'
import { ownMemory, residentMemory } from './process-usage.js'

const RECORDS_A_BLOCK = 500
const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const KINDS = 20
const LOOKUPS = 2_000
/** An answer about a name that many have holds a record for each of up to 256 people. */
const LOOKUPS_OF_MANY = 100
const WARMING_OF_MANY = 50
/** The id of each such record is kept, to be asked for. */
const SAMPLE = 50
/** Longer chains are taken and verified once. */
const MOST_REPEATED = 10_000
/** How long a node is left alone before its memory at rest is read, in ms. */
const REST = 1_000

/** A thousand people with records of twenty kinds; each file has a name of its own, each kind is a name that many have. */
const label = (number: number): ClearLabel => ({
  user_id: `user-${number % AUTHORS}`,
  EHR_name: kindOf(number),
  file_name: fileOf(number),
  size: number,
})
const kindOf = (number: number): string => `kind-${Math.floor(number / AUTHORS) % KINDS}`
const fileOf = (number: number): string => `MRI-${number}.pdf`

/** One chain that grows to a million records, 500 a block, and what a node is like at each power of ten. */
export const growthBenchmark: Benchmark = async ({ folder, runs, records, isQuick, say, plot }) => {
  const network = join(folder, 'easy.json')
  writeFileSync(network, JSON.stringify(easyNetworkFile))
  const most = isQuick ? Math.min(records, 10_000) : records
  const sizes = [...SIZES.filter((size) => size < most), most]
  const data = join(folder, 'chain')
  const chain = growChain({ folder: data, recordsABlock: RECORDS_A_BLOCK, labelOf: label })
  const ids: string[] = []
  const grown: Growth[] = []
  let [seen, began] = [0, performance.now()]
  for (const size of sizes) {
    await chain.growTo(size, ({ transactions }, written) => {
      for (const { id } of transactions) if (seen++ % SAMPLE === 0) ids.push(id.toString())
      if (written % 50_000 === 0)
        say(`growth: ${written} records made in ${Math.round((performance.now() - began) / 1_000)} s`)
    })
    const height = chain.height()
    grown.push({
      size,
      ...(await measureStarts(data, { network, runs })),
      ...(await measureLookups(data, { network, size, ids, runs })),
      ...diskOf(data, size),
      ...(await measureReading(data, { network, size, height, runs: size > MOST_REPEATED ? 1 : runs })),
      rebuild: await measureRebuilds(data, { network, runs: size > MOST_REPEATED ? 1 : runs }),
    })
    for (const { what, median, unit } of grown.slice(-1).flatMap(figuresOf)) say(`growth: ${what}: ${median} ${unit}`)
    began = performance.now()
  }
  plotGrowth(grown, plot)
  return grown.flatMap(figuresOf)
}

function figuresOf(grown: Growth): Figure[] {
  const at = (what: string, unit: string, values: readonly number[]): Figure =>
    figure(`${grown.size.toLocaleString('en')} records: ${what}`, unit, values)
  return [
    at('start until it answers', 's', grown.start),
    at('start that makes the index anew', 's', grown.rebuild),
    at('close', 's', grown.close),
    at('memory at rest', 'MiB', grown.resident),
    at('of it the process itself, no mapped files', 'MiB', grown.own),
    at('disk: chain.car', 'bytes a record', [grown.chainBytes]),
    at('disk: index', 'bytes a record', [grown.indexBytes]),
    at('disk: state', 'bytes a record', [grown.stateBytes]),
    at('sync from another process', 'records/s', grown.sync),
    at('emrchain verify', 's', grown.verify),
    at('by id, server time p50', 'ms', grown.byId),
    at('by file name, server time p50', 'ms', grown.byName),
    at('by name and user, server time p50', 'ms', grown.byUser),
    at('by a name that 256 or more have, server time p50', 'ms', grown.byCommonName),
  ]
}

async function measureStarts(data: string, { network, runs }: { network: string; runs: number }) {
  const [start, close, resident, own]: [number[], number[], number[], number[]] = [[], [], [], []]
  for (let run = 0; run < runs; run++) {
    let before = performance.now()
    const node = await startNodeProcess({ DATA: data, NETWORK: network })
    const answer = await request(`${node.url}/healthz`)
    await answer.body.dump()
    start.push((performance.now() - before) / 1_000)
    await setTimeout(REST)
    resident.push(residentMemory(node.pid))
    own.push(ownMemory(node.pid))
    before = performance.now()
    await node.end('SIGTERM')
    close.push((performance.now() - before) / 1_000)
  }
  return { start, close, resident, own }
}

/** Seconds until a node answers that finds no index: the whole chain is read, its index made and synced. */
async function measureRebuilds(data: string, { network, runs }: { network: string; runs: number }): Promise<number[]> {
  const { index } = dataFolderPaths(data)
  const kept = `${data}.index`
  const times: number[] = []
  renameSync(index, kept)
  for (let run = 0; run < runs; run++) {
    rmSync(index, { recursive: true, force: true })
    const began = performance.now()
    const node = await startNodeProcess({ DATA: data, NETWORK: network })
    times.push((performance.now() - began) / 1_000)
    await node.end('SIGTERM')
  }
  rmSync(index, { recursive: true })
  renameSync(kept, index)
  return times
}

interface LookupOptions {
  readonly network: string
  readonly size: number
  readonly ids: readonly string[]
  readonly runs: number
}

/**
 * Server times of questions spread over the whole chain, one after another; each run asks a node of its own, which is
 * warmed with others of each sort before those that count.
 */
async function measureLookups(data: string, { network, size, ids, runs }: LookupOptions) {
  const found: Record<'byId' | 'byName' | 'byUser' | 'byCommonName', number[]> = {
    byId: [],
    byName: [],
    byUser: [],
    byCommonName: [],
  }
  const times = `${data}.times`
  for (let run = 0; run < runs; run++) {
    const node = await startMeasuredNode({ DATA: data, NETWORK: network }, times)
    const numbers = Array.from({ length: WARMING + LOOKUPS }, (_, at) => ((run * LOOKUPS + at) * 7_919) % size)
    const ask = (phase: string, name: string, user?: string) =>
      postJson(node.url, '/get_file_hash', { name, ...(user === undefined ? {} : { user_id: user }) }, phase)
    const send = async (
      phase: string,
      { warming, count }: { warming: number; count: number },
      requestOf: (at: number, phase: string) => Buffer,
    ): Promise<void> => {
      const requests = numbers
        .slice(0, warming + count)
        .map((number, at) => requestOf(number, at < warming ? 'warming' : phase))
      await putUnderLoad({ url: node.url, requests, connections: 1, status: 200 })
    }
    const counts = { warming: WARMING, count: LOOKUPS }
    const ofMany = { warming: WARMING_OF_MANY, count: LOOKUPS_OF_MANY }
    try {
      const idAt = (at: number) => `/transactions/${ids[at % ids.length]}`
      await send('byId', counts, (at, phase) => getRequest(node.url, idAt(at), phase))
      await send('byName', counts, (at, phase) => ask(phase, fileOf(at)))
      await send('byUser', counts, (at, phase) => ask(phase, kindOf(at), `user-${at % AUTHORS}`))
      await send('byCommonName', ofMany, (at, phase) => ask(phase, kindOf(at)))
      await node.end('SIGTERM')
    } catch (error) {
      await node.end('SIGKILL')
      throw error
    }
    const server = readTimes(times)
    for (const [name, values] of Object.entries(found)) values.push(server(name))
  }
  return found
}

/** Bytes a record on disk. */
function diskOf(data: string, records: number) {
  const paths = dataFolderPaths(data)
  const sizeOf = (folder: string): number =>
    existsSync(folder) ? readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0) : 0
  return {
    chainBytes: statSync(paths.chain).size / records,
    indexBytes: sizeOf(paths.index) / records,
    stateBytes: sizeOf(paths.state) / records,
  }
}

interface ReadingOptions {
  readonly network: string
  readonly size: number
  readonly height: number
  readonly runs: number
}

/** The whole chain, taken by another node and by `emrchain verify`. */
async function measureReading(data: string, { network, size, height, runs }: ReadingOptions) {
  const [sync, verify]: [number[], number[]] = [[], []]
  for (let run = 0; run < runs; run++) {
    // The node that takes the chain becomes a peer, and is gone at the next start.
    const { state } = dataFolderPaths(data)
    const before = `${data}.state`
    cpSync(state, before, { recursive: true })
    const node = await startNodeProcess({ DATA: data, NETWORK: network, LOG_LEVEL: 'error' })
    const copy = `${data}.copy`
    try {
      sync.push(size / (await importChain(node.url, copy, { network, height })).seconds)
    } finally {
      await node.end('SIGTERM')
      rmSync(copy, { recursive: true, force: true })
      rmSync(state, { recursive: true })
      renameSync(before, state)
    }
    const program = fileURLToPath(new URL('../../bin/emrchain.js', import.meta.url))
    const began = performance.now()
    await promisify(execFile)(process.execPath, [program, 'verify', '--data', data, '--network', network])
    verify.push((performance.now() - began) / 1_000)
  }
  return { sync, verify }
}
