import { EmrError } from '../../errors.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { revokeGrant } from '../consent/revocation.js'
import { type GrantNow, grantsOf, partsOfConsent } from './grants.js'
import { actingOf, type PersonSession, type SendOptions, stampOf } from './person-session.js'
import type { Ending } from './revoke.js'
import { type SentParts, sendParts } from './send-all.js'

/**
 * Ends what this person gave in the place of a patient, as a delegate, or got: one grant, all that went to somebody, or all that
 * this person gave. The keys of classes stay where they are: the patient alone can move them, and does with the next deed.
 *
 * @throws EmrError `consent_missing` where there is nothing that this person may end; and those of the node
 */
export async function revokeForPatient(
  session: PersonSession,
  { patient, what }: { readonly patient: string; readonly what: Ending },
  options: SendOptions = {},
): Promise<SentParts> {
  const { client, signal } = session
  const { id, signer } = await actingOf(session)
  const grants: GrantNow[] = []
  for await (const one of grantsOf(session, patient)) if (!one.revoked) grants.push(one)
  const givers = new Map<string, string>()
  for (const author of new Set(grants.map((one) => one.author))) {
    givers.set(author, (await client.identityOfKey(author, { signal })).id)
  }
  const isGiven = (one: GrantNow): boolean => givers.get(one.author) === id
  const isMeant = (one: GrantNow): boolean => {
    if (what === 'all') return isGiven(one) && !one.deny
    if ('grantee' in what) return isGiven(one) && !one.deny && one.grantee === what.grantee
    return isGiven(one) || (!one.deny && one.grantee === id)
  }
  const named = what !== 'all' && 'grant' in what ? partsOfConsent(grants, what.grant) : grants
  const ending = named.filter(isMeant)
  if (ending.length === 0) throw new EmrError('consent_missing', reasonOf(grants, what))
  const stamp = stampOf(session)
  const ends = ending.map((one) => revokeGrant(stamp, signer, parseChainId(patient).bytes, parseChainId(one.id).bytes))
  return sendParts(session, ends, options)
}

/** Why nothing can be ended: the patient may have given it anew since. */
function reasonOf(grants: readonly GrantNow[], what: Ending): string {
  const isNamed = what !== 'all' && 'grant' in what
  const anew = grants.find(
    ({ body }) => isNamed && body.request !== null && chainCidAt(body.request, 0).toString() === what.grant,
  )
  if (anew)
    return `When keys moved on, the patient gave it anew as ${anew.id}: only the patient, or who has it, ends that.`
  return 'There is none in force that you gave, or got, in the place of this patient.'
}
