import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { type NodeProcess, startNodeProcess } from '../test/fixtures/node-process.js'
import { postJson, putUnderLoad } from './http-load.js'
import { AUTHORS } from './make-chain.js'
import { ownMemory } from './process-usage.js'
import { quantile, quantileOf } from './quantile.js'

/** Times in ms, but for `ready` in s; memory in MiB. */
export interface Reads {
  readonly nameServer: number
  readonly nameClient: number
  readonly nameCold: number
  readonly userServer: number
  readonly userClient: number
  readonly userCold: number
  readonly prototypeName: number | undefined
  readonly hello: number
  /** From when the node answers until the whole chain is kept as text, and how the memory grows by then. */
  readonly ready: number
  readonly readyMemory: number
  readonly chainReady: number
  readonly chainReadyMemory: number
  readonly chainAgain: number
  readonly chainFirstByte: number
  readonly chainMemory: number
  /** Asked for before anything is kept. */
  readonly chainAtOnce: number
  readonly chainAtOnceMemory: number
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
/** Questions of a sort that are asked before those that count: by then the code for them is compiled. */
export const WARMING = 1_500
/** The first of these are what the first clients after a start see. */
const COLD = 500

/** Looks records up, one after another, and takes the whole chain, from nodes that were just started. */
export async function measureReads(options: ReadsOptions): Promise<Reads> {
  const { chain, network, blocks, times, hello, prototype, isQuick } = options
  const lookups = isQuick ? 500 : 3_000
  /** Spread over the whole chain, so that no two of them are near each other. */
  const records = Array.from({ length: WARMING + lookups }, (_, at) => (at * 7_919) % blocks)
  const byName = records.map((at) => ({ name: `MRI-${at}` }))
  const byUser = records.map((at) => ({ name: `MRI-${at}`, user_id: `user-${at % AUTHORS}` }))
  const start = () => startMeasuredNode({ DATA: chain, NETWORK: network }, times)

  const atOnce = await withNode(await start(), (node) => watchMemory(node, () => takeChain(node.url, blocks)))
  const found = await withNode(await start(), async (node) => {
    const ready = await watchMemory(node, () => untilReady(node.url, blocks))
    const first = await watchMemory(node, () => takeChain(node.url, blocks))
    const again = await watchMemory(node, async () => {
      const taken: ChainTimes[] = []
      for (let at = 0; at < CHAINS; at++) taken.push(await takeChain(node.url, blocks))
      return taken
    })
    const name = await lookUpWarmed(node.url, byName, 'name')
    const user = await lookUpWarmed(node.url, byUser, 'user')
    return { ready, first, again, name, user }
  })
  const { ready, first, again, name, user } = found
  const floor = await lookUp(hello, byName.slice(WARMING), 'hello')
  const old = prototype ? await measurePrototype(prototype, records.slice(0, 200), blocks) : undefined
  const server = readTimes(times)
  return {
    nameServer: server('name'),
    nameClient: name,
    nameCold: server('name, cold'),
    userServer: server('user'),
    userClient: user,
    userCold: server('user, cold'),
    prototypeName: old?.name,
    hello: floor,
    ready: ready.value,
    readyMemory: ready.growth,
    chainReady: first.value.whole,
    chainReadyMemory: first.growth,
    chainAgain: middle(again.value.map(({ whole }) => whole)),
    chainFirstByte: middle(again.value.map(({ firstByte }) => firstByte)),
    chainMemory: again.growth,
    chainAtOnce: atOnce.value.whole,
    chainAtOnceMemory: atOnce.growth,
    prototypeChain: old?.chain,
  }
}

/** Does something with a node, and ends it. */
async function withNode<T>(node: NodeProcess, work: (node: NodeProcess) => Promise<T>): Promise<T> {
  try {
    const value = await work(node)
    await node.end('SIGTERM')
    return value
  } catch (error) {
    await node.end('SIGKILL')
    throw error
  }
}

/** Pause between two questions whether a node is ready, in ms: each takes some of its time. */
const LOOK = 100

/** Waits until a node keeps the whole chain as text, as its metrics say. Resolves with the time that took, in s. */
async function untilReady(url: string, blocks: number): Promise<number> {
  const began = performance.now()
  for (;;) {
    const metrics = await (await fetch(`${url}/metrics`)).text()
    const kept = /^emrchain_chain_text_blocks (\d+)/m.exec(metrics)?.[1]
    if (Number(kept) > blocks) return (performance.now() - began) / 1_000
    await setTimeout(LOOK)
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

/** What gives the p50 of a phase, in ms. */
export function readTimes(path: string): (phase: string) => number {
  const noted: Record<string, number[]> = JSON.parse(readFileSync(path, 'utf8'))
  return (phase) => middle(noted[phase] ?? [])
}

/** As `lookUp` for the questions behind those that warm the node, of which the first have a phase of their own. */
async function lookUpWarmed(url: string, questions: readonly object[], phase: string): Promise<number> {
  await lookUp(url, questions.slice(0, COLD), `${phase}, cold`)
  await lookUp(url, questions.slice(COLD, WARMING), 'warming')
  return lookUp(url, questions.slice(WARMING), phase)
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
