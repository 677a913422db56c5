import type { CID } from 'multiformats/cid'
import { applyAll } from '../contract/apply-block.js'
import { createOverlay, type Overlay, writeChanges } from '../contract/state.js'
import type { Block } from '../protocol/block.js'
import type { ChainStore } from './chain-store.js'
import type { SideBranch } from './side-branch.js'

/** The contract's state after stored blocks, of whichever branch. */
export interface BranchState {
  /**
   * The state after this block. The caller applies the blocks that follow to it, and says with `keep` how far it came;
   * else the next caller gets a fresh one.
   */
  after(end: CID): Promise<Overlay>
  /** The state that was given last is now that after this block, on the main chain or off it. */
  keep(end: CID): void
  /** The main chain has changed. */
  forget(): void
}

export function createBranchState(
  store: Pick<ChainStore, 'tip' | 'contract' | 'undoAt' | 'readBlock'>,
  side: Pick<SideBranch, 'lineTo'>,
): BranchState {
  let kept: { end: CID; state: Overlay } | undefined
  let given: Overlay | undefined

  async function walk(end: CID): Promise<Overlay> {
    const state = createOverlay(store.contract)
    const tip = store.tip().header
    if (tip.id.equals(end)) return state
    const { line, forkHeight } = side.lineTo(end)
    const way = [...line]
    for (let height = tip.height; height > forkHeight; height--) writeChanges(state, store.undoAt(height))
    for (const id of way) applyTo(state, await store.readBlock(id))
    return state
  }

  return {
    async after(end) {
      const found = kept?.end.equals(end) ? kept.state : await walk(end)
      // Whoever fails half-way leaves it spoilt.
      kept = undefined
      given = found
      return found
    },
    keep(end) {
      if (given) kept = { end, state: given }
    },
    forget() {
      kept = undefined
      given = undefined
    },
  }
}

/** Applies a block. @returns its result codes */
export const applyTo = (state: Overlay, { header, transactions }: Pick<Block, 'header' | 'transactions'>): Uint8Array =>
  applyAll(state, transactions, header)
