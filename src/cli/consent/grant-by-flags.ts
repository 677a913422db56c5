import { scopeOf } from '../../client/consent/scope.js'
import { scopeText } from '../../client/consent/scope-text.js'
import { giveForPatient } from '../../client/person/give-for-patient.js'
import { deny, type Given, giveGrant } from '../../client/person/give-grant.js'
import { grantState, grantsOf } from '../../client/person/grants.js'
import { actingOf, ownIdOf, type SentTransaction } from '../../client/person/person-session.js'
import { type Ending, type Revoked, revoke } from '../../client/person/revoke.js'
import { revokeForPatient } from '../../client/person/revoke-for-patient.js'
import { moveClasses } from '../../client/person/settle-classes.js'
import { askedScope, type WantedScope } from '../../client/person/wanted-scope.js'
import { EmrError } from '../../errors.js'
import { chainCidAt } from '../../protocol/cid.js'
import { actions, roles } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { showSteps } from '../show-count.js'
import { scopeOfFlags } from './scope-flags.js'
import type { ScopeFlags } from './scope-options.js'
import { type ConsentSession, openConsentSession } from './session.js'
import { bitsOf } from './words.js'

export interface GrantFlags extends ScopeFlags {
  readonly as?: string[]
  readonly deny?: true
  readonly request?: string
  readonly onBehalfOf?: string
  readonly mine?: true
}

const roleBits: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(roles).map(([name, role]) => [name, 1 << role]),
)

/** Gives consent, or forbids. @throws EmrError `usage`, `contact_unknown`, and those of `giveGrant` */
export async function grantByFlags(
  who: string,
  flags: GrantFlags,
  globals: Globals,
): Promise<Partial<Given> & SentTransaction & { readonly text: string }> {
  const session = await openConsentSession(globals)
  const patientId = flags.onBehalfOf === undefined ? undefined : session.contacts.idOf(flags.onBehalfOf)
  const asked =
    flags.request === undefined
      ? undefined
      : await requestBy(session, flags.request, flags.deny ? undefined : session.contacts.idOf(who))
  const isAsAsked = flags.record === undefined && flags.class === undefined
  const scope =
    asked !== undefined && isAsAsked
      ? asked
      : scopeOfFlags(
          patientId === undefined ? flags : await untilOwnEnd(session, patientId, flags),
          session.now(),
          flags.deny ? 'deny' : 'grant',
        )
  const text = scopeText(scopeOf(askedScope(scope, session.now())))
  const isEverybody = who === 'everybody'
  if (isEverybody && !flags.deny) throw new EmrError('usage', 'Only a deny can be for everybody.')
  const terms = { ...scope, ...(flags.as ? { roles: bitsOf('--as', flags.as, roleBits) } : {}) }
  const { request } = flags
  if (flags.deny && patientId !== undefined) throw new EmrError('usage', 'A patient forbids for himself.')
  if (flags.deny) {
    const grantee = isEverybody ? null : session.contacts.idOf(who)
    return { ...(await deny(session, { ...terms, grantee }, flags)), text }
  }
  const grant = { ...terms, grantee: session.contacts.idOf(who), request }
  if (patientId === undefined) return { ...(await giveGrant(session, grant, flags)), text }
  return { ...(await giveForPatient(session, { ...grant, patient: patientId }, flags)), text }
}

/**
 * What a request asks for, to be granted as it is.
 *
 * @param who id of who is to get the grant: nobody gets what somebody else asked for
 * @throws EmrError `usage`, `transaction_unknown`
 */
async function requestBy(
  { client, contacts, signal }: ConsentSession,
  request: string,
  who: string | undefined,
): Promise<WantedScope> {
  const { kind, body } = await client.signedTransaction(request, { signal })
  if (kind !== 'request') throw new EmrError('usage', `${request} is no request.`)
  const { patient: _, grantee, certificate: __, records, ...scope } = body
  const asking = chainCidAt(grantee, 0).toString()
  if (who !== undefined && asking !== who) {
    throw new EmrError('usage', `This request asks for a grant to ${contacts.nameOf(asking)}.`)
  }
  return { ...scope, records: records.map((record) => chainCidAt(record, 0).toString()) }
}

/**
 * The flags of a delegate who did not say until when: for as long as a patient would give it, but no longer than the
 * delegate has it, which would be refused.
 */
async function untilOwnEnd(session: ConsentSession, patient: string, flags: GrantFlags): Promise<GrantFlags> {
  if (flags.until !== undefined || flags.deny) return flags
  const id = ownIdOf(session)
  const ends: number[] = []
  for await (const grant of grantsOf(session, patient)) {
    const isOwn = !grant.deny && grant.grantee === id && (grant.body.actions & actions.REGRANT) !== 0
    if (isOwn && grantState(grant, session.now()) === 'in force') ends.push(grant.body.until)
  }
  const last = Math.max(...ends)
  const { until } = scopeOfFlags(flags, session.now())
  return ends.length > 0 && until !== undefined && last < until
    ? { ...flags, until: new Date(last).toISOString() }
    : flags
}

export interface RevokeFlags {
  readonly to?: string
  readonly all?: true
  readonly ended?: true
  readonly onBehalfOf?: string
  readonly mine?: true
}

/** Ends consent. @throws EmrError `usage`, `contact_unknown`, and those of `revoke` */
export async function revokeByFlags(
  grant: string | undefined,
  { to, all, onBehalfOf: patient, mine }: RevokeFlags,
  globals: Globals,
): Promise<Revoked> {
  if ([grant, to, all].filter((one) => one !== undefined).length !== 1) {
    throw new EmrError('usage', 'Give the id of a grant, or --to, or --all, or --ended.')
  }
  const session = await openConsentSession(globals)
  const other = to === undefined ? 'all' : { grantee: session.contacts.idOf(to) }
  const what: Ending = grant === undefined ? other : { grant }
  const { onSent, stop } = showSteps()
  if (patient === undefined) return revoke(session, what, { mine, onSent }).finally(stop)
  const ended = await revokeForPatient(session, { patient: session.contacts.idOf(patient), what }, { mine })
  return { ...ended, moved: [], staying: 0 }
}

/** Moves the keys of classes on that are with grants which are over. @throws EmrError `usage`, and those of `moveClasses` */
export async function moveByFlags(
  grant: string | undefined,
  { to, all, onBehalfOf, mine }: RevokeFlags,
  globals: Globals,
) {
  if ([grant, to, all, onBehalfOf].some((one) => one !== undefined))
    throw new EmrError('usage', '--ended stands alone.')
  const session = await openConsentSession(globals)
  const { onSent, stop } = showSteps()
  const moved = await moveClasses(session, await actingOf(session), { mine, onSent }).finally(stop)
  const text =
    moved.length === 0
      ? 'No class has to move.'
      : `${moved.length} transactions move the keys on; grants that stay were given anew, under new ids; "grants" shows them.`
  return { document: { moved }, text }
}
