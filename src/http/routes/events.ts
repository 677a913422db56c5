import { on } from 'node:events'
import { Readable } from 'node:stream'
import type { EmrNode, NodeEvents } from '../../node/emr-node.js'
import { cidToHex } from '../../protocol/cid.js'
import { type PaperBlock, paperBlock } from '../paper-json.js'
import { Bytes, problems, signalOf, type TypedServer } from '../route.js'
import { serverSentEvent } from '../server-sent-event.js'

/** `GET /events`: what happens, as server-sent events. */
export function eventRoutes(server: TypedServer, node: EmrNode): void {
  // An open stream would keep the server from closing.
  const closing = new AbortController()
  server.addHook('preClose', async () => closing.abort())

  server.get(
    '/events',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['node'],
        summary: 'Each change of the chain, as it happens',
        description: 'Event `tip`: {"connected":[blocks],"disconnected":[hashes],"length"}.',
        response: {
          200: { description: 'server-sent events', content: { 'text/event-stream': { schema: Bytes } } },
          ...problems,
        },
      },
    },
    async ({ readsAs }, reply) => {
      reply.type('text/event-stream').header('cache-control', 'no-store')
      // A stream outlives the certificate that opened it.
      const mayGoOn = (): boolean => readsAs === undefined || node.readers.mayRead(readsAs)
      return Readable.from(eventsOf(node, AbortSignal.any([signalOf(reply), closing.signal]), mayGoOn))
    },
  )
}

async function* eventsOf(node: EmrNode, signal: AbortSignal, mayGoOn: () => boolean): AsyncGenerator<string> {
  try {
    const changes = on(node.events, 'tip', { signal })
    yield ': listening\n\n'
    for await (const [change] of changes as AsyncIterable<NodeEvents['tip']>) {
      if (!mayGoOn()) return
      const connected: PaperBlock[] = []
      for (const { header } of change.connected) {
        const block = await node.block(header.id)
        if (block) connected.push(paperBlock(block))
      }
      const disconnected = change.disconnected.map(({ header }) => cidToHex(header.id))
      yield serverSentEvent('tip', { connected, disconnected, length: change.tip.header.height + 1 })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
