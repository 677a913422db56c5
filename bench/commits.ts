import { join } from 'node:path'
import { type ChainTail, openChainTail } from './chain-tail.js'
import type { ClusterNode } from './node-cluster.js'

/** Which transactions are in a block on every node, and since when. */
export interface Commits {
  /** To be called for each block at each node. */
  onBlock(): void
  /** A transaction is about to be submitted, or was refused after all. */
  submitted(name: string): void
  refused(name: string): void
  /** How many were submitted and are not on all chains yet. */
  waiting(): number
  /** Resolves as soon as fewer wait than this many; rejects after `time` ms without any that got there. */
  below(many: number, time: number): Promise<void>
  /** When it was on all of them, in ms since 1970. */
  at(name: string): number | undefined
  close(): Promise<void>
}

interface Found {
  readonly block: string
  readonly names: readonly string[]
}

/**
 * Follows the chain of the first node, which mines, on its disk, and the other nodes by what they log: nobody is asked,
 * since that would cost what is measured. A block counts for a node from when it, or a later one, is its tip.
 */
export async function followCommits(nodes: readonly ClusterNode[]): Promise<Commits> {
  const [first] = nodes
  if (!first) throw new Error('There is no node.')
  const tail = await openChainTail(join(first.data, 'chain.car'))
  const open = new Set<string>()
  const done = new Map<string, number>()
  const found: Found[] = []
  const places = new Map<string, number>()
  let unread: string[] = []
  /** Blocks of `found` that are on all chains. */
  let settled = 0
  let pass = Promise.resolve()
  let failure: unknown
  const listeners = new Set<() => void>()

  async function follow(): Promise<void> {
    for (const name of await tail.read()) {
      unread.push(name)
      if (!first?.blocks.has(name)) continue
      places.set(name, found.length)
      found.push({ block: name, names: unread })
      unread = []
    }
    // A block that was read before its node logged it.
    for (let at = 0; at < unread.length; at++) {
      const name = unread[at]
      if (name === undefined || !first?.blocks.has(name)) continue
      places.set(name, found.length)
      found.push({ block: name, names: unread.splice(0, at + 1) })
      at = -1
    }
    const reached = nodes.map(({ blocks }) => reachedBy(blocks))
    for (; settled < found.length; settled++) {
      const times = reached.map((tips) => tips.find(({ place }) => place >= settled)?.at)
      if (times.includes(undefined)) break
      const at = Math.max(...times.map(Number))
      for (const name of found[settled]?.names ?? []) if (open.delete(name)) done.set(name, at)
    }
    for (const listener of listeners) listener()
  }

  /** The tips of a node since what is settled, in order. */
  function reachedBy(blocks: ReadonlyMap<string, number>): { place: number; at: number }[] {
    const tips: { place: number; at: number }[] = []
    for (const { block } of found.slice(settled)) {
      const at = blocks.get(block)
      const place = places.get(block)
      if (at !== undefined && place !== undefined) tips.push({ place, at })
    }
    return tips
  }

  return {
    onBlock() {
      pass = pass.then(follow).catch((error: unknown) => {
        failure ??= error
      })
    },
    submitted: (name) => void open.add(name),
    refused: (name) => void open.delete(name),
    waiting: () => open.size,
    at: (name) => done.get(name),
    below: (many, time) =>
      new Promise((resolve, reject) => {
        let timer: NodeJS.Timeout
        let before = open.size
        const end = (settle: () => void): void => {
          clearTimeout(timer)
          listeners.delete(look)
          settle()
        }
        const watch = (): void => {
          timer = setTimeout(() => end(() => reject(failure ?? new Error('Nothing comes to all chains.'))), time)
        }
        const look = (): void => {
          if (open.size < many) {
            end(resolve)
          } else if (open.size < before) {
            before = open.size
            clearTimeout(timer)
            watch()
          }
        }
        listeners.add(look)
        watch()
        look()
      }),
    async close() {
      await pass
      await tail.close()
      if (failure !== undefined) throw failure
    },
  }
}

/** How many of these are in the chain file of a node. */
export async function countOnDisk({ data }: ClusterNode, names: readonly string[]): Promise<number> {
  let tail: ChainTail | undefined
  try {
    tail = await openChainTail(join(data, 'chain.car'))
    const stored = new Set(await tail.read())
    return names.filter((name) => stored.has(name)).length
  } finally {
    await tail?.close()
  }
}
