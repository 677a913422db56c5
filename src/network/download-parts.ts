import type { CID } from 'multiformats/cid'
import type { Block } from '../protocol/block.js'
import type { PeerClient } from './peer-client.js'

/** A block that is wanted, and where it stands. */
export interface WantedBlock {
  readonly id: CID
  readonly height: number
}

/** What a download needs of the chain. */
export interface DownloadChain {
  /** The blocks that the branch with this end still lacks, parents first; none when it is no better. */
  missing(end: CID): readonly WantedBlock[]
  /** Takes in blocks in a row. `header` says that nobody wants their branch any more. */
  addBlocks(blocks: readonly Block[]): Promise<'connected' | 'stored' | 'header' | 'known'>
}

export interface DownloadLimits {
  /** How long a peer may take for one piece, in ms. */
  readonly pieceTimeout: number
  /** After how long the piece that all wait for is asked from a second peer too, in ms. */
  readonly stallTimeout: number
  /** About how many bytes a piece has; a block is never cut. */
  readonly pieceBytes: number
  /** How many bytes may be on their way or wait for those before them, about. */
  readonly windowBytes: number
  /** How many pieces, at most. */
  readonly windowPieces: number
}
export const DEFAULT_DOWNLOAD_LIMITS: DownloadLimits = {
  pieceTimeout: 20_000,
  stallTimeout: 2_000,
  pieceBytes: 1024 * 1024,
  windowBytes: 48 * 1024 * 1024,
  windowPieces: 6,
}

export interface DownloadDependencies {
  readonly client: Pick<PeerClient, 'blocksFrom' | 'headersAfter'>
  readonly chain: DownloadChain
}
