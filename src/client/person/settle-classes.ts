import { assertNothingWaits, beginMove, type classesToMove, planMove, whatWaits } from './class-move.js'
import { type GrantNow, grantsOf } from './grants.js'
import type { Acting, PersonSession, SendOptions, SentTransaction } from './person-session.js'
import { sendAll } from './send-all.js'

export interface Settling {
  /** Who is given which classes by the deed that follows. */
  readonly renewed?: Parameters<typeof classesToMove>[3]
  /** The class that the deed seals something to. */
  readonly sealsTo?: number
}

export interface Settled {
  /** With the keys from now on. */
  readonly acting: Acting
  /** Whether the chain will know the newest class keys of the wallet, and does not yet. */
  readonly isAhead: boolean
  readonly moved: readonly SentTransaction[]
}

/**
 * Moves the keys of classes on that somebody has whose grants are over by themselves, at their end or used up; to be called
 * before a deed of a patient. Nobody else can do it, and no node does. While keys or grants of the patient wait for a block
 * it is left to the next deed.
 *
 * @throws EmrError `consent_unfit` where it has to be left, and the deed seals to such a class; and those of the node
 */
export async function settleClasses(
  session: PersonSession,
  acting: Acting,
  { renewed, sealsTo = 0 }: Settling = {},
): Promise<Settled> {
  const still = { acting, isAhead: false, moved: [] }
  if (acting.keys.classKeys.length === 0) return still
  const move = await planMove(session, acting, { grants: await allGrantsOf(session, acting) }, renewed)
  if (!move.isNeeded) return still
  const waits = await whatWaits(session, acting)
  if (waits === 'New keys') return { ...still, isAhead: true }
  if (waits && (move.classes & sealsTo) !== 0) await assertNothingWaits(session, acting)
  if (waits) return still
  const moved = await sendAll(session, await beginMove(session, acting, move))
  return { acting: { ...acting, keys: move.keys }, isAhead: move.isMoving, moved }
}

/** The same as a deed of its own. @returns what was sent; nothing where no class has to move @throws EmrError `consent_unfit` */
export async function moveClasses(
  session: PersonSession,
  acting: Acting,
  options: SendOptions = {},
): Promise<readonly SentTransaction[]> {
  const move = await planMove(session, acting, { grants: await allGrantsOf(session, acting) })
  if (!move.isNeeded) return []
  await assertNothingWaits(session, acting)
  return sendAll(session, await beginMove(session, acting, move), options)
}

async function allGrantsOf(session: PersonSession, { id }: Acting): Promise<GrantNow[]> {
  const grants: GrantNow[] = []
  for await (const one of grantsOf(session, id)) grants.push(one)
  return grants
}
