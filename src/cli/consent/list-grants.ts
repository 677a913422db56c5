import { wordsOf } from '../../client/consent/scope-text.js'
import { classesToMove } from '../../client/person/class-move.js'
import { type GrantNow, grantState, grantsOf, partsOfConsent, waitingEnds } from '../../client/person/grants.js'
import { hasVersionWaiting, ownIdOf } from '../../client/person/person-session.js'
import { recordClasses } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { counted } from '../text.js'
import { openConsentSession } from './session.js'

/** What this person allows and forbids, and which classes have to move. @throws EmrError `identity_missing` */
export async function listGrants({ isAll }: { readonly isAll: boolean }, globals: Globals) {
  const session = await openConsentSession(globals)
  const { client, contacts, signal, now } = session
  const id = ownIdOf(session)
  const every: GrantNow[] = []
  for await (const grant of grantsOf(session, id)) every.push(grant)
  const isEnding = await waitingEnds(session, id)
  const grants = every
    .map((grant) => ({ ...grant, state: grantState(grant, now()) }))
    .map((grant) => ({ ...grant, ending: grant.state !== 'revoked' && isEnding(grant) }))
    .filter(({ state }) => isAll || state === 'in force' || state === 'not yet in force')
  const lines = grants.map(({ id: grant, grantee, deny, text, state, used, ending }) => {
    const who = grantee === null ? 'everybody' : contacts.nameOf(grantee)
    const [, ...parts] = partsOfConsent(every, grant)
    const with_ = parts.length > 0 ? `; one with ${parts.map((one) => one.id).join(', ')}` : ''
    return `${grant}  ${deny ? 'DENY ' : ''}${who}: ${text}; ${state}${used > 0 ? `, used ${counted(used, 'time')}` : ''}${with_}${ending ? '; its end waits for a block' : ''}`
  })
  const identity = await client.identity(id, { signal })
  const isMoving = every.length > 0 && (await hasVersionWaiting(session, identity))
  const moving = isMoving ? 0 : classesToMove({ grants: every }, identity.classKeys, now())
  const classes = wordsOf(moving, recordClasses)
  if (classes.length > 0) {
    lines.push(
      `Somebody has the keys of ${classes.join(', ')} by a grant that is over. They move on with your next record, grant or`,
      'revocation; or now: emrchain revoke --ended',
    )
  }
  return { document: { grants: grants.map(({ body: _, ...grant }) => grant), classesToMove: classes }, lines }
}
