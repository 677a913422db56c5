import { EmrError, type ErrorCode, errors } from '../errors.js'
import { type Static, type TSchema, Type, Value } from '../typebox.js'
import type { NodeRequester } from './node-request.js'
import { readEvents } from './server-sent-events.js'

/** The files that a node keeps, as its operator sees them. */

const Whole = Type.Integer({ minimum: 0 })

const KeptFileEntry = Type.Object({
  cid: Type.String(),
  state: Type.String(),
  name: Type.Optional(Type.String()),
  size: Type.Optional(Whole),
  copies: Type.Array(Type.String()),
  replication: Type.Optional(
    Type.Object({
      pinned: Whole,
      wanted: Type.Object({ least: Type.Integer(), most: Type.Integer() }),
      machines: Type.Array(
        Type.Object({ name: Type.String(), state: Type.String(), error: Type.Optional(Type.String()) }),
      ),
    }),
  ),
})
/** A file that the node keeps or once kept: `pinned`, `damaged`, `missing`, `unpinning`, `unpinned` or `erased`. */
export type KeptFileEntry = Static<typeof KeptFileEntry>

const KeptFilesAnswer = Type.Object({
  files: Type.Array(KeptFileEntry),
  silent: Type.Array(Type.String()),
  next: Type.Optional(Type.String()),
})
/** A page; `silent` are peers that did not answer, `next` is where the next page begins. */
export type KeptFilesAnswer = Static<typeof KeptFilesAnswer>

const PinAnswer = Type.Object({ cid: Type.String(), fetched: Type.Boolean() })
const UnpinAnswer = Type.Object({ cid: Type.String(), wasHere: Type.Boolean(), copies: Type.Array(Type.String()) })

const FileDamageEvent = Type.Object({
  cid: Type.String(),
  found: Type.String(),
  mended: Type.Boolean(),
  aside: Type.Optional(Type.String()),
  code: Type.Optional(Type.String()),
})
/** A file that was not whole: `damaged` or `missing`; whether a whole one is there now, and if not, why. */
export type FileDamageEvent = Static<typeof FileDamageEvent>

const CheckDoneEvent = Type.Object({ files: Whole, bytes: Whole, whole: Whole, mended: Whole, lost: Whole })
export type CheckDoneEvent = Static<typeof CheckDoneEvent>

const CollectEvent = Type.Object({ blocks: Whole })
const CheckProgressEvent = Type.Object({ files: Whole, bytes: Whole })
const FailedEvent = Type.Object({ code: Type.String() })

interface Call {
  readonly signal?: AbortSignal | undefined
}

export interface CheckCall extends Call {
  /** Files that there are to check. */
  readonly onBegin?: ((files: number) => void) | undefined
  /** Files and bytes that have been checked so far. */
  readonly onProgress?: ((files: number, bytes: number) => void) | undefined
  readonly onDamage?: ((damage: FileDamageEvent) => void) | undefined
}

/** What an operator asks about files; part of a NodeClient. */
export interface NodeFiles {
  /** Files after the one named `after`, at most 64, in the order of their CIDs. */
  keptFiles(page: { limit?: number; after?: string | undefined }, options?: Call): Promise<KeptFilesAnswer>
  /** Keeps a file, fetched from peers where the node lacks it; also one that was unpinned. */
  pinFile(cid: string, options?: Call): Promise<Static<typeof PinAnswer>>
  /** Deletes a file on purpose. @throws EmrError `file_last_copy` unless forced or kept by a peer */
  unpinFile(cid: string, how: { force: boolean }, options?: Call): Promise<Static<typeof UnpinAnswer>>
  /** Has a Kubo delete what is not pinned; gives the number of blocks. */
  collectFiles(options?: Call & { onProgress?: (blocks: number) => void }): Promise<number>
  /** Hashes every file of the node and has it fetch what is damaged; may take hours. */
  checkFiles(options?: CheckCall): Promise<CheckDoneEvent>
}

export function createNodeFiles(node: NodeRequester): NodeFiles {
  const json = (body: object) => ({ method: 'POST', type: 'application/json', body: JSON.stringify(body) }) as const
  const path = (cid: string, what: string): string => `/files/${encodeURIComponent(cid)}/${what}`

  /** Events up to `done`. @throws EmrError by the code of `failed`, and `node_broke_off` */
  async function* wordsOf(address: string, { signal }: Call) {
    for await (const { event, data } of readEvents(await node.bytes(address, { method: 'POST', signal }))) {
      const said = parse(data)
      if (event === 'failed') throw failure(of(FailedEvent, said).code)
      yield { event, said }
      if (event === 'done') return
    }
    throw new EmrError('node_broke_off')
  }

  return {
    keptFiles({ limit, after }, options = {}) {
      const asked = new URLSearchParams()
      if (limit !== undefined) asked.set('limit', String(limit))
      if (after !== undefined) asked.set('after', after)
      return node.json(`/files?${asked}`, KeptFilesAnswer, options)
    },
    pinFile: (cid, options = {}) => node.json(path(cid, 'pin'), PinAnswer, { method: 'POST', ...options }),
    unpinFile: (cid, { force }, options = {}) =>
      node.json(path(cid, 'unpin'), UnpinAnswer, { ...json({ force }), ...options }),

    async collectFiles({ onProgress, ...options } = {}) {
      let blocks = 0
      for await (const { said } of wordsOf('/files/collect', options)) {
        blocks = of(CollectEvent, said).blocks
        onProgress?.(blocks)
      }
      return blocks
    },

    async checkFiles({ onBegin, onProgress, onDamage, ...options } = {}) {
      for await (const { event, said } of wordsOf('/files/check', options)) {
        if (event === 'begin') onBegin?.(of(Type.Object({ files: Whole }), said).files)
        if (event === 'damage') onDamage?.(of(FileDamageEvent, said))
        if (event === 'done') return of(CheckDoneEvent, said)
        if (event !== 'progress') continue
        const { files, bytes } = of(CheckProgressEvent, said)
        onProgress?.(files, bytes)
      }
      throw new EmrError('node_broke_off')
    },
  }
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    throw new EmrError('node_unexpected', 'It sent an event that is no JSON.')
  }
}

function of<Schema extends TSchema>(schema: Schema, said: unknown): Static<Schema> {
  if (!Value.Check(schema, said)) throw new EmrError('node_unexpected', 'It sent an event of another form.')
  return said
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errors, code)

const failure = (code: string): EmrError =>
  isErrorCode(code) ? new EmrError(code) : new EmrError('node_unexpected', 'It failed in a way that has no name here.')
