import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { equalBytes } from '../protocol/canonical.js'
import { decodePersonRequest, MAX_REQUEST_BYTES, type PersonRequest } from '../protocol/person-request.js'
import type { SignatureRules } from '../protocol/transaction.js'
import { createSignerNonces } from './signer-nonces.js'

/** How old a request may be, and how far ahead of this node's clock, in ms. */
export const REQUEST_WINDOW = { old: 120_000, ahead: 30_000 } as const

export interface RequestGateDependencies {
  readonly genesis: CID
  readonly rules: SignatureRules
  now(): number
  /** Id of this node; undefined while its key has no identity on the chain. */
  ownId(): Uint8Array | undefined
  /** Whether a key is the current one of an identity. */
  isKnownKey(key: Uint8Array): boolean
}

/**
 * Takes the signed requests of persons: form, network, addressee, time, signature, author, and each only once. What
 * was signed before the node started is refused, since it knows no nonces from then.
 *
 * @throws EmrError `request_malformed`, `other_network`, `request_wrong_node`, `request_out_of_time`,
 * `request_bad_signature`, `request_unknown_key`, `request_replayed`
 */
export function createRequestGate({ genesis, rules, now, ownId, isKnownKey }: RequestGateDependencies) {
  const nonces = createSignerNonces()
  const startedAt = now()

  return (bytes: Uint8Array): PersonRequest => {
    if (bytes.length > MAX_REQUEST_BYTES) throw new EmrError('request_malformed', 'It is too long.')
    const request = decodePersonRequest(bytes)
    if (!request.chain.equals(genesis)) throw new EmrError('other_network')
    const own = ownId()
    if (!own || !equalBytes(request.to, own)) throw new EmrError('request_wrong_node')
    const time = now()
    const oldest = Math.max(time - REQUEST_WINDOW.old, startedAt)
    if (request.at < oldest || request.at > time + REQUEST_WINDOW.ahead) throw new EmrError('request_out_of_time')
    const { key, signature, message } = request.claim
    if (!rules.isValidKey(key) || !rules.verify(signature, message, key)) throw new EmrError('request_bad_signature')
    if (!isKnownKey(key)) throw new EmrError('request_unknown_key')
    const [signer, nonce] = [textOf(key), textOf(request.nonce)]
    const seconds = (at: number): number => Math.floor(at / 1000)
    if (!nonces.take(signer, nonce, seconds(request.at), seconds(oldest))) throw new EmrError('request_replayed')
    return request
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
