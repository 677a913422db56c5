import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type ConsentKeys, currentEpoch, signerOf } from './consent-keys.js'
import type { Stamp } from './draft.js'
import { classSecretsOf, type Grantee, type GrantTransaction, grantClasses } from './grant.js'
import { type Rotation, rotateIdentity } from './identity.js'
import { revokeGrant } from './revocation.js'
import { unfit } from './unfit.js'

/** A grant by class that stays in force, and whom it is sealed to now. */
export interface StayingGrant {
  readonly grant: GrantTransaction
  /** The grantee, with the X25519 key of its latest version. */
  readonly grantee: Grantee
  /** How many uses are left, where the grant limits them. */
  readonly usesLeft?: number
}

/**
 * A rotation that moves class keys: `keys` are `nextClassKeys` of those so far, or `renewedKeys` after a theft, and to be
 * kept before anything is sent, since what is written from then on is sealed to them.
 */
export interface EpochMove extends Rotation {
  /** Id of the patient. */
  readonly patient: Uint8Array
  readonly certificate: Uint8Array | null
  /** All grants by class that are to stay and have keys of the classes that move. */
  readonly stay: readonly StayingGrant[]
}

/**
 * Moves the keys of classes to their next epoch after a grant by class has ended, so that its grantee opens nothing that
 * is written from now on. Each grant that stays is given anew by the patient, on the same terms, with the keys that it
 * had and the new ones, and the old one ends: no two grants stand for one consent.
 *
 * @returns in the order in which they are to be sent: the identity, and for each grant the new one and the end of the old
 * @throws EmrError `consent_unfit` if a grant is a deny, over, has no key that moves, or is limited with no uses left
 *   said; `transaction_malformed` where one would have over 64 keys
 */
export async function moveClassEpoch(stamp: Stamp, move: EpochMove): Promise<readonly SignedTransaction[]> {
  const { patient, certificate, stay, ...rotation } = move
  const { keys, before } = rotation
  const identity = await rotateIdentity(stamp, rotation)
  const last = new Map(before.body.classKeys.map((key) => [key.class, key.epoch]))
  const moved = identity.body.classKeys
    .filter((key) => key.epoch !== last.get(key.class))
    .reduce((mask, key) => mask | key.class, 0)
  // The identity comes first, so what follows is by the key that acts from then on.
  const signer = signerOf(keys)
  const again = await Promise.all(
    stay.map(async (staying) => [
      await sealAgain(stamp, signer, { keys, certificate, patient, moved, staying }),
      revokeGrant(stamp, signer, patient, staying.grant.id.bytes),
    ]),
  )
  return [identity, ...again.flat()]
}

interface Again {
  readonly keys: ConsentKeys
  readonly certificate: Uint8Array | null
  readonly patient: Uint8Array
  /** Classes whose keys move. */
  readonly moved: number
  readonly staying: StayingGrant
}

function sealAgain(stamp: Stamp, signer: Signer, again: Again): Promise<GrantTransaction> {
  const { keys, certificate, patient, staying } = again
  const { grant, grantee, usesLeft } = staying
  const { body } = grant
  // Of a class whose key it never had it gets none now.
  const moved = again.moved & body.keys.reduce((mask, key) => mask | key.class, 0)
  const isTheirs = body.grantee !== null && equalBytes(body.grantee, grantee.id)
  if (body.deny === 1 || moved === 0 || !isTheirs) {
    throw new EmrError('consent_unfit', 'A grant that stays is to this grantee, with keys of these classes.')
  }
  if (body.until <= stamp.at) throw unfit('out_of_time')
  if (body.uses > 0 && !(usesLeft && usesLeft <= body.uses)) {
    throw new EmrError('consent_unfit', 'Of a grant with limited uses it is to be said how many are left.')
  }
  const isWanted = ({ class: recordClass, epoch }: { class: number; epoch: number }): boolean =>
    body.keys.some((key) => key.class === recordClass && key.epoch === epoch) ||
    ((recordClass & moved) !== 0 && epoch === currentEpoch(keys, recordClass))
  const { roles, request, classes, actions, purposes, confidentiality, sensitivity, from, until } = body
  const terms = {
    actions,
    purposes,
    confidentiality,
    sensitivity,
    from,
    until,
    uses: body.uses > 0 ? (usesLeft ?? 0) : 0,
  }
  const secrets = classSecretsOf(keys, classes, isWanted)
  return grantClasses(stamp, signer, { patient, grantee, roles, certificate, request, classes, secrets, ...terms })
}
