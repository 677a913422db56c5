import Type from 'typebox'
import type { EmrNode } from '../../node/emr-node.js'
import { HelloMessage, TipMessage } from '../../protocol/peer-messages.js'
import { problems, type TypedServer } from '../route.js'

const PeerView = Type.Object({
  address: Type.String(),
  key: Type.Optional(Type.String({ description: 'as the peer said' })),
  tip: Type.Optional(TipMessage),
  seenAt: Type.Optional(Type.Integer({ description: 'ms since 1970' })),
  failure: Type.Optional(Type.String({ description: 'code of the error of the last call' })),
})

/** `/peers`: how nodes greet each other, and whom this one knows. */
export function peerRoutes(server: TypedServer, node: EmrNode): void {
  server.post(
    '/peers',
    {
      config: { access: 'public' },
      schema: {
        tags: ['peers'],
        summary: 'Greet this node; it greets back and takes what the caller has',
        body: HelloMessage,
        response: { 200: HelloMessage, ...problems },
      },
    },
    (request) => node.greeted(request.body),
  )

  server.get(
    '/peers',
    {
      config: { access: 'public' },
      schema: {
        tags: ['peers'],
        summary: 'The nodes that this one knows',
        response: { 200: Type.Object({ peers: Type.Array(PeerView) }), ...problems },
      },
    },
    async () => ({ peers: node.peers().map((peer) => ({ ...peer })) }),
  )
}
