import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import type { Block, SignedHeader } from '../protocol/block.js'
import { parseChainId } from '../protocol/cid.js'
import { MAX_HEADERS, type TipMessage } from '../protocol/peer-messages.js'
import type { PeerClient } from './peer-client.js'

/** What sync needs of the chain. */
export interface SyncChain {
  tip(): { id: CID }
  /** The newest block with everything in it. */
  tipBlock(): Promise<Block>
  /** Ids from the tip back to genesis, denser near the tip, for a peer to find where the chains part. */
  locator(): CID[]
  /** Whether a chain that ends so would replace this node's. */
  isBetter(tip: { id: CID; work: bigint }): boolean
  /** Checks headers, parents first, and keeps those of branches. */
  addHeaders(headers: readonly SignedHeader[]): Promise<void>
  /** Heights of the blocks that the branch with this end still lacks; undefined when it lacks none or is no better. */
  missing(end: CID): { from: number; to: number } | undefined
  addBlock(block: Block): Promise<unknown>
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
}

/**
 * Takes over what a peer has: its chain, where that is better, headers before bodies; then the
 * transactions that wait there.
 *
 * @param peer address
 * @param tip the end of the peer's chain, as it said
 * @throws EmrError what the client throws, and the code of a rule that the peer's blocks break
 */
export async function syncWith(peer: string, tip: TipMessage, dependencies: SyncDependencies): Promise<void> {
  await takeChain(peer, tip, dependencies)
  await takePending(peer, dependencies)
}

async function takeChain(peer: string, tip: TipMessage, { client, chain }: SyncDependencies): Promise<void> {
  if (!chain.isBetter(readTip(tip))) return
  let locator = chain.locator()
  for (let reached = 0; ; ) {
    const headers = await client.headersAfter(peer, locator)
    const last = headers.at(-1)
    if (!last) return
    if (last.header.height <= reached) throw new EmrError('peer_misbehaved', 'Its headers do not go on.')
    reached = last.header.height
    await chain.addHeaders(headers)
    const taken = await takeBodies(peer, last.header.id, { client, chain })
    if (headers.length < MAX_HEADERS) return
    // A branch may need more headers than one answer holds before it is seen to be better.
    locator = taken > 0 ? chain.locator() : [last.header.id]
  }
}

/** Fetches the bodies of the branch that ends so. Each answer must bring the next block that is missing. */
async function takeBodies(
  peer: string,
  end: CID,
  { client, chain }: Pick<SyncDependencies, 'client' | 'chain'>,
): Promise<number> {
  let taken = 0
  for (let gap = chain.missing(end); gap; gap = chain.missing(end)) {
    const blocks = await client.blocksFrom(peer, gap.from, gap.to)
    for (const block of blocks) await chain.addBlock(block)
    taken += blocks.length
    const rest = chain.missing(end)
    if (rest && rest.from === gap.from)
      throw new EmrError('peer_misbehaved', 'It does not have the blocks of its headers.')
  }
  return taken
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
