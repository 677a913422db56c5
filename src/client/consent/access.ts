import { abytes, concatBytes, randomBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { Signer } from '../../crypto/ed25519.js'
import { sha256 } from '../../crypto/hash.js'
import type { AccessBody } from '../../protocol/bodies/access.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Stamp, signed } from './draft.js'

const REQUEST = new TextEncoder().encode('emrchain/release-request/v1')

/** What an access stands for, and only the custodians are told. */
export interface ReleaseRequest {
  readonly record: Uint8Array
  /** X25519 key that the answer is to be sealed to: that of the asker's latest version. */
  readonly seal: Uint8Array
  /** 32 random bytes, sent with the request, so that nobody can guess what was asked. */
  readonly salt: Uint8Array
}

/** `commitment` of an access. docs/protocol.md, "Sealed secrets". */
export const releaseCommitment = (chain: CID, { record, seal, salt }: ReleaseRequest): Uint8Array =>
  sha256(
    concatBytes(REQUEST, chain.bytes, abytes(record, 36, 'record'), abytes(seal, 32, 'seal'), abytes(salt, 32, 'salt')),
  )

/** A fresh salt for `releaseCommitment`. */
export const newSalt = (): Uint8Array => randomBytes(32)

/** Says on the chain who reads which record, why, under which grant; a patient's own needs none. */
export const accessRecord = (stamp: Stamp, signer: Signer, access: AccessBody): SignedTransaction =>
  signed(stamp, signer, { kind: 'access', body: access })
