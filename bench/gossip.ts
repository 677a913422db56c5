import { once } from 'node:events'
import { createBlockMaker, signerOf, type TestScope } from '../test/fixtures/block-maker.js'
import { get, postBytes, startNode, type TestNode } from '../test/fixtures/start-node.js'
import { type BenchmarkOptions, type Figure, figure } from './figures.js'

const NODES = 10
const HOUR = 3_600_000

/**
 * How long a transaction and a block take from one end of a line of 10 nodes to the other: from the moment
 * before it is given to the first until the last holds it durably. All nodes run in this process and share its
 * one thread, over real HTTP on loopback; each knows its neighbours only. The reference is the way that the
 * hops cannot do without: nine HTTP round trips to one node, one after another, measured between the runs.
 */
export async function gossip({ folder, runs, say }: BenchmarkOptions): Promise<Figure[]> {
  const scope = createScope(folder)
  try {
    const nodes: TestNode[] = []
    for (let n = 0; n < NODES; n++) {
      const node = await startNode(scope, {}, { networkOptions: { syncInterval: HOUR } })
      const before = nodes.at(-1)
      if (before) await node.node.connect([before.url])
      nodes.push(node)
    }
    const [first, last] = [nodes[0], nodes.at(-1)]
    if (!first || !last) throw new Error('unreachable')
    const counts = nodes.map(({ node }) => node.peers().length)
    if (counts.join() !== [1, ...Array(NODES - 2).fill(2), 1].join()) throw new Error(`No line: ${counts.join()}`)

    const maker = createBlockMaker()
    const found: Record<'transaction' | 'block' | 'reference', number[]> = { transaction: [], block: [], reference: [] }
    // The first run warms code and connections and does not count.
    for (let run = 0; run <= runs; run++) {
      const record = maker.record(`record ${run}`, { at: Date.now(), signer: signerOf('patient') })
      const transaction = await timed(async () => {
        const arrived = once(last.node.events, 'transaction')
        await accepted(postBytes(`${first.url}/transactions`, 'application/vnd.ipld.dag-cbor', record.bytes))
        await arrived
      })
      const reference = await timed(async () => {
        for (let hop = 1; hop < NODES; hop++) await accepted(get(`${first.url}/peers`))
      })
      const arrived = once(last.node.events, 'tip')
      let mined = 0
      first.node.events.once('tip', () => {
        mined = performance.now()
      })
      await first.node.mine(new AbortController().signal)
      await arrived
      const block = performance.now() - mined
      const held = await last.node.transaction(record.id)
      if (held?.state !== 'confirmed') throw new Error('The last node does not hold what was sent.')
      if (run === 0) continue
      say(`gossip: run ${run} of ${runs}`)
      found.transaction.push(transaction)
      found.block.push(block)
      found.reference.push(reference)
    }
    return [
      figure('transaction through 10 nodes', 'ms', found.transaction),
      figure('block through 10 nodes', 'ms', found.block),
      figure('reference: 9 HTTP round trips', 'ms', found.reference),
    ]
  } finally {
    await scope.end()
  }
}

async function accepted(answer: Promise<{ status: number }>): Promise<void> {
  const { status } = await answer
  if (status >= 300) throw new Error(`A node answered ${status}.`)
}

async function timed(work: () => Promise<void>): Promise<number> {
  const before = performance.now()
  await work()
  return performance.now() - before
}

/** What nodes of tests are started in, here for the folder of a benchmark. */
function createScope(folder: string): TestScope & { end(): Promise<void> } {
  const handlers: (() => Promise<void>)[] = []
  return {
    testdir: () => folder,
    teardown: (handler) => handlers.push(handler),
    async end() {
      for (const handler of handlers) await handler()
    },
  }
}
