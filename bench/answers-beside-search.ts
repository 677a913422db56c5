import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'undici'
import { paperNetwork } from '#emrchain/protocol/network-parameters.js'
import { startNodeProcess } from '../test/fixtures/node-process.js'

/** A block of it would take this machine a day. */
const difficulty = { rule: 'fixed', target: '1b00ffff' } as const

export interface AnswerTimes {
  /** In ms, one of each call. */
  readonly alone: number[]
  readonly besideSearch: number[]
}

/**
 * How long `GET /healthz` takes at a node that does nothing else, and at the same node while it searches on so many threads: what a search costs whoever
 * asks for something else.
 */
export async function answersBesideSearch(folder: string, threads: number, count: number): Promise<AnswerTimes> {
  const network = join(folder, `endless-${threads}.json`)
  writeFileSync(network, JSON.stringify({ ...paperNetwork, name: 'endless', difficulty }))
  const data = join(folder, `endless-${threads}`)
  const node = await startNodeProcess({ DATA: data, NETWORK: network, MINING_THREADS: String(threads) })
  const [asking, mining] = [new Client(node.url), new Client(node.url, { headersTimeout: 0 })]
  try {
    await ask(asking, count)
    const alone = await ask(asking, count)
    const gone = new AbortController()
    const search = mining.request({ path: '/mine_block', method: 'GET', signal: gone.signal }).catch(() => undefined)
    while (!(await isSearching(asking)));
    const besideSearch = await ask(asking, count)
    if (!(await isSearching(asking))) throw new Error('The search ended.')
    gone.abort()
    await search
    return { alone, besideSearch }
  } finally {
    await Promise.all([asking.close(), mining.destroy()])
    await node.end('SIGTERM')
  }
}

async function ask(client: Client, count: number): Promise<number[]> {
  const took: number[] = []
  for (let at = 0; at < count; at++) {
    const before = performance.now()
    const answer = await client.request({ path: '/healthz', method: 'GET' })
    await answer.body.dump()
    if (answer.statusCode !== 200) throw new Error(`It answers ${answer.statusCode}.`)
    took.push(performance.now() - before)
  }
  return took
}

async function isSearching(client: Client): Promise<boolean> {
  const answer = await client.request({ path: '/metrics', method: 'GET' })
  return /^emrchain_mining_active 1$/m.test(await answer.body.text())
}
