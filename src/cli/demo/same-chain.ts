import { assertSame } from './assert-same.js'
import { expected } from './paper-answers.js'
import type { Exchange, PaperClient } from './paper-client.js'

/** The end of one node's chain. */
export interface ChainEnd {
  readonly node: string
  readonly length: number
  readonly hash: string
}

async function endOf(client: PaperClient, node: string): Promise<ChainEnd> {
  const { answer } = await client.call({ method: 'GET', url: `${node}/get_chain?limit=1` }, expected.getChain)
  return { node, length: answer.length, hash: answer.chain[0]?.hash ?? '' }
}

/**
 * Makes sure that these nodes are at this tip. They hear of a block within moments; one that has not is told to ask
 * its peers, so that nothing here depends on how busy the machine is.
 *
 * @throws EmrError `demo_mismatch`
 */
export async function catchUp(client: PaperClient, nodes: readonly string[], hash: string): Promise<void> {
  for (const node of nodes) {
    if ((await endOf(client, node)).hash === hash) continue
    await client.call({ method: 'GET', url: `${node}/replace_chain` }, expected.replaceChain)
    assertSame(`The newest block of ${node}`, (await endOf(client, node)).hash, hash)
  }
}

/**
 * Lets every node check its chain from genesis, and compares the ends.
 *
 * @throws EmrError `demo_mismatch` when a chain is not valid or two differ
 */
export async function assertValidEverywhere(
  client: PaperClient,
  nodes: readonly string[],
  onExchange: (title: string, exchange: Exchange) => void,
): Promise<ChainEnd[]> {
  for (const [at, node] of nodes.entries()) {
    const exchange = await client.call({ method: 'GET', url: `${node}/is_valid` }, expected.isValid)
    onExchange(`Check the whole chain again, on node ${at + 1}`, exchange)
    assertSame(`What node ${at + 1} says of its chain`, exchange.answer.valid, true)
  }
  const ends = await Promise.all(nodes.map((node) => endOf(client, node)))
  for (const end of ends) {
    assertSame(`The end of the chain of ${end.node}`, { ...end, node: '' }, { ...ends[0], node: '' })
  }
  return ends
}
