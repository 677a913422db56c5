import { EmrError, type ErrorCode } from '../errors.js'
import type { HelloMessage, TipMessage } from '../protocol/peer-messages.js'
import { isAllowedAddress, parsePeerAddress } from './peer-address.js'
import type { PeerClient } from './peer-client.js'

/** What this node knows of another. */
export interface Peer {
  /** Scheme, host and port. */
  readonly address: string
  /** Its Ed25519 key, hexadecimal, as it said; absent until it answered. */
  readonly key?: string
  readonly tip?: TipMessage
  /** When it last answered or called, in ms since 1970. */
  readonly seenAt?: number
  /** Why the last call failed; absent while all is well. */
  readonly failure?: ErrorCode
}

/** A node that has just said how far it is. */
export type GreetedPeer = Peer & { readonly tip: TipMessage }

/** Where the addresses of peers outlive the process. */
export interface PeerStore {
  savedPeers(): Iterable<string>
  savePeer(address: string): Promise<void>
  forgetPeer(address: string): Promise<void>
}

export interface PeersDependencies {
  readonly client: Pick<PeerClient, 'hello'>
  readonly store: PeerStore
  /** What this node says of itself. */
  hello(): HelloMessage
  now(): number
}

/** The nodes that this one knows. */
export interface Peers {
  /**
   * Greets a node and keeps it. It then knows this one too.
   *
   * @throws EmrError `peer_bad_address`, `peer_forbidden`, `peer_is_self`, `other_network`,
   * `unsupported_version`, and what the client throws
   */
  greet(address: string): Promise<GreetedPeer>
  /** Takes the greeting of a node that called. @throws EmrError as `greet` */
  greeted(hello: HelloMessage): Promise<GreetedPeer>
  get(address: string): Peer | undefined
  /** In the order of their addresses. */
  list(): Peer[]
  noteFailure(address: string, failure: ErrorCode): void
}

export function createPeers({ client, store, hello, now }: PeersDependencies): Peers {
  const known = new Map<string, Peer>()
  for (const address of store.savedPeers()) known.set(address, { address })

  /** Addresses of this node itself are refused by its key, whatever they are called. */
  const assertFits = (theirs: HelloMessage): void => {
    const mine = hello()
    if (theirs.key === mine.key) throw new EmrError('peer_is_self')
    if (theirs.network !== mine.network) throw new EmrError('other_network')
    if (theirs.version > mine.version) throw new EmrError('unsupported_version', undefined, { version: theirs.version })
  }
  /** A node is known by its key: one that has moved, or has two names, is kept where it was met last. */
  const keep = async (address: string, { key, tip }: HelloMessage): Promise<GreetedPeer> => {
    const peer = { address, key, tip, seenAt: now() }
    const isNew = !known.has(address)
    known.set(address, peer)
    const left = [...known.values()].filter((other) => other.key === key && other.address !== address)
    for (const other of left) known.delete(other.address)
    if (isNew) await store.savePeer(address)
    for (const other of left) await store.forgetPeer(other.address)
    return peer
  }
  const allowed = (text: string): string => {
    const address = parsePeerAddress(text)
    if (!isAllowedAddress(address)) throw new EmrError('peer_forbidden')
    if (address === parsePeerAddress(hello().url)) throw new EmrError('peer_is_self')
    return address
  }

  return {
    async greet(text) {
      const address = allowed(text)
      const theirs = await client.hello(address, hello())
      assertFits(theirs)
      return keep(address, theirs)
    },
    async greeted(theirs) {
      const address = allowed(theirs.url)
      assertFits(theirs)
      return keep(address, theirs)
    },
    get: (address) => known.get(address),
    list: () => [...known.values()].sort((a, b) => (a.address < b.address ? -1 : 1)),
    noteFailure(address, failure) {
      const peer = known.get(address)
      if (peer) known.set(address, { ...peer, failure })
    },
  }
}
