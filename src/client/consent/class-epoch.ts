import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type ConsentKeys, currentEpoch, nextClassKeys, signerOf } from './consent-keys.js'
import type { Stamp } from './draft.js'
import { classSecretsOf, type Grantee, type GrantTransaction, grantClasses } from './grant.js'
import { type IdentityTransaction, rotateIdentity } from './identity.js'
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

export interface EpochMove {
  /** The patient's keys so far. */
  readonly keys: ConsentKeys
  /** The patient's latest identity. */
  readonly before: IdentityTransaction
  /** Id of the patient. */
  readonly patient: Uint8Array
  readonly certificate: Uint8Array | null
  /** The classes that get a new key: those of the grant that ended. */
  readonly classes: number
  readonly stay: readonly StayingGrant[]
}

export interface MovedEpoch {
  /** To be kept before anything is sent: what is written from then on is sealed to these. */
  readonly keys: ConsentKeys
  /** To be sent in this order: the identity, and for each grant that stays a new one and the end of the old. */
  readonly transactions: readonly SignedTransaction[]
}

/**
 * Moves the keys of classes to their next epoch after a grant by class has ended, so that its grantee opens nothing that
 * is written from now on. Each grant that stays is given anew by the patient, on the same terms, with the keys that it
 * had and the new ones, and the old one ends: no two grants stand for one consent.
 *
 * @throws EmrError `consent_unfit` if a grant is a deny, over, of other classes, or limited with no uses left said;
 *   `transaction_malformed` where one would have over 64 keys
 */
export async function moveClassEpoch(stamp: Stamp, move: EpochMove): Promise<MovedEpoch> {
  const { before, patient, certificate, classes, stay } = move
  const signer = signerOf(move.keys)
  const keys = nextClassKeys(move.keys, classes)
  const identity = await rotateIdentity(stamp, { before, keys, signer })
  const again = await Promise.all(
    stay.map(async (staying) => [
      await sealAgain(stamp, signer, { keys, certificate, patient, classes, staying }),
      revokeGrant(stamp, signer, patient, staying.grant.id.bytes),
    ]),
  )
  return { keys, transactions: [identity, ...again.flat()] }
}

interface Again {
  readonly keys: ConsentKeys
  readonly certificate: Uint8Array | null
  readonly patient: Uint8Array
  readonly classes: number
  readonly staying: StayingGrant
}

function sealAgain(stamp: Stamp, signer: Signer, again: Again): Promise<GrantTransaction> {
  const { keys, certificate, patient, staying } = again
  const { grant, grantee, usesLeft } = staying
  const { body } = grant
  const moved = again.classes & body.classes
  const isTheirs = body.grantee !== null && equalBytes(body.grantee, grantee.id)
  if (body.deny === 1 || moved === 0 || !isTheirs) {
    throw new EmrError('consent_unfit', 'A grant that stays is of these classes, and to this grantee.')
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
