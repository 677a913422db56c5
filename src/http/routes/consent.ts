import { hexToBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../../errors.js'
import type { EmrNode } from '../../node/emr-node.js'
import { kinds } from '../../protocol/bodies/decode-body.js'
import { parseChainId } from '../../protocol/cid.js'
import { actions, purposes } from '../../protocol/consent-vocabulary.js'
import { Type } from '../../typebox.js'
import {
  HistoryEntryJson,
  historyEntryJson,
  IdentityJson,
  identityJson,
  OutcomeJson,
  PendingEntryJson,
  pendingEntryJson,
} from '../consent-json.js'
import { textIn } from '../guard-readers.js'
import { problems, type TypedServer, WholeNumberText } from '../route.js'

const MOST_ENTRIES = 100
const MOST_IN_FOUR_BYTES = 0xffff_ffff
const Id = Type.String({ minLength: 1, maxLength: 128, description: 'CID or 64 digits' })
const Key = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Ed25519 key, hexadecimal' })

/** Identities, decisions and history, as the main chain has them. */
export function consentRoutes(server: TypedServer, node: EmrNode): void {
  const { consent, readers } = node

  /** Whether this is the id of the identity whose key this is; `how`: also of one whose key it was. */
  function isIdentityOf(key: string, text: string | undefined, how: { now: boolean }): boolean {
    const owner = readers.ownerOf(key)
    if (!owner || text === undefined || (how.now && !owner.isCurrent)) return false
    return parseChainId(text).equals(owner.identity)
  }

  server.get(
    '/identities/:id',
    {
      config: {
        access: 'reader',
        isOwn: ({ params }, key) => isIdentityOf(key, textIn(params, 'id'), { now: false }),
      },
      schema: {
        tags: ['consent'],
        summary: 'A person, organisation or node as its newest version has it',
        params: Type.Object({ id: Id }),
        response: { 200: IdentityJson, ...problems },
      },
    },
    async ({ params }) => {
      const found = await consent.identity(parseChainId(params.id))
      if (!found) throw new EmrError('identity_unknown')
      return identityJson(found)
    },
  )

  server.get(
    '/identities',
    {
      config: { access: 'reader', isOwn: ({ query }, key) => textIn(query, 'key') === key },
      schema: {
        tags: ['consent'],
        summary: 'The identity that this key belongs to, or belonged to before it was replaced',
        querystring: Type.Object({ key: Key }, { additionalProperties: false }),
        response: { 200: IdentityJson, ...problems },
      },
    },
    async ({ query }) => {
      const found = await consent.identityOfKey(hexToBytes(query.key))
      if (!found) throw new EmrError('identity_unknown')
      return identityJson(found)
    },
  )

  server.get(
    '/decide',
    {
      config: { access: 'reader' },
      schema: {
        tags: ['consent'],
        summary: 'What consent says to a question now',
        description: 'By the main chain, at the later of its time and the clock of the node. It asks for nothing.',
        querystring: Type.Object(
          {
            accessor: Id,
            record: Id,
            certificate: Type.Optional(Id),
            grant: Type.Optional(Id),
            action: Type.Enum(Object.keys(actions) as (keyof typeof actions)[]),
            purpose: Type.Enum(Object.keys(purposes) as (keyof typeof purposes)[]),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({ allowed: Type.Boolean(), result: OutcomeJson, time: Type.Integer() }),
          ...problems,
        },
      },
    },
    async ({ query }) => {
      const idOrNull = (text: string | undefined) => (text === undefined ? null : parseChainId(text).bytes)
      const { result, time } = consent.decide({
        accessor: parseChainId(query.accessor).bytes,
        record: parseChainId(query.record).bytes,
        certificate: idOrNull(query.certificate),
        grant: idOrNull(query.grant),
        action: actions[query.action],
        purpose: purposes[query.purpose],
      })
      return { allowed: result.code === 0, result: { ...result }, time }
    },
  )

  server.get(
    '/history',
    {
      config: {
        access: 'reader',
        isOwn({ query }, key) {
          const [about, author] = [textIn(query, 'about'), textIn(query, 'author')]
          return about === undefined ? author === key : isIdentityOf(key, about, { now: true })
        },
      },
      schema: {
        tags: ['consent'],
        summary: 'Transactions of the main chain that name an id, or that a key signed, newest first',
        description: 'Either `about` or `author`. Each entry has what the contract said to it, refusals too.',
        querystring: Type.Object(
          {
            about: Type.Optional(Id),
            author: Type.Optional(Key),
            kind: Type.Optional(Type.Enum([...kinds], { description: 'only transactions of this kind' })),
            limit: Type.Optional(WholeNumberText),
            before: Type.Optional(
              Type.String({ pattern: '^\\d{1,10}\\.\\d{1,10}$', description: '`next` of the last entry so far' }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            entries: Type.Array(HistoryEntryJson),
            next: Type.Optional(
              Type.String({ description: '`before` of the question for what is older, if there is any' }),
            ),
          }),
          ...problems,
        },
      },
    },
    async ({ query: { about, author, kind, limit, before } }) => {
      const most = Math.min(Number(limit ?? MOST_ENTRIES), MOST_ENTRIES)
      const [height = 0, position = 0] = (before ?? '').split('.').map(Number)
      if (Math.max(height, position) > MOST_IN_FOUR_BYTES) throw new EmrError('bad_request', 'before: no such place.')
      const paging = {
        limit: most,
        ...(kind ? { kind } : {}),
        ...(before === undefined ? {} : { before: { height, position } }),
      }
      if ((about === undefined) === (author === undefined)) {
        throw new EmrError('bad_request', 'Send either about or author.')
      }
      const query = about !== undefined ? { about: parseChainId(about) } : { author: hexToBytes(author ?? '') }
      const { entries, next } = await consent.history({ ...query, ...paging })
      return { entries: entries.map(historyEntryJson), ...(next ? { next: `${next.height}.${next.position}` } : {}) }
    },
  )

  server.get(
    '/history/pending',
    {
      config: {
        access: 'reader',
        async isOwn({ query }, key) {
          const about = textIn(query, 'about')
          if (about === undefined || isIdentityOf(key, about, { now: true })) return about !== undefined
          // The next version names the one before it.
          return (
            readers.ownerOf(key)?.isCurrent === true &&
            (await consent.identityOfKey(hexToBytes(key)))?.version.toString() === about
          )
        },
      },
      schema: {
        tags: ['consent'],
        summary: 'Transactions that wait for a block and name an id, oldest first',
        description: 'The result is what the contract would say to each now, by itself.',
        querystring: Type.Object(
          { about: Id, limit: Type.Optional(WholeNumberText), offset: Type.Optional(WholeNumberText) },
          { additionalProperties: false },
        ),
        response: { 200: Type.Object({ entries: Type.Array(PendingEntryJson) }), ...problems },
      },
    },
    async ({ query: { about, limit, offset } }) => {
      const page = { limit: Math.min(Number(limit ?? MOST_ENTRIES), MOST_ENTRIES), offset: Number(offset ?? 0) }
      return { entries: consent.pendingAbout(parseChainId(about), page).map(pendingEntryJson) }
    },
  )
}
