import type { Signer } from '../../crypto/ed25519.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Stamp, signed } from './draft.js'

/** Ends one grant or deny: by the patient, by its author, or, of a grant, by its grantee. */
export const revokeGrant = (stamp: Stamp, signer: Signer, patient: Uint8Array, grant: Uint8Array): SignedTransaction =>
  signed(stamp, signer, { kind: 'revocation', body: { patient, grant, grantee: null } })

/** Ends all grants so far to one grantee. Denies stay. By the patient. */
export const revokeGrantee = (
  stamp: Stamp,
  signer: Signer,
  patient: Uint8Array,
  grantee: Uint8Array,
): SignedTransaction => signed(stamp, signer, { kind: 'revocation', body: { patient, grant: null, grantee } })

/** Ends all grants so far. Denies stay. By the patient. */
export const revokeAll = (stamp: Stamp, signer: Signer, patient: Uint8Array): SignedTransaction =>
  signed(stamp, signer, { kind: 'revocation', body: { patient, grant: null, grantee: null } })
