import { parseChainId } from '../../protocol/cid.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { revokeAll, revokeGrant, revokeGrantee } from '../consent/revocation.js'
import { assertNothingWaits, beginMove, planMove } from './class-move.js'
import { consentsOf, type GrantNow, grantState, grantsOf, partsOfConsent } from './grants.js'
import { actingOf, type PersonSession, type SendOptions, type SentTransaction, stampOf } from './person-session.js'
import { sendAll } from './send-all.js'

/** What is to end: a grant or deny, all grants to somebody, or all grants. Ids as text. */
export type Ending = { readonly grant: string } | { readonly grantee: string } | 'all'

export interface Revoked extends SentTransaction {
  /** The ends of the other grants that are one consent with the one that was named. */
  readonly parts: readonly SentTransaction[]
  /** Transactions that moved the keys of classes on, so that nothing new opens with the old ones. */
  readonly moved: readonly SentTransaction[]
  /** How many grants in force whoever had the one that was named has beside it, which stay. */
  readonly staying: number
}

/**
 * Ends consent, and moves the class keys on that it gave. What a run before this one left undone is done too: the wallet
 * has the new keys before anything is sent, and a grant that lacks the current key of a class shows it.
 *
 * @throws EmrError `consent_unfit`, and those of the node
 */
export async function revoke(session: PersonSession, what: Ending, options: SendOptions = {}): Promise<Revoked> {
  const acting = await actingOf(session)
  const before: GrantNow[] = []
  for await (const one of grantsOf(session, acting.id)) before.push(one)
  const named = what !== 'all' && 'grant' in what ? partsOfConsent(before, what.grant).map(({ id }) => id) : []
  const isMeant = (one: GrantNow): boolean => {
    if (what === 'all') return !one.deny
    return 'grant' in what ? named.includes(one.id) : !one.deny && one.grantee === what.grantee
  }
  const move = await planMove(session, acting, { grants: before, isEnding: isMeant })
  if (move.isNeeded) await assertNothingWaits(session, acting)
  const ends = endsOf(session, acting, what, named)
  const moving = await beginMove(session, acting, move)
  const sent = await sendAll(session, [...ends, ...moving], options)
  const [first, ...parts] = sent.slice(0, ends.length)
  if (!first) throw new TypeError('Nothing ended.')
  const staying = grantsBeside(before, named, session.now())
  return { ...first, parts, moved: sent.slice(ends.length), staying }
}

function grantsBeside(grants: readonly GrantNow[], named: readonly string[], now: number): number {
  const ended = grants.find(({ id, deny }) => named.includes(id) && !deny)
  const staying = grants.filter(
    (one) =>
      !one.deny && one.grantee === ended?.grantee && !named.includes(one.id) && grantState(one, now) === 'in force',
  )
  return consentsOf(staying).length
}

function endsOf(
  session: PersonSession,
  { id, signer }: Awaited<ReturnType<typeof actingOf>>,
  what: Ending,
  named: readonly string[],
): SignedTransaction[] {
  const stamp = stampOf(session)
  const patient = parseChainId(id).bytes
  if (what === 'all') return [revokeAll(stamp, signer, patient)]
  if ('grantee' in what) return [revokeGrantee(stamp, signer, patient, parseChainId(what.grantee).bytes)]
  // What is no grant of this patient, or not on the chain yet, is for the contract to judge.
  const grants = named.length > 0 ? named : [what.grant]
  return grants.map((grant) => revokeGrant(stamp, signer, patient, parseChainId(grant).bytes))
}
