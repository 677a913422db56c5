import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import type { Signer } from '../../crypto/ed25519.js'
import { EmrError } from '../../errors.js'
import { MAX_GRANTED_KEYS } from '../../protocol/bodies/grant.js'
import { equalBytes } from '../../protocol/canonical.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type ConsentKeys, currentEpoch, signerOf } from './consent-keys.js'
import type { Stamp } from './draft.js'
import { classSecretsOf, type Grantee, type GrantTransaction, grantClassesInParts } from './grant.js'
import { type Rotation, rotateIdentity } from './identity.js'
import { revokeGrant } from './revocation.js'
import { unfit } from './unfit.js'

/** A grant by class that stays in force, and whom it is sealed to now. */
export interface StayingGrant {
  readonly grant: GrantTransaction
  /** The others that are one consent with it (`grantClassesInParts`). */
  readonly parts?: readonly GrantTransaction[]
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
 * had and the new ones, and the old one ends: no two grants stand for one consent. In the place of a request the new one
 * names the old, which says who gave it first: a patient cannot sign for a delegate.
 *
 * @returns in the order in which they are to be sent: the identity, and for each grant the new one and the end of the old;
 *   of a consent in parts, all of the new and the ends of all the old
 * @throws EmrError `consent_unfit` if a grant is a deny, over, has no key that moves, or is limited with no uses left said
 */
export async function moveClassEpoch(stamp: Stamp, move: EpochMove): Promise<readonly SignedTransaction[]> {
  const { patient, certificate, stay, ...rotation } = move
  const { keys } = rotation
  const identity = await rotateIdentity(stamp, rotation)
  return [identity, ...(await giveAgain(stamp, { keys, certificate, patient, stay }))]
}

/**
 * The second half of a move: each grant given anew with the current keys of its classes, and the end of the old one. By the
 * key that acts from then on.
 *
 * @throws EmrError as `moveClassEpoch`
 */
export async function giveAgain(
  stamp: Stamp,
  { stay, ...patient }: Omit<Again, 'staying'> & { readonly stay: readonly StayingGrant[] },
): Promise<readonly SignedTransaction[]> {
  const signer = signerOf(patient.keys)
  const pairs = await Promise.all(
    stay.map(async (staying, index) => [
      // Times tell consents apart that have the same terms.
      ...(await sealAgain({ ...stamp, at: stamp.at + index }, signer, { ...patient, staying })),
      ...grantsIn(staying).map(({ id }) => revokeGrant(stamp, signer, patient.patient, id.bytes)),
    ]),
  )
  return pairs.flat()
}

/** The classes of which a grant has keys, and not the current one. */
export const classesLacking = (keys: ConsentKeys, granted: readonly ClassEpoch[]): number =>
  granted
    .filter(({ class: one }) => granted.every((key) => key.class !== one || key.epoch < currentEpoch(keys, one)))
    .reduce((mask, key) => mask | key.class, 0)

const grantsIn = ({ grant, parts = [] }: StayingGrant): readonly GrantTransaction[] => [grant, ...parts]

interface Again {
  readonly keys: ConsentKeys
  readonly certificate: Uint8Array | null
  readonly patient: Uint8Array
  readonly staying: StayingGrant
}

function sealAgain(stamp: Stamp, signer: Signer, again: Again): Promise<GrantTransaction[]> {
  const { keys, certificate, patient, staying } = again
  const { grant, grantee, usesLeft } = staying
  const { body } = grant
  const granted = grantsIn(staying).flatMap((one) => one.body.keys)
  const classes = grantsIn(staying).reduce((mask, one) => mask | one.body.classes, 0)
  // Of a class whose key it never had it gets none now.
  const moved = classesLacking(keys, granted)
  const isTheirs = body.grantee !== null && equalBytes(body.grantee, grantee.id)
  if (body.deny === 1 || moved === 0 || !isTheirs) {
    throw new EmrError('consent_unfit', 'A grant that stays is to this grantee, with keys of these classes.')
  }
  if (body.until <= stamp.at) throw unfit('out_of_time')
  if (body.uses > 0 && !(usesLeft && usesLeft <= body.uses)) {
    throw new EmrError('consent_unfit', 'Of a grant with limited uses it is to be said how many are left.')
  }
  const isWanted = ({ class: recordClass, epoch }: ClassEpoch): boolean =>
    granted.some((key) => key.class === recordClass && key.epoch === epoch) ||
    ((recordClass & moved) !== 0 && epoch === currentEpoch(keys, recordClass))
  const { roles, actions, purposes, confidentiality, sensitivity, from, until } = body
  const terms = { actions, purposes, confidentiality, sensitivity, from, until }
  const parties = { patient, grantee, roles, certificate, request: grant.id.bytes }
  const secrets = classSecretsOf(keys, classes, isWanted)
  if (body.uses === 0) return grantClassesInParts(stamp, signer, { ...parties, ...terms, classes, secrets })
  // Its uses are counted in one grant, so what was written first is left out where there are too many keys.
  const newest = secrets.sort((a, b) => b.epoch - a.epoch).slice(0, MAX_GRANTED_KEYS)
  const counted = { ...parties, ...terms, uses: usesLeft ?? 0, classes, secrets: newest }
  return grantClassesInParts(stamp, signer, counted)
}
