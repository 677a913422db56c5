import type { Signer } from '../../crypto/ed25519.js'
import type { ErasureBody } from '../../protocol/bodies/erasure.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Stamp, signed } from './draft.js'

/** Has the secrets of a record destroyed at every custodian. By the patient; there is no way back. */
export const eraseRecord = (stamp: Stamp, signer: Signer, erasure: ErasureBody): SignedTransaction =>
  signed(stamp, signer, { kind: 'erasure', body: erasure })
