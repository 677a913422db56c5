import { setTimeout as pause } from 'node:timers/promises'
import { EmrError, isEmrError } from '../errors.js'
import type { HelloMessage } from '../protocol/peer-messages.js'
import type { AddressPolicy } from './address-policy.js'
import { parsePeerAddress } from './peer-address.js'
import type { GreetedPeer, PeerBook, Sender } from './peer-book.js'
import type { PeerClient } from './peer-client.js'

/** How long a caller waits for this node to call it back, in ms. It goes on after that. */
const CALL_BACK_TIME = 1_000
/** How many callers are called back at once; who comes meanwhile is answered and not kept. */
const MAX_CALL_BACKS = 16

export interface PeersDependencies {
  readonly client: Pick<PeerClient, 'hello'>
  readonly book: PeerBook
  readonly policy: AddressPolicy
  /** What this node says of itself. */
  hello(): HelloMessage
  /** A node that called has proved its key at its address, now or before. */
  onMet(peer: GreetedPeer, isNew: boolean): void
  onTrouble(peer: string, error: unknown): void
}

/** How nodes come to know each other. */
export interface Peers {
  /**
   * Greets a node and keeps it. Both have proved their keys to each other then.
   *
   * @param how whether the operator named it
   * @throws EmrError `peer_bad_address`, `peer_forbidden`, `peer_is_self`, `other_network`,
   * `unsupported_version`, `peer_banned`, `peer_blocked`, and what the client throws
   */
  greet(address: string, how: { chosen: boolean }): Promise<GreetedPeer>
  /**
   * Takes the greeting of a node that called. It is kept only after it was called back where it says that it
   * answers, and proved the same key there; who calls waits for that, but not long.
   *
   * @throws EmrError as `greet`, and `peer_wrong_key`
   */
  greeted(hello: HelloMessage, sender: Sender): Promise<void>
  /** The address as it is kept, if it may be called. @throws EmrError `peer_bad_address`, `peer_forbidden`, `peer_is_self` */
  allowed(text: string): string
  /** Resolves when no call back is under way. */
  idle(): Promise<void>
}

export function createPeers(dependencies: PeersDependencies): Peers {
  const { client, book, policy, hello, onMet, onTrouble } = dependencies
  const greetings = new Map<string, Promise<HelloMessage>>()
  const callBacks = new Set<Promise<void>>()

  /** Addresses of this node itself are refused by its key, whatever they are called. */
  const assertFits = (theirs: HelloMessage): void => {
    const mine = hello()
    if (theirs.key === mine.key) throw new EmrError('peer_is_self')
    if (theirs.network !== mine.network) throw new EmrError('other_network')
    if (theirs.version > mine.version) throw new EmrError('unsupported_version', undefined, { version: theirs.version })
  }
  const allowed = (text: string): string => {
    const address = parsePeerAddress(text)
    if (!policy.allowsHost(new URL(address).hostname)) throw new EmrError('peer_forbidden')
    if (address === parsePeerAddress(hello().url)) throw new EmrError('peer_is_self')
    return address
  }

  /** One greeting to an address at a time; who wants another takes the same answer. */
  function exchange(address: string): Promise<HelloMessage> {
    const running = greetings.get(address)
    if (running) return running
    const greeting = client.hello(address, hello()).finally(() => greetings.delete(address))
    greetings.set(address, greeting)
    return greeting
  }

  async function greet(text: string, how: { chosen: boolean }): Promise<GreetedPeer> {
    const address = allowed(text)
    book.assertMayCall(address)
    const theirs = await exchange(address)
    assertFits(theirs)
    // Its key may be one that is banned or blocked at another address.
    book.assertWelcome(theirs.key)
    const peer = await book.keep(address, theirs, how)
    if (!peer) throw new EmrError('peer_forbidden', 'There is no room for more peers.')
    return peer
  }

  /** Calls a caller back. The key decides, not what the caller said. */
  async function callBack(address: string, theirs: HelloMessage): Promise<void> {
    const isNew = book.withKey(theirs.key) === undefined
    const answer = await exchange(address)
    if (answer.key !== theirs.key) throw new EmrError('peer_wrong_key')
    assertFits(answer)
    const peer = await book.keep(address, answer, { chosen: false })
    if (peer) onMet(peer, isNew)
  }

  return {
    greet,
    allowed,

    async greeted(theirs, sender) {
      if (theirs.key !== sender.key) throw new EmrError('peer_wrong_key')
      const address = allowed(theirs.url)
      assertFits(theirs)
      book.assertWelcome(theirs.key, address)
      if (book.get(address)?.key === theirs.key) {
        const peer = await book.keep(address, theirs, { chosen: false })
        if (peer) onMet(peer, false)
        return
      }
      // This node's own greeting proves the same. To wait for it would make both wait for each other.
      if (greetings.has(address) || callBacks.size >= MAX_CALL_BACKS) return
      let failure: unknown
      const calling: Promise<void> = callBack(address, theirs)
        .catch((error: unknown) => {
          failure = error
          onTrouble(address, error)
        })
        .finally(() => callBacks.delete(calling))
      callBacks.add(calling)
      const patience = new AbortController()
      await Promise.race([
        calling,
        pause(CALL_BACK_TIME, undefined, { signal: patience.signal }).catch(() => undefined),
      ])
      patience.abort()
      // Who cannot be reached may still read here; who is somebody else may not.
      if (isEmrError(failure, 'peer_wrong_key')) throw failure
    },

    async idle() {
      await Promise.all(callBacks)
    },
  }
}
