import type { EmrNode } from '../../node/emr-node.js'
import type { NodeStatus } from '../../node/node-status.js'
import { compactToHex } from '../../protocol/compact-target.js'
import { TipMessage } from '../../protocol/peer-messages.js'
import { Type } from '../../typebox.js'
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
        description: '`restoring`: it was restored from a backup, and gives nothing out before it has heard its peers.',
        response: {
          200: Type.Object({ status: Type.Enum(['ok', 'degraded', 'restoring']), fileStore: FileStoreView }),
          ...problems,
        },
      },
    },
    async () => {
      const { fileStore, custody } = await node.status()
      return { status: custody.isRestoring ? ('restoring' as const) : fileStore.state, fileStore }
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
            administrators: Type.Boolean({ description: 'whether they say here who acts, mines and reads' }),
            uptime: Type.Integer({ description: 'seconds since the node was opened' }),
            tip: Type.Object({
              ...TipMessage.properties,
              index: Type.Integer(),
              time: Type.Integer(),
              age: Type.Integer({ description: 'seconds since its time; negative where it is ahead of the clock' }),
            }),
            next: Type.Object({
              target: Type.String({ description: 'compact target that the next block must have' }),
              work: Type.String({ description: 'expected hashes, hexadecimal' }),
            }),
            mempool: Type.Object({ transactions: Type.Integer(), bytes: Type.Integer() }),
            peers: Type.Integer(),
            peerStates: Type.Object({
              answering: Type.Integer(),
              failing: Type.Integer(),
              unheard: Type.Integer({ description: 'known from an earlier run' }),
            }),
            sync: Type.Object({
              state: Type.Enum(['at_tip', 'behind', 'alone'], { description: 'alone: no peer answers' }),
              bestHeight: Type.Integer({ description: 'of the best tip that is known' }),
            }),
            reorganisations: Type.Object({
              count: Type.Integer({ description: 'since the node was opened' }),
              deepest: Type.Integer({ description: 'most blocks that left the chain at once' }),
            }),
            miner: Type.Object({ searching: Type.Boolean(), hashesPerSecond: Type.Integer() }),
            warnings: Type.Array(Type.String({ description: 'codes of docs/operations.md' })),
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

const statusView = (status: NodeStatus, { network }: EmrNode) => {
  const { tip, next, now, startedAt, miner, tally, custody: _, warnings, ...same } = status
  return {
    ...same,
    genesis: status.genesis.toString(),
    clearLabels: network.clearLabels,
    administrators: network.administrators !== null,
    uptime: Math.max(0, Math.floor((now - startedAt) / 1_000)),
    tip: {
      id: tip.header.id.toString(),
      height: tip.header.height,
      index: paperIndex(tip.header),
      work: tip.work.toString(16),
      time: tip.header.time,
      age: Math.floor((now - tip.header.time) / 1_000),
    },
    next: { target: compactToHex(next.target), work: next.work.toString(16) },
    reorganisations: { count: tally.reorganisations.count, deepest: tally.reorganisations.deepest },
    miner: { searching: miner.searching, hashesPerSecond: Math.round(miner.hashesPerSecond) },
    warnings: [...warnings],
  }
}
