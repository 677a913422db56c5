import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { type NodeProcess, startNodeProcess } from '../test/fixtures/node-process.js'
import { postJson, putUnderLoad } from './http-load.js'
import { AUTHORS } from './make-chain.js'
import { ownMemory } from './process-usage.js'
import { quantile, quantileOf } from './quantile.js'

/** Times in ms, memory in MiB. */
export interface Reads {
  readonly nameServer: number
  readonly nameClient: number
  readonly userServer: number
  readonly userClient: number
  readonly prototypeName: number | undefined
  readonly hello: number
  readonly chainFirst: number
  readonly chainAgain: number
  readonly chainFirstByte: number
  readonly chainFirstMemory: number
  readonly chainMemory: number
  readonly prototypeChain: number | undefined
}

export interface ReadsOptions {
  /** Data folder of a chain of `blocks` blocks with one record each. */
  readonly chain: string
  readonly network: string
  readonly blocks: number
  /** File for the times that the node notes. */
  readonly times: string
  readonly hello: string
  readonly prototype: string | undefined
  readonly isQuick: boolean
}

const CHAINS = 5

/** Looks records up, one after another, and takes the whole chain, from a node that was just started. */
export async function measureReads(options: ReadsOptions): Promise<Reads> {
  const { chain, network, blocks, times, hello, prototype, isQuick } = options
  const lookups = isQuick ? 500 : 3_000
  /** Spread over the whole chain, so that no two of them are near each other. */
  const records = Array.from({ length: lookups }, (_, at) => (at * 7_919) % blocks)
  const node = await startMeasuredNode({ DATA: chain, NETWORK: network }, times)
  try {
    const { value: first, growth: firstMemory } = await watchMemory(node, () => takeChain(node.url, blocks))
    const { value: again, growth: memory } = await watchMemory(node, async () => {
      const taken: ChainTimes[] = []
      for (let at = 0; at < CHAINS; at++) taken.push(await takeChain(node.url, blocks))
      return taken
    })
    const name = await lookUp(
      node.url,
      records.map((at) => ({ name: `MRI-${at}` })),
      'name',
    )
    const user = await lookUp(
      node.url,
      records.map((at) => ({ name: `MRI-${at}`, user_id: `user-${at % AUTHORS}` })),
      'user',
    )
    await node.end('SIGTERM')
    const floor = await lookUp(
      hello,
      records.map((at) => ({ name: `MRI-${at}` })),
      'hello',
    )
    const old = prototype ? await measurePrototype(prototype, records.slice(0, 200), blocks) : undefined
    const server = readTimes(times)
    return {
      nameServer: server('name'),
      nameClient: name,
      userServer: server('user'),
      userClient: user,
      prototypeName: old?.name,
      hello: floor,
      chainFirst: first.whole,
      chainAgain: middle(again.map(({ whole }) => whole)),
      chainFirstByte: middle(again.map(({ firstByte }) => firstByte)),
      chainFirstMemory: firstMemory,
      chainMemory: memory,
      prototypeChain: old?.chain,
    }
  } catch (error) {
    await node.end('SIGKILL')
    throw error
  }
}

/** By how much the memory of a node itself grows, at most, while something is done. */
async function watchMemory<T>(node: NodeProcess, work: () => Promise<T>): Promise<{ value: T; growth: number }> {
  const before = ownMemory(node.pid)
  let most = before
  const watching = setInterval(() => {
    most = Math.max(most, ownMemory(node.pid))
  }, 2)
  try {
    return { value: await work(), growth: most - before }
  } finally {
    clearInterval(watching)
  }
}

/** A node that notes for requests of a phase how long it takes for them, in `times`, when it ends. */
export const startMeasuredNode = (options: Readonly<Record<string, string>>, times: string): Promise<NodeProcess> =>
  startNodeProcess({ ...options, TIMES_FILE: times }, [
    ...['--import', new URL('./server-times.js', import.meta.url).href],
  ])

/** What gives the p50 of a phase, in ms; the first tenth of it warmed the node. */
export function readTimes(path: string): (phase: string) => number {
  const noted: Record<string, number[]> = JSON.parse(readFileSync(path, 'utf8'))
  return (phase) => {
    const times = noted[phase] ?? []
    return middle(times.slice(Math.floor(times.length / 10)))
  }
}

/** The p50 in ms of these questions, one after another over one connection. */
export async function lookUp(url: string, questions: readonly object[], phase: string): Promise<number> {
  const requests = questions.map((question) => postJson(url, '/get_file_hash', question, phase))
  const { times } = await putUnderLoad({ url, requests, connections: 1, status: 200 })
  return quantile(times, 0.5)
}

async function measurePrototype(url: string, records: readonly number[], blocks: number) {
  const name = await lookUp(
    url,
    records.map((at) => ({ name: `MRI-${at}` })),
    'name',
  )
  const taken: number[] = []
  for (let at = 0; at < CHAINS; at++) taken.push((await takeChain(url, blocks)).whole)
  return { name, chain: middle(taken) }
}

interface ChainTimes {
  readonly firstByte: number
  readonly whole: number
}

/** Takes the whole chain as bytes. What they say is read when the clock has stopped. */
async function takeChain(url: string, blocks: number): Promise<ChainTimes> {
  const began = performance.now()
  const [answer] = (await once(get(`${url}/get_chain`), 'response')) as [IncomingMessage]
  const parts: Buffer[] = []
  let firstByte = 0
  for await (const part of answer) {
    firstByte ||= performance.now() - began
    parts.push(part)
  }
  const whole = performance.now() - began
  const { chain, length } = JSON.parse(Buffer.concat(parts).toString()) as { chain: unknown[]; length: number }
  if (length <= blocks || chain.length !== length) throw new Error(`A chain of ${length} blocks came.`)
  return { firstByte, whole }
}

export const middle = (values: readonly number[]): number => quantileOf(values, 0.5)
