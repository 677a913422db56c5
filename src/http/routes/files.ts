import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { EmrError, isEmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { parseFileCid } from '../../protocol/cid.js'
import { AskedFiles, HeldFiles, MAX_ASKED_FILES } from '../../protocol/peer-messages.js'
import { Type } from '../../typebox.js'
import { Bytes, problems, signalOf, type TypedServer, WholeNumberText } from '../route.js'
import { serverSentEvent } from '../server-sent-event.js'

const Cid = Type.String({ minLength: 1, maxLength: 128 })
const Peers = Type.Array(Type.String(), { description: 'addresses of peers' })

const KeptFile = Type.Object({
  cid: Type.String(),
  state: Type.Enum(['pinned', 'damaged', 'missing', 'unpinning', 'unpinned', 'erased']),
  name: Type.Optional(Type.String({ description: 'as it was added, or as the chain calls it' })),
  size: Type.Optional(Type.Integer({ minimum: 0, description: 'of its DAG in bytes' })),
  copies: Type.Array(Type.String(), { description: 'addresses of peers that say that they keep it' }),
  replication: Type.Optional(
    Type.Object(
      {
        pinned: Type.Integer({ minimum: 0, description: 'machines that have pinned it' }),
        wanted: Type.Object(
          { least: Type.Integer(), most: Type.Integer() },
          { description: 'copies that are wanted; -1 is one on every machine' },
        ),
        machines: Type.Array(
          Type.Object({ name: Type.String(), state: Type.String(), error: Type.Optional(Type.String()) }),
        ),
      },
      { description: 'where the file store is a front for several machines' },
    ),
  ),
})

const events = {
  200: { description: 'server-sent events', content: { 'text/event-stream': { schema: Bytes } } },
  ...problems,
}

/** `/files`: which files this node keeps, and what the operator wants of them. */
export function fileRoutes(server: TypedServer, { keeping }: Pick<EmrNode, 'keeping'>): void {
  // A check or a collection would keep the server from closing.
  const closing = new AbortController()
  server.addHook('preClose', async () => closing.abort(new EmrError('closing')))

  /** Answers with what is said of a long work, until it is done, its caller goes or the server closes. */
  async function tell(reply: FastifyReply, work: (signal: AbortSignal) => AsyncIterable<Said>): Promise<Readable> {
    reply.type('text/event-stream').header('cache-control', 'no-store')
    return eventStream(work(AbortSignal.any([signalOf(reply), closing.signal])))
  }

  server.get(
    '/files',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['files'],
        summary: 'The files that this node keeps, and which peers say that they keep them too',
        querystring: Type.Object(
          {
            limit: Type.Optional(WholeNumberText),
            after: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: '`next` of the last page' })),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            files: Type.Array(KeptFile),
            silent: Type.Array(Type.String(), { description: 'peers that did not answer' }),
            next: Type.Optional(Type.String()),
          }),
          ...problems,
        },
      },
    },
    async ({ query: { limit, after } }, reply) => {
      const asked = Math.max(1, Number(limit ?? MAX_ASKED_FILES))
      const { files, silent, next } = await keeping.list({ limit: asked, after }, signalOf(reply))
      return {
        files: files.map(({ cid, copies, replication, ...file }) => ({
          ...file,
          ...(replication ? { replication: { ...replication, machines: [...replication.machines] } } : {}),
          cid: cid.toString(),
          copies: [...copies],
        })),
        silent: [...silent],
        ...(next === undefined ? {} : { next }),
      }
    },
  )

  server.post(
    '/files/held',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['peers'],
        summary: 'Which of these files this node keeps',
        body: AskedFiles,
        response: { 200: HeldFiles, ...problems },
      },
    },
    async ({ body: { cids } }) => {
      const held = new Set((await keeping.held(cids.map(parseFileCid))).map(String))
      return { held: cids.filter((cid) => held.has(parseFileCid(cid).toString())) }
    },
  )

  server.post(
    '/files/:cid/pin',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['files'],
        summary: 'Keep a file, fetched from peers where this node lacks it, also one that was unpinned',
        params: Type.Object({ cid: Cid }),
        response: {
          200: Type.Object({
            cid: Type.String(),
            fetched: Type.Boolean({ description: 'whether it came from a peer just now' }),
          }),
          ...problems,
        },
      },
    },
    async ({ params }, reply) => {
      const { cid, fetched } = await keeping.pin(parseFileCid(params.cid), signalOf(reply))
      return { cid: cid.toString(), fetched }
    },
  )

  server.post(
    '/files/:cid/unpin',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['files'],
        summary: 'Delete a file on purpose: it is not fetched back',
        description: 'Refused with `file_last_copy` where no peer keeps it, unless `force` says so.',
        params: Type.Object({ cid: Cid }),
        body: Type.Object({ force: Type.Boolean() }, { additionalProperties: false }),
        response: {
          200: Type.Object({
            cid: Type.String(),
            wasHere: Type.Boolean({ description: 'whether it was here until now' }),
            copies: Peers,
          }),
          ...problems,
        },
      },
    },
    async ({ params, body: { force } }, reply) => {
      const { cid, wasHere, copies } = await keeping.unpin(parseFileCid(params.cid), { force }, signalOf(reply))
      return { cid: cid.toString(), wasHere, copies: [...copies] }
    },
  )

  server.post(
    '/files/check',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['files'],
        summary: 'Hash every file that this node keeps, and fetch from peers what is damaged',
        description:
          'Events: `begin` {"files"}, `progress` {"files","bytes"}, `damage` {"cid","found","mended","aside","code"}, ' +
          '`done` {"files","bytes","whole","mended","lost"}, `failed` {"code"}.',
        response: events,
      },
    },
    (_request, reply) => tell(reply, (signal) => checkEvents(keeping.check(signal))),
  )

  server.post(
    '/files/collect',
    {
      config: { access: 'operator' },
      schema: {
        tags: ['files'],
        summary: 'Have the file store delete now what is not pinned',
        description:
          'For a Kubo, whose blocks stay until then, those of other programs too. ' +
          'Events: `progress` {"blocks"}, `done` {"blocks"}, `failed` {"code"}.',
        response: events,
      },
    },
    (_request, reply) => tell(reply, (signal) => collectEvents(keeping.collect(signal))),
  )
}

type Said = readonly [event: string, facts: object]

async function* checkEvents(check: ReturnType<EmrNode['keeping']['check']>): AsyncGenerator<Said> {
  for await (const { event, ...facts } of check) {
    yield [event, 'cid' in facts ? { ...facts, cid: facts.cid.toString() } : facts]
  }
}

/** Blocks between two words of progress. */
const BLOCKS_PER_WORD = 256

async function* collectEvents(collected: AsyncIterable<number>): AsyncGenerator<Said> {
  let blocks = 0
  yield ['progress', { blocks }]
  for await (blocks of collected) if (blocks % BLOCKS_PER_WORD === 0) yield ['progress', { blocks }]
  yield ['done', { blocks }]
}

/** What is said, as it comes. A failure that has a name is the last word; any other cuts the connection. */
function eventStream(said: AsyncIterable<Said>): Readable {
  async function* lines(): AsyncGenerator<string> {
    try {
      for await (const [event, facts] of said) yield serverSentEvent(event, facts)
    } catch (error) {
      if (!isEmrError(error)) throw error
      yield serverSentEvent('failed', { code: error.code })
    }
  }
  return Readable.from(lines())
}
