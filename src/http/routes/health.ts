import Type from 'typebox'
import type { EmrNode, NodeStatus } from '../../node/emr-node.js'
import { TipMessage } from '../../protocol/peer-messages.js'
import { paperIndex } from '../paper-json.js'
import { problems, type TypedServer } from '../route.js'

const FileStoreView = Type.Object({
  kind: Type.Enum(['embedded', 'kubo']),
  state: Type.Enum(['ok', 'degraded']),
  detail: Type.Optional(Type.String()),
})

/** `/healthz` and `/status`: whether the node is well, and how far it is. */
export function healthRoutes(server: TypedServer, node: EmrNode): void {
  server.get(
    '/healthz',
    {
      config: { access: 'public' },
      schema: {
        tags: ['node'],
        summary: 'Whether the node answers and its file store works',
        response: {
          200: Type.Object({ status: Type.Enum(['ok', 'degraded']), fileStore: FileStoreView }),
          ...problems,
        },
      },
    },
    async () => {
      const { fileStore } = await node.status()
      return { status: fileStore.state, fileStore }
    },
  )

  server.get(
    '/status',
    {
      config: { access: 'public' },
      schema: {
        tags: ['node'],
        summary: 'Version, network, tip, mempool, peers, file store',
        response: {
          200: Type.Object({
            version: Type.String(),
            network: Type.String(),
            genesis: Type.String(),
            key: Type.String({ description: 'Ed25519 key of the node, hexadecimal' }),
            url: Type.String(),
            clearLabels: Type.Boolean({ description: 'whether records carry names in clear here' }),
            tip: Type.Object({ ...TipMessage.properties, index: Type.Integer(), time: Type.Integer() }),
            mempool: Type.Object({ transactions: Type.Integer(), bytes: Type.Integer() }),
            peers: Type.Integer(),
            mining: Type.Boolean({ description: 'whether the node mines by itself' }),
            fileStore: FileStoreView,
          }),
          ...problems,
        },
      },
    },
    async () => statusView(await node.status(), node),
  )
}

const statusView = (status: NodeStatus, { network }: EmrNode) => ({
  ...status,
  genesis: status.genesis.toString(),
  clearLabels: network.clearLabels,
  tip: {
    id: status.tip.header.id.toString(),
    height: status.tip.header.height,
    index: paperIndex(status.tip.header),
    work: status.tip.work.toString(16),
    time: status.tip.header.time,
  },
})
