import type { EmrNode } from '../../node/emr-node.js'
import { CAR_MEDIA_TYPE } from '../../protocol/car.js'
import { parseChainId } from '../../protocol/cid.js'
import { Announcement, AnnouncementAnswer, WantedTransactions } from '../../protocol/peer-messages.js'
import { Bytes, problems, type TypedServer } from '../route.js'
import { senderOf } from '../sender.js'

/** A list of a thousand ids, one of ten thousand digests, and room. */
const ANNOUNCEMENT_BYTES = 524_288

/** `POST /announcements`: what a peer has that is new. `POST /transactions/fetch`: what a peer wants of it. */
export function announcementRoutes(server: TypedServer, node: EmrNode): void {
  server.post(
    '/announcements',
    {
      config: { access: 'public' },
      bodyLimit: ANNOUNCEMENT_BYTES,
      schema: {
        tags: ['peers'],
        summary: 'Announce new transactions and blocks by their ids',
        description: 'The answer comes when this node has fetched what it lacked from the sender, or after 5 s.',
        body: Announcement,
        response: { 200: AnnouncementAnswer, ...problems },
      },
    },
    (request) => node.announced(request.body, senderOf(request).address),
  )

  server.post(
    '/transactions/fetch',
    {
      config: { access: 'reader' },
      bodyLimit: ANNOUNCEMENT_BYTES,
      schema: {
        tags: ['peers'],
        summary: 'Transactions by their ids, pending or on the chain',
        description: 'Those that this node has, in the order asked for, as many as one answer takes.',
        body: WantedTransactions,
        response: {
          200: { description: 'the signed bytes', content: { 'application/vnd.ipld.car': { schema: Bytes } } },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const car = await node.transactionsAsCar(request.body.ids.map(parseChainId))
      reply.type(CAR_MEDIA_TYPE)
      return Buffer.from(car)
    },
  )
}
