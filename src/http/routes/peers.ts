import type { EmrNode } from '../../node/emr-node.js'
import { DaemonAnswer, DaemonMessage, HelloMessage, TipMessage } from '../../protocol/peer-messages.js'
import { Type } from '../../typebox.js'
import { problems, type TypedServer } from '../route.js'
import { senderOf } from '../sender.js'

const PeerView = Type.Object({
  address: Type.String(),
  key: Type.Optional(Type.String({ description: 'proved at this address' })),
  tip: Type.Optional(TipMessage),
  seenAt: Type.Optional(Type.Integer({ description: 'ms since 1970' })),
  failure: Type.Optional(Type.String({ description: 'code of the error of the last call' })),
  state: Type.Enum(['new', 'connected', 'backing_off', 'banned', 'blocked']),
  until: Type.Optional(Type.Integer({ description: 'end of the pause or ban, in ms since 1970' })),
  reason: Type.Optional(Type.String({ description: 'code of the error for which it is banned' })),
  score: Type.Integer({ minimum: 0, maximum: 100, description: 'misbehaviour: 0 is clean, 100 a ban; it fades' }),
  chosen: Type.Boolean({ description: 'named by the operator, and never dropped for others' }),
})
const PeerList = Type.Object({ peers: Type.Array(PeerView) })
const Nodes = Type.Object(
  { nodes: Type.Array(Type.String({ maxLength: 256 }), { maxItems: 256, description: 'URLs of nodes' }) },
  { additionalProperties: false },
)

/** `/peers`: how nodes greet each other, whom this one knows, and whom the operator wants no dealings with. */
export function peerRoutes(server: TypedServer, node: EmrNode): void {
  const listed = () => ({ peers: node.peers().map((peer) => ({ ...peer })) })

  server.post(
    '/peers',
    {
      config: { access: 'public' },
      schema: {
        tags: ['peers'],
        summary: 'Greet this node; it greets back and takes what the caller has',
        description: 'The request is signed by the key that the greeting names, and so is the answer.',
        body: HelloMessage,
        response: { 200: HelloMessage, ...problems },
      },
      async onSend(request, reply, body) {
        const { signature } = request.headers
        if (reply.statusCode !== 200 || typeof body !== 'string' || typeof signature !== 'string') return body
        reply.headers(node.signAnswer({ status: 200, body, request: signature }))
        return body
      },
    },
    (request) => node.greeted(request.body, senderOf(request)),
  )

  server.post(
    '/peers/ipfs',
    {
      config: { access: 'public' },
      schema: {
        tags: ['peers'],
        summary: 'Tell this node of the IPFS daemon of the caller, which its own then dials',
        description:
          'By a node that has greeted this one, signed by its key. Addresses that this node may not call are passed over.',
        body: DaemonMessage,
        response: { 200: DaemonAnswer, ...problems },
      },
    },
    async (request) => node.daemonTold(request.body, senderOf(request).address),
  )

  server.get(
    '/peers',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['peers'],
        summary: 'The nodes that this one knows',
        response: { 200: PeerList, ...problems },
      },
    },
    async () => listed(),
  )

  for (const [path, summary, act] of [
    ['/peers/block', 'End all traffic with these nodes, both ways', node.blockPeers],
    ['/peers/unblock', 'Take blocks and bans of these nodes back', node.unblockPeers],
  ] as const) {
    server.post(
      path,
      {
        config: { access: 'operator' },
        schema: { tags: ['peers'], summary, body: Nodes, response: { 200: PeerList, ...problems } },
      },
      async (request) => {
        await act(request.body.nodes)
        return listed()
      },
    )
  }
}
