import type { Peer } from '../network/peer-book.js'

/** How many peers are in which state. */
export interface PeerStates {
  /** The last call went well. */
  readonly answering: number
  /** The last call failed. */
  readonly failing: number
  /** Known from an earlier run, and not heard of since. */
  readonly unheard: number
}

/** How the chain of this node stands against those of its peers. `alone`: no peer answers, so nobody can say. */
export interface SyncState {
  readonly state: 'at_tip' | 'behind' | 'alone'
  /** Height of the best tip that is known, its own included. */
  readonly bestHeight: number
}

/** What an operator should look at; each has a sentence in docs/operations.md. */
export type Warning =
  | 'no_peers'
  | 'peers_failing'
  | 'behind'
  | 'clock_behind'
  | 'records_waiting'
  | 'file_store_degraded'

/** How far a block may be ahead of the clock before the clock is doubted, and how long records may wait, in ms. */
const CLOCK_TOLERANCE = 10_000
const WAITING_TOLERANCE = 600_000

export function peerStatesOf(peers: readonly Pick<Peer, 'failure' | 'seenAt'>[]): PeerStates {
  const failing = peers.filter(({ failure }) => failure !== undefined).length
  const unheard = peers.filter(({ failure, seenAt }) => failure === undefined && seenAt === undefined).length
  return { failing, unheard, answering: peers.length - failing - unheard }
}

/** What peers said of their tips is believed here, since nothing follows from it. */
export function syncStateOf(
  tip: { height: number; work: bigint },
  peers: readonly Pick<Peer, 'failure' | 'tip'>[],
): SyncState {
  let state: SyncState['state'] = 'alone'
  let best = tip
  for (const { failure, tip: told } of peers) {
    if (failure !== undefined || !told) continue
    if (state === 'alone') state = 'at_tip'
    const work = BigInt(`0x${told.work}`)
    if (work <= best.work) continue
    state = 'behind'
    best = { height: told.height, work }
  }
  return { state, bestHeight: best.height }
}

export interface HealthFacts {
  readonly now: number
  /** When the node was opened. */
  readonly startedAt: number
  readonly tipTime: number
  readonly peerStates: PeerStates
  readonly sync: SyncState
  readonly waiting: number
  readonly fileStore: 'ok' | 'degraded'
}

export function warningsOf(facts: HealthFacts): Warning[] {
  const { answering, failing, unheard } = facts.peerStates
  const found: [Warning, boolean][] = [
    ['no_peers', answering + failing + unheard === 0],
    ['peers_failing', answering === 0 && failing > 0],
    ['behind', facts.sync.state === 'behind'],
    ['clock_behind', facts.tipTime > facts.now + CLOCK_TOLERANCE],
    // What waits may have come with the start, long after the last block.
    ['records_waiting', facts.waiting > 0 && facts.now - Math.max(facts.tipTime, facts.startedAt) > WAITING_TOLERANCE],
    ['file_store_degraded', facts.fileStore === 'degraded'],
  ]
  return found.filter(([, holds]) => holds).map(([warning]) => warning)
}
