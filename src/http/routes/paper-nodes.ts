import type { EmrNode } from '../../node/emr-node.js'
import { Type } from '../../typebox.js'
import { problems, type TypedServer } from '../route.js'

/** `POST /connect_node`: the paper's call about other nodes. */
export function paperNodeRoutes(server: TypedServer, node: EmrNode): void {
  server.post(
    '/connect_node',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['paper'],
        summary: 'Connect to other nodes, both ways',
        body: Type.Object(
          { nodes: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 256, description: 'URLs of nodes' }) },
          { additionalProperties: false },
        ),
        response: {
          201: Type.Object({
            message: Type.Literal('All the nodes are now connected. The Blockchain now contains the following code'),
            total_nodes: Type.Array(Type.String(), { description: 'host:port, sorted, this node included' }),
            refused: Type.Array(Type.Object({ node: Type.String(), code: Type.String(), reason: Type.String() }), {
              description: 'what was not connected, and why',
            }),
          }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const { refused } = await node.connect(request.body.nodes)
      return reply.code(201).send({
        message: 'All the nodes are now connected. The Blockchain now contains the following code',
        total_nodes: node.nodeAddresses(),
        refused,
      })
    },
  )
}
