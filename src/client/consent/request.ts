import type { Signer } from '../../crypto/ed25519.js'
import type { RequestBody } from '../../protocol/bodies/request.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type Stamp, signed } from './draft.js'
import { type AskedScope, scopeOf } from './scope.js'

/** Who asks whom, and for what. */
export type NewRequest = Pick<RequestBody, 'patient' | 'grantee' | 'certificate'> & AskedScope

/** Asks a patient for a grant. @throws EmrError `transaction_malformed` */
export function requestAccess(stamp: Stamp, signer: Signer, request: NewRequest): SignedTransaction {
  const { patient, grantee, certificate } = request
  return signed(stamp, signer, { kind: 'request', body: { patient, grantee, certificate, ...scopeOf(request) } })
}
