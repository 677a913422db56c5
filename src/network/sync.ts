import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import { cidOfKey, idKey, parseChainId } from '../protocol/cid.js'
import { MAX_HEADERS, MAX_LOCATOR, type TipMessage } from '../protocol/peer-messages.js'
import type { BodyDownload } from './body-download.js'
import type { DownloadChain } from './download-parts.js'
import type { PeerClient } from './peer-client.js'

/** What sync needs of the chain. */
export interface SyncChain extends DownloadChain {
  tip(): { id: CID }
  /** The newest block with everything in it. */
  tipBlock(): Promise<Block>
  /** Ids from the tip back to genesis, denser near the tip, for a peer to find where the chains part. */
  locator(): CID[]
  /** Whether a chain that ends so would replace this node's. */
  isBetter(tip: { id: CID; work: bigint }): boolean
  /** Summed work of a block whose header is known, on disk or not. */
  workOf(id: CID): bigint | undefined
  /** Checks headers, parents first, and keeps those of branches. */
  addHeaders(headers: readonly SignedHeader[]): Promise<void>
}

export interface SyncDependencies {
  readonly client: PeerClient
  readonly chain: SyncChain
  /** Fetches those of these transactions that are not here; resolves when each has come or was given up. */
  wantTransactions(ids: readonly CID[], from: string): Promise<void>
  /** Whether a peer is neither left alone for a while nor banned. */
  isWell(peer: string): boolean
  readonly bodies: BodyDownload
}

/** How often a peer may change to another branch while its headers are taken. */
const MAX_REORGANISATIONS = 4
/** How many pending transactions are wanted of a peer at a time. */
const PENDING_AT_ONCE = 1_000
/** How many headers a peer may give whose branch is not better yet: as many as the chain keeps. */
const MAX_LOW_HEADERS = 20_000

/**
 * Takes over what a peer has: its chain, where that is better, headers before bodies; then the
 * transactions that wait there.
 *
 * @param peer address
 * @param tip the end of the peer's chain, as it said
 * @throws EmrError what the client throws, and the code of a rule that the peer's blocks break
 */
export async function syncWith(peer: string, tip: TipMessage, dependencies: SyncDependencies): Promise<void> {
  const claim = readTip(tip)
  const { chain, bodies } = dependencies
  if (chain.isBetter(claim)) {
    // What another peer has told of already need not be told again.
    const isKnown = chain.workOf(claim.id) !== undefined
    let result = isKnown ? await bodies.take(peer, claim.id) : await takeChain(peer, claim, dependencies)
    for (let tries = 0; result === 'reorganised' && tries < MAX_REORGANISATIONS; tries++) {
      result = await takeChain(peer, claim, dependencies)
    }
    if (result === 'reorganised') throw new EmrError('peer_misbehaved', 'It is on another branch at each request.')
  }
  await takePending(peer, dependencies)
}

/** Headers first, then bodies: while the bodies of one answer come, the headers of the next are asked for. */
async function takeChain(
  peer: string,
  claim: { work: bigint },
  { client, chain, bodies }: SyncDependencies,
): Promise<'done' | 'reorganised'> {
  const given = createGivenHeaders()
  let coming: Promise<'done' | 'reorganised'> = Promise.resolve('done')
  for (let low = 0; ; ) {
    const headers = await client.headersAfter(peer, [...given.locator(), ...chain.locator()].slice(0, MAX_LOCATOR))
    given.take(headers)
    const isWhole = await addHeaders(headers, chain)
    const end = headers.findLast(({ header }) => chain.workOf(header.id) !== undefined)?.header.id
    if ((await coming) === 'reorganised') return 'reorganised'
    if (end && chain.missing(end).length > 0) {
      low = 0
      coming = bodies.take(peer, end)
      // Awaited below, or with the next answer.
      coming.catch(() => undefined)
    } else low += headers.length
    if (low > MAX_LOW_HEADERS) throw new EmrError('peer_misbehaved', 'Its headers have no end and too little work.')
    if (headers.length === MAX_HEADERS && isWhole) continue
    if ((await coming) === 'reorganised') return 'reorganised'
    const work = end && chain.workOf(end)
    if (isWhole && work !== undefined && work < claim.work) {
      throw new EmrError('peer_misbehaved', 'Its headers have less work than it said.')
    }
    return 'done'
  }
}

/** @returns false if the last of them come too early to be taken; the chain keeps those for later */
async function addHeaders(headers: readonly SignedHeader[], chain: SyncChain): Promise<boolean> {
  try {
    await chain.addHeaders(headers)
    return true
  } catch (error) {
    if (isEmrError(error, 'header_time_too_late')) return false
    throw error
  }
}

/** What a peer has given in one sync: where it goes on, and whether it goes on at all. */
function createGivenHeaders() {
  /** By `idKey`: there may be many, and as CIDs they are ten times as large. */
  let ids: string[] = []
  let known = new Set<string>()
  let reorganisations = 0

  return {
    /** Newest first, ever sparser, so that a peer that has changed its branch finds where it left. */
    locator(): CID[] {
      const found: CID[] = []
      for (let back = 0, step = 1; back < ids.length; back += step, step *= 2) {
        const key = ids[ids.length - 1 - back]
        if (key !== undefined) found.push(cidOfKey(key))
      }
      return found
    },
    /** @throws EmrError `peer_misbehaved` if these are no row, or such as a peer that reads the locator does not give */
    take(headers: readonly SignedHeader[]): void {
      const [first] = headers
      if (!first) return
      for (const [at, { header }] of headers.entries()) {
        const before = headers[at - 1]
        if (known.has(idKey(header.id)) || (before && !header.parent.equals(before.header.id))) {
          throw new EmrError('peer_misbehaved', 'Its headers do not go on.')
        }
      }
      const last = ids.at(-1)
      if (last !== undefined && idKey(first.header.parent) !== last) {
        if (++reorganisations > MAX_REORGANISATIONS) throw new EmrError('peer_misbehaved', 'Its headers do not go on.')
        ids = ids.slice(0, ids.indexOf(idKey(first.header.parent)) + 1)
        known = new Set(ids)
      }
      for (const { header } of headers) {
        const key = idKey(header.id)
        ids.push(key)
        known.add(key)
      }
    },
  }
}

/** A part at a time, for as long as the peer is well: what it says that it has may be nothing. */
async function takePending(peer: string, { client, wantTransactions, isWell }: SyncDependencies): Promise<void> {
  const ids = await client.pendingIds(peer)
  for (let at = 0; at < ids.length && isWell(peer); at += PENDING_AT_ONCE) {
    await wantTransactions(idsOf(ids.slice(at, at + PENDING_AT_ONCE)), peer)
  }
}

function idsOf(texts: readonly string[]): CID[] {
  try {
    return texts.map(parseChainId)
  } catch (cause) {
    throw new EmrError('peer_misbehaved', 'What it calls ids are none.', {}, { cause })
  }
}

/** A tip as a peer told it. @throws EmrError `malformed_cid` */
export const readTip = (tip: TipMessage): { id: CID; work: bigint } => ({
  id: parseChainId(tip.id),
  work: BigInt(`0x${tip.work}`),
})

/** A tip as it is told to peers. */
export const tipMessage = (tip: { id: CID; height: number; work: bigint }): TipMessage => ({
  id: tip.id.toString(),
  height: tip.height,
  work: tip.work.toString(16),
})
