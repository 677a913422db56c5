import { createHash } from 'node:crypto'
import type { NodeConfig } from '../config/node-config.js'
import type { Signer, Verify } from '../crypto/ed25519.js'
import { createOpensslVerify } from '../crypto/ed25519-node.js'
import type { JsonTable } from '../ledger/json-table.js'
import { type AddressPolicy, createAddressPolicy, DEFAULT_ALLOWED } from '../network/address-policy.js'
import { type Authenticate, createAuthenticate } from '../network/authenticate.js'
import { createPeerBook, type PeerBook } from '../network/peer-book.js'
import { contentDigest, signAnswer, type WholeSignature } from '../protocol/request-signature.js'

export interface PeerIdentityDependencies {
  readonly signer: Signer
  /** Where notes on peers are kept. */
  readonly table: JsonTable
  isValidKey(publicKey: Uint8Array): boolean
  /** Whether this key, hexadecimal, is one that the chain certifies. */
  isReader(key: string): boolean
  now(): number
  random(): number
  readonly logger: { warn(facts: object, message: string): void }
}

/** Who this node is to others, and who they are to it. */
export interface PeerIdentity {
  readonly book: PeerBook
  /** For the signatures of requests and answers. */
  readonly verify: Verify
  readonly authenticate: Authenticate
  /** Signs the answer to a request with this signature. */
  signAnswer(answer: { status: number; body: string; request: string }): WholeSignature
}

/** Whom a node may call. @throws EmrError `config_invalid` where an entry of `allowPeer` is none */
export const peerPolicy = ({ peer, allowPeer }: Pick<NodeConfig, 'peer' | 'allowPeer'>): AddressPolicy =>
  createAddressPolicy([...DEFAULT_ALLOWED, ...allowPeer, ...peer.flatMap(hostOf)])

export function createPeerIdentity({
  signer,
  table,
  isValidKey,
  isReader,
  now,
  random,
  logger,
}: PeerIdentityDependencies): PeerIdentity {
  const verify = createOpensslVerify()
  const book = createPeerBook({
    store: {
      saved: () => table.entries(),
      save: (address, note) => table.put(address, note),
      forget: (address) => table.remove(address),
    },
    now,
    random,
    onBan: ({ address, key, until, code, points }) =>
      logger.warn({ peer: address, key, code, points, until: new Date(until).toISOString() }, 'a peer is banned'),
    onTrouble: (error) => logger.warn({ err: error }, 'a note on a peer was not saved'),
  })
  return {
    book,
    verify,
    authenticate: createAuthenticate({ book, verify, isValidKey, isReader, now }),
    signAnswer: ({ status, body, request }) =>
      signAnswer({ status, digest: contentDigest(createHash('sha256').update(body).digest()), request }, signer, {
        created: Math.floor(now() / 1000),
      }),
  }
}

/** Hosts of peers that the operator names may be called; what is no URL is refused when it is connected to. */
const hostOf = (url: string): string[] =>
  URL.canParse(url) ? [new URL(url).hostname].filter((host) => host !== '') : []
