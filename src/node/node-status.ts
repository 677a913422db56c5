import { bytesToHex } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { StoredBlock } from '../chain/chain-store.js'
import { expectedTarget, workOf } from '../consensus/difficulty.js'
import type { FileStore } from '../files/file-store.js'
import type { Mempool } from '../mempool/mempool.js'
import type { Miner } from '../mining/miner.js'
import type { Peer } from '../network/peer-book.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import type { CustodyTally } from './custody-tally.js'
import { type PeerStates, peerStatesOf, type SyncState, syncStateOf, type Warning, warningsOf } from './node-health.js'
import type { Tally } from './tally.js'
import { VERSION } from './version.js'

/** How a node is: what `/status` and `/metrics` are made of. Times are ms since 1970. */
export interface NodeStatus {
  readonly version: string
  readonly network: string
  readonly genesis: CID
  readonly key: string
  readonly url: string
  readonly now: number
  readonly startedAt: number
  readonly tip: StoredBlock
  /** What the difficulty rule demands of the next block: compact target, and hashes that are to be expected. */
  readonly next: { target: number; work: bigint }
  readonly mempool: { transactions: number; bytes: number }
  readonly peers: number
  readonly peerStates: PeerStates
  readonly sync: SyncState
  readonly mining: boolean
  readonly miner: { searching: boolean; hashesPerSecond: number; hashes: number }
  readonly tally: Tally
  readonly custody: CustodyTally
  readonly warnings: readonly Warning[]
  readonly fileStore: { kind: 'embedded' | 'kubo'; state: 'ok' | 'degraded'; detail?: string }
}

export interface NodeStatusDependencies {
  readonly network: NetworkParameters
  readonly genesis: CID
  readonly key: Uint8Array
  readonly mempool: Pick<Mempool, 'size'>
  readonly miner: Pick<Miner, 'hashRate' | 'hashes' | 'isSearching'>
  readonly fileStore: Pick<FileStore, 'kind' | 'health'>
  readonly automatic: boolean
  url(): string
  tip(): StoredBlock
  peers(): Peer[]
  tally(): Tally
  custody(): CustodyTally
  now(): number
}

/** The status of a node, made anew at each call. */
export function createNodeStatus(dependencies: NodeStatusDependencies): () => Promise<NodeStatus> {
  const { network, genesis, key, mempool, miner, fileStore, automatic, url, tip, peers, tally, custody, now } =
    dependencies
  const startedAt = now()
  return async () => {
    const health = await fileStore.health()
    const newest = tip()
    const { header, work } = newest
    const target = expectedTarget(network, header)
    const known = peers()
    const peerStates = peerStatesOf(known)
    const sync = syncStateOf({ height: header.height, work }, known)
    const at = now()
    const searching = miner.isSearching()
    const waiting = mempool.size()
    return {
      version: VERSION,
      network: network.name,
      genesis,
      key: bytesToHex(key),
      url: url(),
      now: at,
      startedAt,
      tip: newest,
      next: { target, work: workOf(target) },
      mempool: waiting,
      peers: known.length,
      peerStates,
      sync,
      mining: automatic,
      miner: { searching, hashesPerSecond: searching ? miner.hashRate() : 0, hashes: miner.hashes() },
      tally: tally(),
      custody: custody(),
      warnings: warningsOf({
        now: at,
        startedAt,
        tipTime: header.time,
        peerStates,
        sync,
        waiting: waiting.transactions,
        fileStore: health.state,
      }),
      fileStore: { kind: fileStore.kind, ...health },
    }
  }
}
