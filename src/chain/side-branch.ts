import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import type { Block } from '../protocol/block.js'
import { idKey } from '../protocol/cid.js'
import type { ChainStore } from './chain-store.js'

/** Stored blocks off the main chain, up to one, and where they leave it. */
export interface SideLine {
  /** Parents first; empty where the block is on the main chain. */
  readonly line: readonly CID[]
  readonly forkHeight: number
}

/** The branch that grows at present, so that adding a block to it does not walk all of it again. */
export interface SideBranch {
  /** @throws EmrError `block_unknown` */
  lineTo(end: CID): SideLine
  /** Whether the branch that ends in `end` holds a transaction: below the fork, or in its own blocks. */
  holds(end: CID): (transaction: CID) => boolean
  /** These were appended, the first one to a block that was asked for. */
  extend(blocks: readonly Block[]): void
  /** The main chain has changed. */
  forget(): void
}

export function createSideBranch(store: Pick<ChainStore, 'stored' | 'idAt' | 'holdersOf'>): SideBranch {
  let end: CID | undefined
  let line: CID[] = []
  let keys = new Set<string>()
  let forkHeight = 0

  const isOnMainChain = (id: CID, height: number): boolean => store.idAt(height)?.equals(id) ?? false

  function walk(to: CID): void {
    if (end?.equals(to)) return
    const found: CID[] = []
    let at = store.stored(to)
    while (at && !isOnMainChain(at.header.id, at.header.height)) {
      found.push(at.header.id)
      at = store.stored(at.header.parent)
    }
    if (!at) throw new EmrError('block_unknown', undefined, { id: to.toString() })
    end = to
    line = found.reverse()
    keys = new Set(line.map(idKey))
    forkHeight = at.header.height
  }

  return {
    lineTo(to) {
      walk(to)
      return { line, forkHeight }
    },
    holds(to) {
      walk(to)
      const [own, highest] = [keys, forkHeight]
      return (transaction) =>
        store.holdersOf(transaction).some((holder) => {
          if (own.has(idKey(holder))) return true
          const height = store.stored(holder)?.header.height
          return height !== undefined && height <= highest && isOnMainChain(holder, height)
        })
    },
    extend(blocks) {
      for (const { header } of blocks) {
        if (!end?.equals(header.parent)) return
        end = header.id
        line.push(header.id)
        keys.add(idKey(header.id))
      }
    },
    forget() {
      end = undefined
    },
  }
}
