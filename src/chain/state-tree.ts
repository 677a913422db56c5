import type { CID } from 'multiformats/cid'
import { applyAll, genesisEffects } from '../contract/apply-block.js'
import { type Change, createMemoryState, createOverlay, type ReadState, writeChanges } from '../contract/state.js'
import type { Block } from '../protocol/block.js'
import { idKey } from '../protocol/cid.js'
import type { IdentifiedHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'

interface Step {
  readonly header: IdentifiedHeader
  readonly changes: readonly Change[]
  readonly undo: readonly Change[]
}

/** The contract's state after any block that was added, in memory, on whichever branch. */
export interface StateTree {
  /** The state after this block, which was added. It holds until the next call. */
  after(block: IdentifiedHeader): ReadState
  /** Applies a block to the state after its parent, which was added. @returns its result codes */
  add(block: Block): Uint8Array
}

export function createStateTree(genesis: IdentifiedHeader, { administrators }: NetworkParameters): StateTree {
  const state = createMemoryState()
  writeChanges(state, genesisEffects(administrators).changes)
  const steps = new Map<string, Step>()
  let at = genesis

  const stepOf = (id: CID): Step => {
    const step = steps.get(idKey(id))
    if (!step) throw new Error('This block was not added.')
    return step
  }
  const back = ({ parent }: IdentifiedHeader): IdentifiedHeader =>
    parent.equals(genesis.id) ? genesis : stepOf(parent).header

  /** Goes back to the block that both descend from, then forward. */
  function moveTo(target: IdentifiedHeader): void {
    const forward: IdentifiedHeader[] = []
    let to = target
    while (!to.id.equals(at.id)) {
      if (to.height > at.height) {
        forward.push(to)
        to = back(to)
      } else {
        writeChanges(state, stepOf(at.id).undo)
        at = back(at)
      }
    }
    for (const header of forward.reverse()) writeChanges(state, stepOf(header.id).changes)
    at = target
  }

  return {
    after(block) {
      moveTo(block)
      return state
    },
    add({ header, transactions }) {
      moveTo(back(header))
      const overlay = createOverlay(state)
      const results = applyAll(overlay, transactions, header)
      const step = { header, changes: overlay.changes(), undo: overlay.undo() }
      steps.set(idKey(header.id), step)
      writeChanges(state, step.changes)
      at = header
      return results
    },
  }
}
