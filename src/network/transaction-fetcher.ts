import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { isEmrError } from '../errors.js'
import { idKey } from '../protocol/cid.js'
import { MAX_ANNOUNCED } from '../protocol/peer-messages.js'
import type { SignedTransaction } from '../protocol/transaction.js'

/** How many may be wanted in all and of one peer, of how many peers one is asked for, how many are checked in one go. */
export const DEFAULT_FETCH_LIMITS = { total: 50_000, perPeer: 10_000, sources: 8, atOnce: 64 }

export interface TransactionFetcherDependencies {
  knows(id: CID): boolean
  /** Those that the peer gives, at least one. */
  fetch(peer: string, ids: readonly CID[]): Promise<SignedTransaction[]>
  /** Checks one and keeps it. */
  take(transaction: SignedTransaction, from: string): Promise<unknown>
  /** Counts those that a peer says that it does not have. @throws EmrError `peer_flooded` */
  countEmpty(peer: string, many: number): void
  onFailure(peer: string, error: unknown): void
}

/** Fetches announced transactions, each once, however many peers announce it. */
export interface TransactionFetcher {
  /** Resolves when each of these is here, or no peer that announced it gave it. */
  want(ids: readonly CID[], from: string): Promise<void>
}

interface Want {
  readonly id: CID
  readonly ended: Promise<void>
  end(): void
  /** Who is asked, or is next to be. */
  source: string
  /** Who announced it as well. */
  readonly others: string[]
}

export function createTransactionFetcher(
  { knows, fetch, take, countEmpty, onFailure }: TransactionFetcherDependencies,
  limits = DEFAULT_FETCH_LIMITS,
): TransactionFetcher {
  const wants = new Map<string, Want>()
  const queues = new Map<string, Want[]>()
  const running = new Set<string>()

  function end(want: Want): void {
    wants.delete(idKey(want.id))
    want.end()
  }

  function queue(want: Want, peer: string): void {
    want.source = peer
    const waiting = queues.get(peer) ?? []
    queues.set(peer, waiting)
    waiting.push(want)
    void run(peer, waiting)
  }

  /** Asks others for what a peer did not give, or gives up. */
  function moveOn(left: readonly Want[]): void {
    for (const want of left) {
      const next = want.others.shift()
      if (next === undefined) end(want)
      else queue(want, next)
    }
  }

  async function run(peer: string, waiting: Want[]): Promise<void> {
    if (running.has(peer)) return
    running.add(peer)
    // What is announced in one go is asked for in one go.
    await Promise.resolve()
    while (waiting.length > 0) {
      let left = stillWanted(waiting.splice(0, MAX_ANNOUNCED))
      try {
        while (left.length > 0) left = stillWanted(await ask(peer, left))
      } catch (error) {
        onFailure(peer, error)
        if (isEmrError(error) && error.facts.refusal === 'transaction_unknown') countNothing(peer, left.length)
        // A peer that fails is not given the time of all else that waits for it.
        moveOn([...left, ...waiting.splice(0)])
      }
    }
    running.delete(peer)
    queues.delete(peer)
  }

  function countNothing(peer: string, many: number): void {
    try {
      countEmpty(peer, many)
    } catch (error) {
      onFailure(peer, error)
    }
  }

  function stillWanted(list: readonly Want[]): Want[] {
    return list.filter((want) => {
      const isHere = knows(want.id)
      if (isHere) end(want)
      return !isHere
    })
  }

  /** Asks once. Gives what is left to be asked for. */
  async function ask(peer: string, list: readonly Want[]): Promise<Want[]> {
    const open = new Map(list.map((want) => [idKey(want.id), want]))
    const given = await fetch(
      peer,
      list.map(({ id }) => id),
    )
    const keeping: Promise<void>[] = []
    for (const [at, transaction] of given.entries()) {
      // Others get their turn in between; nobody waits for the disk, so that all of them share few commits.
      if (at > 0 && at % limits.atOnce === 0) await setImmediate()
      keeping.push(keep(transaction, peer))
    }
    await Promise.all(keeping)
    for (const { id } of given) {
      const want = open.get(idKey(id))
      open.delete(idKey(id))
      // Its id is that of its bytes: where these break a rule no other peer has better ones.
      if (want) end(want)
    }
    return [...open.values()]
  }

  async function keep(transaction: SignedTransaction, peer: string): Promise<void> {
    try {
      await take(transaction, peer)
    } catch (error) {
      // Known by now, or the mempool is full: nothing that the peer did.
      if (!isEmrError(error) || error.verdict !== 'ignore') onFailure(peer, error)
    }
  }

  function wanted(id: CID, from: string): Promise<void> | undefined {
    if (knows(id)) return undefined
    const known = wants.get(idKey(id))
    if (known) {
      const isNew = known.source !== from && !known.others.includes(from)
      if (isNew && known.others.length < limits.sources) known.others.push(from)
      return known.ended
    }
    if (wants.size >= limits.total || (queues.get(from)?.length ?? 0) >= limits.perPeer) return undefined
    const { promise: ended, resolve } = withResolvers()
    const want = { id, ended, end: resolve, source: from, others: [] }
    wants.set(idKey(id), want)
    queue(want, from)
    return ended
  }

  return {
    async want(ids, from) {
      await Promise.all(ids.map((id) => wanted(id, from)))
    },
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}
