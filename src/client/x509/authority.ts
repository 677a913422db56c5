import type { CID } from 'multiformats/cid'
import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { type Role, roles } from '../../protocol/consent-vocabulary.js'

/** Somebody on the chain who certifies others, with the secret to do so. */
export interface Authority {
  /** Id of the genesis header of the network. */
  readonly genesis: CID
  /** Id of the identity. */
  readonly id: CID
  readonly role: Role
  /** Signs with the current Ed25519 key of the identity. */
  readonly signer: Signer
}

/** @throws EmrError `not_an_authority` */
export function assertAuthority({ role }: { readonly role: Role }): void {
  if (role !== roles.organisation && role !== roles.administrator) throw new EmrError('not_an_authority')
}
