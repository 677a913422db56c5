import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { giveAgain, moveClassEpoch, type StayingGrant } from '../consent/class-epoch.js'
import { type ConsentKeys, classesAhead, nextClassKeys } from '../consent/consent-keys.js'
import { type GrantNow, grantState, isLasting, stayingOf } from './grants.js'
import { type Acting, hasVersionWaiting, type PersonSession, replaceKeys, stampOf } from './person-session.js'
import { newestVersionOf } from './versions.js'

/** The next step of class keys: what has to be sealed again, and to whom. */
export interface Move {
  /** The keys from then on. */
  readonly keys: ConsentKeys
  /** The classes that move, a mask; where there are none, grants that stay are given the keys that have moved before. */
  readonly classes: number
  readonly isMoving: boolean
  readonly stay: readonly StayingGrant[]
  readonly isNeeded: boolean
}

export interface Consents {
  /** All grants of the patient. */
  readonly grants: readonly GrantNow[]
  /** Which of them end with this deed. */
  readonly isEnding?: (grant: GrantNow) => boolean
}

/**
 * The classes whose current key somebody has whose grants are over: ended, revoked or used up. What is written to them
 * could be opened by that somebody and a custodian that breaks its word.
 *
 * @param current the class keys of the patient as the chain has them
 * @param renewed who is given these classes now, and so may keep their keys
 */
export function classesToMove(
  { grants, isEnding = () => false }: Consents,
  current: readonly ClassEpoch[],
  now: number,
  renewed?: { readonly grantee: string; readonly classes: number },
): number {
  let classes = 0
  for (const { class: one, epoch } of current) {
    const holders = grants.filter(
      ({ deny, body }) => !deny && body.keys.some((key) => key.class === one && key.epoch === epoch),
    )
    const isOver = (grant: GrantNow): boolean => isEnding(grant) || !isLasting(grantState(grant, now))
    const mayHave = new Set(holders.filter((grant) => !isOver(grant)).map(({ grantee }) => grantee))
    if (renewed && (renewed.classes & one) !== 0) mayHave.add(renewed.grantee)
    if (holders.some(({ grantee }) => !mayHave.has(grantee))) classes |= one
  }
  return classes
}

/** What a patient has to move, also of a move that a run before this one began. */
export async function planMove(
  session: PersonSession,
  { keys: own, identity }: Acting,
  consents: Consents,
  renewed?: Parameters<typeof classesToMove>[3],
): Promise<Move> {
  const ahead = classesAhead(own, identity.classKeys)
  const over = classesToMove(consents, identity.classKeys, session.now(), renewed)
  const keys = nextClassKeys(own, over & ~ahead)
  const { grants, isEnding = () => false } = consents
  const stay = await stayingOf(
    session,
    grants.filter((one) => !isEnding(one)),
    keys,
  )
  const classes = over | ahead
  const isMoving = classes !== 0
  return { keys, classes, isMoving, stay, isNeeded: isMoving || stay.length > 0 }
}

/** Keeps the new keys for good, and gives the transactions that are to be sent then: the keys, and the grants that stay with them. */
export async function beginMove(
  session: PersonSession,
  { id, keys: own, signer, certificate }: Acting,
  { keys, isMoving, stay }: Move,
): Promise<readonly SignedTransaction[]> {
  const again = { keys, certificate, patient: parseChainId(id).bytes, stay }
  if (!isMoving) return giveAgain(stampOf(session), again)
  await replaceKeys(session.keeper, own, keys)
  return moveClassEpoch(stampOf(session), { ...again, signer, before: await newestVersionOf(session, id) })
}

/** Two moves of the same keys would give each grant that stays twice. @throws EmrError `consent_unfit` */
export async function assertNothingWaits(session: PersonSession, acting: Acting): Promise<void> {
  const waits = await whatWaits(session, acting)
  if (waits) throw new EmrError('consent_unfit', `${waits} of yours wait for a block; try again when it is there.`)
}

/** What of this person waits for a block and would be missed by a move; null where nothing does. */
export async function whatWaits(
  session: PersonSession,
  { id, identity }: Acting,
): Promise<'New keys' | 'Grants' | null> {
  if (await hasVersionWaiting(session, identity)) return 'New keys'
  const waiting = await session.client.pendingAbout(id, { signal: session.signal })
  return waiting.some(({ kind, author }) => kind === 'grant' && author === identity.key) ? 'Grants' : null
}
