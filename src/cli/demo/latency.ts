import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { FILE_KEY_SIZE } from '../../crypto/file-cipher.js'
import { assertSame } from './assert-same.js'
import { encryptCopy, fingerprint } from './encrypted-copy.js'
import { expected } from './paper-answers.js'
import type { Exchange, PaperClient } from './paper-client.js'
import { catchUp } from './same-chain.js'

/** The functions of the paper's figure 5. */
export const measuredFunctions = [
  'create_hash',
  'add_transaction',
  'mine_block',
  'get_chain',
  'get_file_hash',
  'get_file',
] as const
export type MeasuredFunction = (typeof measuredFunctions)[number]

/** Size of the encrypted report as the paper prints it. */
const PAPER_SIZE = '63884'

/** Times of one function over all rounds, in ms. */
export interface Latency {
  readonly function: MeasuredFunction
  readonly min: number
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly max: number
}

export interface LatencyPlan {
  readonly client: PaperClient
  readonly urls: readonly [string, string, string]
  /** The report of the paper's size, not encrypted. */
  readonly report: { readonly path: string; readonly name: string }
  /** Folder from which the nodes may read. */
  readonly fileRoot: string
  readonly rounds: number
  readonly signal: AbortSignal
}

/**
 * Calls each function once a round: a report, encrypted anew so that it is another file, goes in at the first node and
 * comes out at the third. Every answer is checked; the time of a check does not count.
 *
 * @throws EmrError `demo_mismatch`
 */
export async function measureLatency(plan: LatencyPlan): Promise<Latency[]> {
  const times = new Map<MeasuredFunction, number[]>(measuredFunctions.map((name) => [name, []]))
  const timed = <T>(name: MeasuredFunction, { ms, answer }: Exchange<T>): T => {
    times.get(name)?.push(ms)
    return answer
  }
  for (let round = 1; round <= plan.rounds; round++) await runRound(plan, round, timed)
  return Array.from(times, ([name, measured]) => ({ function: name, ...summarise(measured) }))
}

async function runRound(
  { client, urls: [first, second, third], report, fileRoot, signal }: LatencyPlan,
  round: number,
  timed: <T>(name: MeasuredFunction, exchange: Exchange<T>) => T,
): Promise<void> {
  const file_path = `${round}-${report.name}.aes`
  const encrypted = await encryptCopy(report.path, join(fileRoot, file_path), randomBytes(FILE_KEY_SIZE), signal)
  const post = (url: string, json: object) => ({ method: 'POST', url, json }) as const
  const get = (url: string) => ({ method: 'GET', url }) as const

  const create = await client.call(post(`${first}/create_hash`, { file_path }), expected.createHash)
  const stored = timed('create_hash', create)['IPFS Hash']
  assertSame('The Size of the encrypted report', stored.Size, PAPER_SIZE)

  const record = { user_id: 'xxxxx', ipfs_hash: stored.Hash, EHR_name: 'Laboratory report' }
  const add = await client.call(post(`${first}/add_transaction`, record), expected.addTransaction)
  const { transaction } = timed('add_transaction', add)

  const block = timed('mine_block', await client.call(get(`${first}/mine_block`), expected.mineBlock))
  const inBlock = block.transactions.map(({ id }) => id)
  assertSame(`What is in the block of round ${round}`, inBlock, [transaction])

  const { chain } = timed('get_chain', await client.call(get(`${first}/get_chain`), expected.getChain))
  assertSame(`The newest block of round ${round}`, chain.at(-1)?.hash, block.hash)
  await catchUp(client, [second, third], block.hash)

  const query = await client.call(post(`${second}/get_file_hash`, { name: record.EHR_name }), expected.getFileHash)
  assertSame(`The newest report of round ${round}`, timed('get_file_hash', query)['File info'], stored)

  const fetch = await client.call(post(`${third}/get_file`, { ipfs_hash: stored.Hash }), expected.getFile)
  const { path } = timed('get_file', fetch)
  assertSame(`The report of round ${round}`, (await fingerprint(path, signal)).sha256, encrypted.sha256)
  await rm(encrypted.path)
}

/** Percentiles are those of the nearest rank. */
function summarise(times: readonly number[]): Omit<Latency, 'function'> {
  const sorted = [...times].sort((a, b) => a - b)
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
  const mean = sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length
  return { min: rank(0), mean, p50: rank(0.5), p95: rank(0.95), max: rank(1) }
}
