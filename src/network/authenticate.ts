import type { Verify } from '../crypto/ed25519.js'
import { EmrError } from '../errors.js'
import {
  MAX_SIGNATURE_AGE,
  type RequestSignature,
  type SignedRequest,
  verifyRequest,
} from '../protocol/request-signature.js'
import { createNonceCache, type NonceCache } from './nonce-cache.js'
import type { PeerBook, Sender } from './peer-book.js'

export interface AuthenticateDependencies {
  readonly book: Pick<PeerBook, 'withKey' | 'get' | 'assertWelcome'>
  readonly verify: Verify
  /** Whether these bytes may stand as a public key. */
  isValidKey(publicKey: Uint8Array): boolean
  /** Whether this key, hexadecimal, is one that the chain certifies. */
  isReader(key: string): boolean
  now(): number
}

/**
 * Finds out who signed a request that came in, before its body is read. The body must then have the digest
 * of the field `content-digest`.
 *
 * @param claimed the address at which the sender says that it answers
 * @throws EmrError `peer_unsigned`, `peer_bad_signature`, `peer_signature_old`, `peer_signature_early`,
 * `peer_replayed`, `peer_wrong_key`, `peer_banned`, `peer_blocked`
 */
export type Authenticate = (request: SignedRequest, claimed?: string) => Promise<Sender>

export function createAuthenticate({
  book,
  verify,
  isValidKey,
  isReader,
  now,
}: AuthenticateDependencies): Authenticate {
  // Each known peer and reader has a cache of its own, so that nobody fills another's; all strangers share one.
  const ofKnown = new Map<string, NonceCache>()
  const ofStrangers = createNonceCache()
  // The nonces that an earlier run of this node took are gone. A peer whose clock is behind waits for as long.
  const started = Math.floor(now() / 1000)

  function isFirst({ key, nonce, created }: RequestSignature, isKnown: boolean): boolean {
    const oldest = Math.floor(now() / 1000) - MAX_SIGNATURE_AGE
    const own = ofKnown.get(key)
    if (own) return own.take(nonce, created, oldest)
    if (!isKnown) return ofStrangers.take(`${key} ${nonce}`, created, oldest)
    // It was a stranger until now.
    if (ofStrangers.has(`${key} ${nonce}`, created)) return false
    for (const [other, cache] of ofKnown) {
      if (!book.withKey(other) && cache.newest() < oldest) ofKnown.delete(other)
    }
    const cache = createNonceCache()
    ofKnown.set(key, cache)
    return cache.take(nonce, created, oldest)
  }

  return async (request, claimed) => {
    const signature = await verifyRequest(request, verify, now())
    const { key, created } = signature
    if (!isValidKey(Buffer.from(key, 'hex'))) throw new EmrError('peer_bad_signature', 'Its key is not valid.')
    if (created < started) throw new EmrError('peer_signature_old', 'It was signed before this node started.')
    const peer = book.withKey(key)
    if (!isFirst(signature, peer !== undefined || isReader(key))) throw new EmrError('peer_replayed')
    book.assertWelcome(key, claimed)
    const owner = claimed === undefined ? undefined : book.get(claimed)?.key
    if (owner !== undefined && owner !== key) throw new EmrError('peer_wrong_key')
    return peer ? { key, address: peer.address } : { key }
  }
}
