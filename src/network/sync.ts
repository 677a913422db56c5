import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import { idKey, parseChainId } from '../protocol/cid.js'
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

/** What sync needs of the mempool. */
export interface SyncMempool {
  knows(id: CID): boolean
  add(bytes: Uint8Array): Promise<unknown>
}

export interface SyncDependencies {
  readonly client: PeerClient
  readonly chain: SyncChain
  readonly mempool: SyncMempool
  readonly bodies: BodyDownload
}

/** How often a peer may change to another branch while its headers are taken. */
const MAX_REORGANISATIONS = 4
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
  let ids: CID[] = []
  let known = new Set<string>()
  let reorganisations = 0

  return {
    /** Newest first, ever sparser, so that a peer that has changed its branch finds where it left. */
    locator(): CID[] {
      const found: CID[] = []
      for (let back = 0, step = 1; back < ids.length; back += step, step *= 2) {
        const id = ids[ids.length - 1 - back]
        if (id) found.push(id)
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
      if (last && !first.header.parent.equals(last)) {
        if (++reorganisations > MAX_REORGANISATIONS) throw new EmrError('peer_misbehaved', 'Its headers do not go on.')
        const kept = ids.findIndex((id) => id.equals(first.header.parent))
        ids = ids.slice(0, kept + 1)
        known = new Set(ids.map(idKey))
      }
      for (const { header } of headers) {
        ids.push(header.id)
        known.add(idKey(header.id))
      }
    },
  }
}

async function takePending(peer: string, { client, mempool }: SyncDependencies): Promise<void> {
  for (const id of await client.pendingIds(peer)) {
    if (mempool.knows(id)) continue
    try {
      await mempool.add(await client.pendingTransaction(peer, id))
    } catch (error) {
      // It may have been mined meanwhile, or not be wanted here; the others still are.
      if (isEmrError(error) && error.verdict !== 'penalise') continue
      throw error
    }
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
