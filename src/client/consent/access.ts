import { randomBytes } from '@noble/hashes/utils.js'
import type { Signer } from '../../crypto/ed25519.js'
import type { AccessBody } from '../../protocol/bodies/access.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Stamp, signed } from './draft.js'

/** A fresh salt for `releaseCommitment`. */
export const newSalt = (): Uint8Array => randomBytes(32)

/** Says on the chain who reads which record, why, under which grant; a patient's own needs none. */
export const accessRecord = (stamp: Stamp, signer: Signer, access: AccessBody): SignedTransaction =>
  signed(stamp, signer, { kind: 'access', body: access })
