import { setTimeout as pause } from 'node:timers/promises'
import { isEmrError } from '../errors.js'
import type { Peer } from '../network/peer-book.js'
import type { PeerClient } from '../network/peer-client.js'

export interface ReleaseTellerOptions {
  /** Pause before those that did not take a receipt are asked again, in ms; later ones are twice as long, up to `longestPause`. */
  readonly firstPause: number
  readonly longestPause: number
  /** How long it goes on, in ms. */
  readonly lifetime: number
  /** Rounds that `tell` waits for. */
  readonly awaited: number
  /** Receipts that are told again at one time; of more, each gets the awaited rounds only. */
  readonly waiting: number
}

export const DEFAULT_RELEASE_TELLER_OPTIONS: ReleaseTellerOptions = {
  firstPause: 100,
  longestPause: 60_000,
  lifetime: 3_600_000,
  awaited: 6,
  waiting: 1_000,
}

/** Tells other nodes of releases. */
export interface ReleaseTeller {
  /**
   * Tells every peer of a release by its signed receipt. Resolves when all that are connected have answered; those whose
   * chain lacks the access still are asked for some rounds more. Whoever does not have it then is told later, for an
   * hour, and so are nodes that connect meanwhile.
   */
  tell(receipt: Uint8Array): Promise<void>
  /** Gives up what is left. */
  close(): void
}

/** Refusals by a node that has not got so far: the access or the blocks before it are on their way to it. */
const EARLY = new Set(['transaction_unknown', 'record_unknown', 'not_custodian'])
/** Refusals of a receipt that will never be taken. All others may pass: the node is busy, or blocks this one. */
const FOR_GOOD = new Set(['other_network', 'request_malformed', 'request_bad_signature', 'access_unfit'])

/** What became of telling one node: it is done with, it will take the receipt in a moment, or it failed and may be tried again. */
type Outcome = 'settled' | 'early' | 'failed'

function outcomeOf(error: unknown): Outcome {
  const refusal = isEmrError(error) ? String(error.facts.refusal) : ''
  if (FOR_GOOD.has(refusal)) return 'settled'
  return EARLY.has(refusal) ? 'early' : 'failed'
}

/** @param onUntold what a peer answered that does not have the receipt; it may be asked again */
export function createReleaseTeller(
  client: Pick<PeerClient, 'tellRelease'>,
  peers: () => readonly Pick<Peer, 'address' | 'key' | 'state'>[],
  onUntold: (peer: string, error: unknown) => void,
  options = DEFAULT_RELEASE_TELLER_OPTIONS,
): ReleaseTeller {
  const closing = new AbortController()
  const { signal } = closing
  let waiting = 0

  async function tellOne(address: string, receipt: Uint8Array): Promise<Outcome> {
    try {
      await client.tellRelease(address, receipt)
      return 'settled'
    } catch (error) {
      if (!signal.aborted) onUntold(address, error)
      return outcomeOf(error)
    }
  }

  /** Yields after each round whether a node is about to take it. */
  async function* rounds(receipt: Uint8Array): AsyncGenerator<boolean, void, undefined> {
    const settled = new Set<string>()
    const end = performance.now() + options.lifetime
    for (let wait = options.firstPause; ; wait = Math.min(2 * wait, options.longestPause)) {
      const known = peers().filter(({ state }) => state !== 'banned')
      const open = known.filter(({ address, key, state }) => {
        const isConnected = key !== undefined && (state === 'new' || state === 'connected')
        return isConnected && !settled.has(address)
      })
      let isEarly = false
      const tell = async ({ address }: { readonly address: string }): Promise<void> => {
        const outcome = await tellOne(address, receipt)
        if (outcome === 'settled') settled.add(address)
        if (outcome === 'early') isEarly = true
      }
      await Promise.all(open.map(tell))
      if (known.every(({ address }) => settled.has(address))) return
      yield isEarly
      if (signal.aborted || performance.now() + wait > end) return
      await pause(wait, undefined, { ref: false, signal }).catch(() => undefined)
    }
  }

  async function goOn(asked: AsyncGenerator<unknown>): Promise<void> {
    for await (const _ of asked);
  }

  return {
    async tell(receipt) {
      const asked = rounds(receipt)
      for (let round = 1; round <= options.awaited; round++) {
        const { done, value: isEarly } = await asked.next()
        if (done) return
        if (!isEarly) break
      }
      if (waiting >= options.waiting) return
      waiting++
      void goOn(asked).finally(() => waiting--)
    },
    close: () => closing.abort(),
  }
}
