import { createHash, randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { Agent, type Dispatcher, request } from 'undici'
import type { Signer, Verify } from '../crypto/ed25519.js'
import { EmrError, isEmrError } from '../errors.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import { decodeBlocks, decodeHeaders } from '../protocol/car.js'
import { isCertificateError } from '../protocol/certificate-errors.js'
import {
  type Announcement,
  AnnouncementAnswer,
  BLOCKS_PER_ANSWER_BYTES,
  DaemonAnswer,
  type DaemonMessage,
  HeldFiles,
  HelloMessage,
  PEER_HEADER,
  PendingMessage,
} from '../protocol/peer-messages.js'
import { contentDigest, type SignatureFields, signRequest, verifyAnswer } from '../protocol/request-signature.js'
import type { SignedTransaction } from '../protocol/transaction.js'
import { Type, Value } from '../typebox.js'
import type { AddressPolicy } from './address-policy.js'
import { readGivenBlock, readGivenTransactions } from './given-items.js'
import { createGuardedConnector, type ResolveAll } from './guarded-connector.js'
import { idText } from './id-text.js'

/** How long a peer may take, in ms, and how much it may send, in bytes. */
export interface ClientLimits {
  readonly connectTimeout: number
  readonly headersTimeout: number
  /** Longest pause within an answer. */
  readonly bodyTimeout: number
  /** Longest time for a whole answer; files may take longer. */
  readonly answerTimeout: number
  /** Longest time for transactions that it announced itself; then another is asked. */
  readonly fetchTimeout: number
  /** Of an answer that is no block: the longest is the list of what is pending. */
  readonly messageBytes: number
  readonly blocksBytes: number
}
export const DEFAULT_CLIENT_LIMITS: ClientLimits = {
  connectTimeout: 3_000,
  headersTimeout: 10_000,
  bodyTimeout: 10_000,
  answerTimeout: 60_000,
  fetchTimeout: 5_000,
  messageBytes: 8 * 1024 * 1024,
  blocksBytes: 64 * 1024 * 1024,
}

/** The same, with as many bytes of blocks as an answer of this network can have (docs/protocol.md, "Peers"). */
export function clientLimitsFor(network: { maxBlockBytes: number; maxBlockTransactions: number }): ClientLimits {
  // An answer ends with the block that makes it long enough. Each transaction costs a section and a link as well.
  const largestBlock = network.maxBlockBytes + network.maxBlockTransactions * 128 + 65_536
  return { ...DEFAULT_CLIENT_LIMITS, blocksBytes: BLOCKS_PER_ANSWER_BYTES + largestBlock }
}

/** Who calls, and whom it may call. */
export interface PeerClientDependencies {
  /** Where this node answers, told to peers with what it sends. */
  ownAddress(): string
  readonly signer: Signer
  readonly verify: Verify
  /** Clock, in ms since 1970. */
  now(): number
  readonly policy: AddressPolicy
  /** @throws EmrError where this peer is not to be called */
  assertMayCall(peer: string): void
  /** Certificates that vouch for peers, PEM; those of the system by default. */
  readonly ca?: Buffer | undefined
  /** The system's by default. */
  readonly resolveAll?: ResolveAll
}

/**
 * What one node asks of another, over HTTP, signed. Every call throws `peer_unreachable`, `peer_timeout` or
 * `peer_misbehaved`, `peer_forbidden` for an address that is not allowed, and what `assertMayCall` throws.
 */
export interface PeerClient {
  /** The greeting of the other; it has proved the key that it names. */
  hello(peer: string, mine: HelloMessage): Promise<HelloMessage>
  /** Headers of the peer's chain after the newest of these ids that it has. */
  headersAfter(peer: string, locator: readonly CID[]): Promise<SignedHeader[]>
  /** Blocks of the peer's chain from this height on, as many as it gives at once. */
  blocksFrom(peer: string, from: number, to: number, signal?: AbortSignal): Promise<Block[]>
  /** Ids of what is pending there, as texts that have not been read. */
  pendingIds(peer: string): Promise<readonly string[]>
  /** Tells a peer what there is. It answers when it has fetched what it wanted, with the ids that it did not get. */
  announce(peer: string, announcement: Announcement): Promise<AnnouncementAnswer>
  /** Those of these transactions that the peer has, as many as one answer takes, at least one. */
  transactions(peer: string, ids: readonly CID[]): Promise<SignedTransaction[]>
  /** One block of the peer, whole. */
  block(peer: string, id: CID): Promise<Block>
  /** How a custodian sees the chain and what is pending: what it answers to this question, unchecked. */
  custodianView(peer: string, question: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Hands a share to a custodian: its receipt, unchecked. */
  handOver(peer: string, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array>
  /** Tells a peer of a release by its signed receipt. */
  tellRelease(peer: string, receipt: Uint8Array): Promise<void>
  /** Tells a peer of the IPFS daemon of this node. */
  introduceDaemon(peer: string, daemon: DaemonMessage): Promise<DaemonAnswer>
  /** Those of these files (at most 64) that the peer says it keeps. */
  heldFiles(peer: string, cids: readonly CID[], signal: AbortSignal): Promise<string[]>
  /** One block of a file, unchecked; undefined when the peer does not have it. */
  fileBlock(peer: string, cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined>
  /** The file's blocks as a CAR, unchecked; undefined when the peer does not have it. */
  file(peer: string, cid: CID, signal: AbortSignal): Promise<AsyncIterable<Uint8Array> | undefined>
  close(): Promise<void>
}

/** A request that went out, and its answer. */
interface Call {
  readonly answer: Dispatcher.ResponseData
  /** The signature of the request. */
  readonly signature: string
}

export function createPeerClient(dependencies: PeerClientDependencies, limits = DEFAULT_CLIENT_LIMITS): PeerClient {
  const { ownAddress, signer, verify, now, policy, assertMayCall, ca, resolveAll } = dependencies
  const agent = new Agent({
    connect: createGuardedConnector(policy, {
      timeout: limits.connectTimeout,
      ca,
      ...(resolveAll ? { resolveAll } : {}),
    }),
    headersTimeout: limits.headersTimeout,
    bodyTimeout: limits.bodyTimeout,
    connections: 16,
  })

  async function call(
    peer: string,
    path: string,
    options: { method?: 'GET' | 'POST'; body?: Uint8Array; type?: string; signal?: AbortSignal } = {},
  ): Promise<Call> {
    assertMayCall(peer)
    const url = new URL(path, peer)
    const method = options.method ?? 'GET'
    const created = Math.floor(now() / 1000)
    const nonce = randomBytes(16).toString('base64url')
    const signed = signRequest({ method, url: url.href, digest: digestOf(options.body) }, signer, { created, nonce })
    try {
      const answer = await request(url, {
        dispatcher: agent,
        method,
        headers: {
          [PEER_HEADER]: ownAddress(),
          ...signed,
          ...(options.type ? { 'content-type': options.type } : {}),
        },
        body: options.body ?? null,
        signal: options.signal ?? null,
      })
      return { answer, signature: signed.signature }
    } catch (error) {
      throw networkError(error)
    }
  }

  async function read(answer: Dispatcher.ResponseData, limit: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    let length = 0
    try {
      for await (const part of answer.body as AsyncIterable<Uint8Array>) {
        length += part.length
        if (length > limit) throw new EmrError('peer_misbehaved', 'Its answer is too long.')
        parts.push(part)
      }
    } catch (error) {
      throw networkError(error)
    }
    return Buffer.concat(parts)
  }

  async function get(peer: string, path: string, limit: number, until?: AbortSignal): Promise<Uint8Array> {
    const timeout = AbortSignal.timeout(limits.answerTimeout)
    const { answer } = await call(peer, path, { signal: until ? AbortSignal.any([until, timeout]) : timeout })
    const body = await read(answer, limit)
    if (answer.statusCode !== 200) throw refused(answer.statusCode, body)
    return body
  }

  async function post(
    peer: string,
    path: string,
    body: Uint8Array,
    type: string,
    time = limits.answerTimeout,
    until?: AbortSignal,
  ): Promise<Call & { text: Uint8Array }> {
    const timeout = AbortSignal.timeout(time)
    const signal = until ? AbortSignal.any([until, timeout]) : timeout
    const { answer, signature } = await call(peer, path, { method: 'POST', body, type, signal })
    const text = await read(answer, limits.messageBytes)
    if (answer.statusCode >= 300) throw refused(answer.statusCode, text)
    return { answer, signature, text }
  }

  /** @throws EmrError `peer_misbehaved` unless this key signed this answer to this request */
  async function assertSignedBy(key: string, { answer, signature, text }: Call & { text: Uint8Array }): Promise<void> {
    const fields: SignatureFields = {
      'content-digest': single(answer.headers['content-digest']),
      'signature-input': single(answer.headers['signature-input']),
      signature: single(answer.headers.signature),
    }
    try {
      const signedBy = await verifyAnswer({ status: answer.statusCode, fields, request: signature }, verify)
      if (signedBy === key && fields['content-digest'] === digestOf(text)) return
    } catch (cause) {
      throw new EmrError('peer_misbehaved', 'Its greeting is not signed.', {}, { cause })
    }
    throw new EmrError('peer_misbehaved', 'Its greeting is not signed by the key that it names.')
  }

  /** The answer of a gateway, unless it says that it does not hold the thing. */
  async function held(peer: string, path: string, signal: AbortSignal): Promise<Dispatcher.ResponseData | undefined> {
    const { answer } = await call(peer, path, { signal })
    if (answer.statusCode === 200) return answer
    const body = await read(answer, limits.messageBytes)
    // 410: the record was erased there; that node knows more of the chain than this one.
    if (answer.statusCode === 404 || answer.statusCode === 410) return undefined
    throw refused(answer.statusCode, body)
  }

  return {
    async hello(peer, mine) {
      const called = await post(peer, '/peers', json(mine), 'application/json')
      const theirs = parsed(HelloMessage, called.text)
      await assertSignedBy(theirs.key, called)
      return theirs
    },
    async headersAfter(peer, locator) {
      const body = await get(peer, `/headers?format=car&locator=${locator.join(',')}`, limits.messageBytes)
      return wellFormed(() => decodeHeaders(body))
    },
    async blocksFrom(peer, from, to, signal) {
      const body = await get(peer, `/blocks?format=car&from=${from}&to=${to}`, limits.blocksBytes, signal)
      return wellFormed(() => decodeBlocks(body))
    },
    async pendingIds(peer) {
      return parsed(PendingMessage, await get(peer, '/transactions', limits.messageBytes)).pending
    },
    async announce(peer, announcement) {
      const { text } = await post(peer, '/announcements', json(announcement), 'application/json')
      return parsed(AnnouncementAnswer, text)
    },
    async transactions(peer, ids) {
      const asked = json({ ids: ids.map(idText) })
      const { text } = await post(peer, '/transactions/fetch', asked, 'application/json', limits.fetchTimeout)
      return wellFormed(() => readGivenTransactions(text, ids))
    },
    async block(peer, id) {
      const body = await get(peer, `/blocks/${id}?format=car`, limits.blocksBytes)
      return wellFormed(() => readGivenBlock(body, id))
    },
    async custodianView(peer, question, signal) {
      return (await post(peer, '/shares/views', question, CBOR, limits.fetchTimeout, signal)).text
    },
    async handOver(peer, request, signal) {
      return (await post(peer, '/shares/handovers', request, CBOR, limits.fetchTimeout, signal)).text
    },
    async tellRelease(peer, receipt) {
      await post(peer, '/shares/releases', receipt, CBOR, limits.fetchTimeout)
    },
    async introduceDaemon(peer, daemon) {
      const { text } = await post(peer, '/peers/ipfs', json(daemon), 'application/json', limits.fetchTimeout)
      return parsed(DaemonAnswer, text)
    },
    async heldFiles(peer, cids, signal) {
      const asked = cids.map(String)
      const body = json({ cids: asked })
      const { text } = await post(peer, '/files/held', body, 'application/json', limits.fetchTimeout, signal)
      const { held } = parsed(HeldFiles, text)
      return asked.filter((cid) => held.includes(cid))
    },
    async fileBlock(peer, cid, signal) {
      const answer = await held(peer, `/ipfs/${cid}?format=raw`, signal)
      return answer && read(answer, limits.messageBytes)
    },
    async file(peer, cid, signal) {
      return (await held(peer, `/ipfs/${cid}?format=car`, signal))?.body
    },
    close: () => agent.destroy(),
  }
}

const CBOR = 'application/vnd.ipld.dag-cbor'
const json = (message: object): Uint8Array => new TextEncoder().encode(JSON.stringify(message))

/** Refusals that this node passes on under their own code. */
const PASSED_ON = [
  'other_network',
  'peer_is_self',
  'peer_forbidden',
  'unsupported_version',
  'peer_signature_old',
  'peer_signature_early',
  'peer_wrong_key',
  'peer_banned',
  'peer_blocked',
  'reader_not_certified',
] as const
const Problem = Type.Object({ code: Type.String({ pattern: '^[a-z_]{1,64}$' }) })

/** What a peer refused, by its code alone: its own text is not repeated. */
function refused(status: number, body: Uint8Array): EmrError {
  let problem: unknown
  try {
    problem = JSON.parse(new TextDecoder().decode(body))
  } catch {
    // Not JSON: the status has to say it.
  }
  if (!Value.Check(Problem, problem)) return new EmrError('peer_misbehaved', `It answered ${status}.`, { status })
  const known = PASSED_ON.find((code) => code === problem.code)
  if (known) return new EmrError(known, 'The other node says so.', { refusal: known })
  return new EmrError('peer_misbehaved', `It refused: ${problem.code}.`, { refusal: problem.code })
}

const digestOf = (body: Uint8Array = new Uint8Array(0)): string =>
  contentDigest(createHash('sha256').update(body).digest())

const single = (field: string | string[] | undefined): string | undefined =>
  Array.isArray(field) ? field.join(', ') : field

function parsed<
  T extends
    | typeof HelloMessage
    | typeof PendingMessage
    | typeof AnnouncementAnswer
    | typeof DaemonAnswer
    | typeof HeldFiles,
>(schema: T, body: Uint8Array): Type.Static<T> {
  return wellFormed(() => {
    const json: unknown = JSON.parse(new TextDecoder().decode(body))
    if (!Value.Check(schema, json)) throw new EmrError('peer_misbehaved', 'Its answer has another form.')
    return json
  })
}

function wellFormed<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (isEmrError(cause, 'unsupported_version')) throw cause
    throw new EmrError('peer_misbehaved', 'Its answer has another form.', {}, { cause })
  }
}

function networkError(error: unknown): EmrError {
  if (error instanceof EmrError) return error
  if (error instanceof Error && error.cause instanceof EmrError) return error.cause
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const name = error instanceof Error ? error.name : ''
  if (code.endsWith('_TIMEOUT') || name === 'TimeoutError')
    return new EmrError('peer_timeout', undefined, {}, { cause: error })
  if (isCertificateError(code)) return new EmrError('peer_untrusted', code, {}, { cause: error })
  if (name === 'AbortError') return new EmrError('cancelled', undefined, {}, { cause: error })
  return new EmrError('peer_unreachable', undefined, {}, { cause: error })
}
