import type { KuboRPCClient } from 'kubo-rpc-client'
import type { CID } from 'multiformats/cid'
import { isEmrError } from '../../errors.js'
import { encodeCarHeader } from '../../protocol/car.js'
import { blockKey, matchesCid } from '../file-block.js'
import { decodeFileNode } from '../file-node.js'
import { carSectionHead } from '../walk-file.js'
import { saidBy } from './rpc-error.js'

/** Blocks of one file that are replaced at once; of a file with more, the others stay for the next time. */
const MOST_AT_ONCE = 64

export interface BlockRepairDependencies {
  readonly kubo: Pick<KuboRPCClient, 'block' | 'dag' | 'pin'>
  /** Runs a call that may last as long as a pin. */
  ask<T>(signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** A block as the daemon has it. @throws EmrError `file_unavailable` */
  getUnchecked(cid: CID, signal: AbortSignal): Promise<Uint8Array>
  isPinned(cid: CID, signal: AbortSignal): Promise<boolean>
}

/**
 * Puts whole blocks in the place of damaged ones. A daemon keeps the block that it has when the same comes again, and
 * deletes none that is pinned. So the damaged ones are found first, kept from the import of a whole copy, and then, all in
 * one go and without any peer, unpinned, deleted and written again.
 */
export interface BlockRepair {
  /** Reads the whole file, and remembers which of its blocks are damaged. */
  find(root: CID, signal: AbortSignal): Promise<void>
  /** Takes a copy of a block that comes in, if that of the daemon is damaged. */
  note(root: CID, block: { readonly cid: CID; readonly bytes: Uint8Array }): void
  /** Replaces what `note` took. The file is pinned afterwards only if it was before. */
  replace(root: CID, signal: AbortSignal): Promise<void>
}

interface Damage {
  readonly damaged: Set<string>
  readonly whole: Map<string, { readonly cid: CID; readonly bytes: Uint8Array }>
}

export function createBlockRepair({ kubo, ask, getUnchecked, isPinned }: BlockRepairDependencies): BlockRepair {
  const found = new Map<string, Damage>()

  async function damagedBlocks(root: CID, signal: AbortSignal): Promise<Set<string>> {
    const damaged = new Set<string>()
    const seen = new Set<string>()
    const pending = [root]
    for (let cid = pending.pop(); cid && damaged.size < MOST_AT_ONCE; cid = pending.pop()) {
      if (seen.has(blockKey(cid))) continue
      seen.add(blockKey(cid))
      try {
        const bytes = await getUnchecked(cid, signal)
        if (!(await matchesCid(cid, bytes))) damaged.add(blockKey(cid))
        else for (const child of decodeFileNode(cid, bytes).children) pending.push(child.cid)
      } catch (error) {
        // A block that is not there comes with the import.
        if (!isEmrError(error, 'file_unavailable')) throw error
      }
    }
    return damaged
  }

  async function removeBlocks(cids: CID[], signal: AbortSignal): Promise<void> {
    for await (const { error } of kubo.block.rm(cids, { signal })) {
      if (error) throw saidBy(error.message, error)
    }
  }

  return {
    async find(root, signal) {
      found.delete(blockKey(root))
      const damaged = await damagedBlocks(root, signal)
      if (damaged.size > 0) found.set(blockKey(root), { damaged, whole: new Map() })
    },

    note(root, { cid, bytes }) {
      const { damaged, whole } = found.get(blockKey(root)) ?? {}
      if (damaged?.has(blockKey(cid))) whole?.set(blockKey(cid), { cid, bytes: Uint8Array.from(bytes) })
    },

    async replace(root, signal) {
      const blocks = [...(found.get(blockKey(root))?.whole.values() ?? [])]
      found.delete(blockKey(root))
      if (blocks.length === 0) return
      async function* car(): AsyncGenerator<Uint8Array> {
        yield encodeCarHeader([root])
        for (const { cid, bytes } of blocks) {
          yield carSectionHead(cid, bytes.length)
          yield bytes
        }
      }
      const wasPinned = await isPinned(root, signal)
      if (wasPinned) await ask(signal, (until) => kubo.pin.rm(root, { recursive: true, signal: until }))
      try {
        const cids = blocks.map(({ cid }) => cid)
        await ask(signal, (until) => removeBlocks(cids, until))
        await ask(signal, async (until) => {
          for await (const _ of kubo.dag.import(car(), { pinRoots: false, signal: until }));
        })
      } finally {
        // Also where a block stayed, since another pin holds it: the file is no worse than before.
        if (wasPinned) await ask(signal, (until) => kubo.pin.add(root, { recursive: true, signal: until, ...OFFLINE }))
      }
    },
  }
}

const OFFLINE = { offline: true }
