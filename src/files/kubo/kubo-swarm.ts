import { setMaxListeners } from 'node:events'
import type { KuboRPCClient } from 'kubo-rpc-client'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../../errors.js'
import { normalCid } from '../file-block.js'
import { describeFile } from '../file-node.js'
import type { DaemonAddresses, ImportLimits, StoredFile, Swarm } from '../file-store.js'
import type { Operations } from '../operations.js'
import { exportFile } from '../walk-file.js'

export interface KuboSwarmDependencies {
  readonly kubo: KuboRPCClient
  readonly operations: Operations
  /** Asks the daemon, which may be silent for `ms`. */
  ask<T>(ms: number, signal: AbortSignal, act: (signal: AbortSignal) => Promise<T>): Promise<T>
  /** A checked block from wherever the daemon finds it within `ms`. */
  findBlock(cid: CID, ms: number, signal: AbortSignal): Promise<Uint8Array>
  /** Pins a file whose blocks are all there, and proves it. */
  pin(root: CID, signal: AbortSignal): Promise<void>
}

export interface KuboSwarmOptions {
  readonly isLocal: boolean
  /** Until the first block of a file comes, in ms: connected daemons answer at once. */
  readonly firstBlockMs: number
  /** Until each further one comes. */
  readonly blockMs: number
  /** Until a daemon is connected, at one address. */
  readonly dialMs: number
}

export function createKuboSwarm(
  { kubo, operations, ask, findBlock, pin }: KuboSwarmDependencies,
  { isLocal, firstBlockMs, blockMs, dialMs }: KuboSwarmOptions,
): Swarm {
  async function fetchBlocks(root: CID, maxBytes: number, signal: AbortSignal): Promise<StoredFile> {
    const rootBlock = await findBlock(root, firstBlockMs, signal)
    const file = describeFile(root, rootBlock)
    const getBlock = async (cid: CID) => (cid.equals(root) ? rootBlock : findBlock(cid, blockMs, signal))
    let bytes = 0
    // What is read through is in the daemon's repository by then.
    for await (const piece of exportFile(root, getBlock, { signal })) {
      bytes += piece.length
      if (bytes > maxBytes || file.fileSize > maxBytes) throw new EmrError('file_too_large')
    }
    return file
  }

  async function connectTo(address: string, signal: AbortSignal): Promise<boolean> {
    try {
      // The client declares a parsed address, and sends its text.
      await ask(dialMs, signal, (until) => kubo.swarm.connect(address as never, { signal: until }))
      return true
    } catch (error) {
      // What the daemon says of an address is no failure of the daemon; one that it dials for long is given up.
      if (isEmrError(error, 'file_store_failed') || isEmrError(error, 'file_store_timeout')) return false
      throw error
    }
  }

  return {
    isLocal,

    self: ({ signal: caller } = {}) =>
      operations.run(caller, async (signal): Promise<DaemonAddresses> => {
        const { id, addresses } = await ask(dialMs, signal, (until) => kubo.id({ signal: until }))
        const own = `/p2p/${id}`
        return { id: String(id), addresses: addresses.map((address) => String(address).replace(own, '')) }
      }),

    connect: ({ id, addresses }, { signal: caller } = {}) =>
      operations.run(caller, async (signal) => {
        for (const address of addresses) if (await connectTo(`${address}/p2p/${id}`, signal)) return true
        return false
      }),

    async fetch(cid, { signal: caller, maxBytes = Number.POSITIVE_INFINITY }: ImportLimits = {}) {
      const root = normalCid(cid)
      return operations.run(caller, async (signal) => {
        // Blocks that are read ahead would be searched for long after the first one was given up.
        const end = new AbortController()
        const until = AbortSignal.any([signal, end.signal])
        setMaxListeners(0, until)
        try {
          const file = await fetchBlocks(root, maxBytes, until)
          await pin(root, signal)
          return file
        } catch (error) {
          if (isEmrError(error, 'file_store_timeout') || isEmrError(error, 'file_unavailable')) return undefined
          throw error
        } finally {
          end.abort()
        }
      })
    },
  }
}
