import { request } from 'undici'
import { EmrError } from '../../errors.js'
import { Type, Value } from '../../typebox.js'
import type { NodesFile } from './nodes-file.js'

const Connected = Type.Object({
  total_nodes: Type.Array(Type.String()),
  refused: Type.Array(Type.Object({ node: Type.String(), reason: Type.String() })),
})

/**
 * Connects nodes to each other: each gets the nodes file, as it is, as a `connect_node`.
 *
 * @throws EmrError `network_not_connected` when one does not answer or does not take another
 */
export async function connectNodes({ nodes, text }: Pick<NodesFile, 'nodes' | 'text'>, signal: AbortSignal) {
  // One after another: two nodes that greet each other at the same moment would each do the work of both.
  for (const { url } of nodes) {
    const { statusCode, body } = await request(new URL('/connect_node', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: text,
      signal,
    })
    const answer: unknown = await body.json()
    if (statusCode !== 201 || !Value.Check(Connected, answer)) {
      throw new EmrError('network_not_connected', `${url} answered ${statusCode} to connect_node.`)
    }
    const [refused] = answer.refused
    if (refused) throw new EmrError('network_not_connected', `${url} refused ${refused.node}: ${refused.reason}`)
    const missing = nodes.find((node) => !answer.total_nodes.includes(new URL(node.url).host))
    if (missing) throw new EmrError('network_not_connected', `${url} does not list ${missing.url}.`)
  }
}
