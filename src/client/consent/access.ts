import { abytes, concatBytes, randomBytes } from '@noble/hashes/utils.js'
import type { Signer } from '../../crypto/ed25519.js'
import { sha256 } from '../../crypto/hash.js'
import type { AccessBody } from '../../protocol/bodies/access.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Stamp, signed } from './draft.js'

const REQUEST = new TextEncoder().encode('emrchain/access-request/v1')

/**
 * What an access says of the request to the custodian: SHA-256 of a domain text, a salt and the request.
 *
 * @param salt 32 random bytes, sent with the request
 */
export const commitToRequest = (salt: Uint8Array, request: Uint8Array): Uint8Array =>
  sha256(concatBytes(REQUEST, abytes(salt, 32, 'salt'), request))

/** A fresh salt for `commitToRequest`. */
export const newSalt = (): Uint8Array => randomBytes(32)

/** Says on the chain who reads which record, why, under which grant; a patient's own needs none. */
export const accessRecord = (stamp: Stamp, signer: Signer, access: AccessBody): SignedTransaction =>
  signed(stamp, signer, { kind: 'access', body: access })
