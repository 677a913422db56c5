import { EmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import { parseChainId } from '../../protocol/cid.js'
import { actions, roles } from '../../protocol/consent-vocabulary.js'
import { classesIn } from '../consent/consent-keys.js'
import {
  type ClassSecret,
  type GrantTransaction,
  grantClassesInParts,
  grantRecords,
  grantTransaction,
} from '../consent/grant.js'
import { hasSecretOf, openGrant, shareByGrant } from '../consent/open-grant.js'
import type { ConsentRecord } from '../consent/record.js'
import { type AskedScope, scopeOf } from '../consent/scope.js'
import { consentRecords, type NewGrant, recipientOf } from './give-grant.js'
import { type GrantNow, grantState, grantsOf } from './grants.js'
import { type Acting, actingOf, type PersonSession, type SendOptions, stampOf } from './person-session.js'
import { type SentParts, sendParts } from './send-all.js'
import { askedScope } from './wanted-scope.js'

export interface GrantForPatient extends NewGrant {
  /** Id of the patient that this person is a delegate of, as text. */
  readonly patient: string
}

/**
 * Gives consent in the place of a patient, as a delegate: under grants of the patient that have REGRANT and reach as
 * far, with the secrets that they hold; in parts where one grant does not hold all keys.
 *
 * @throws EmrError `consent_missing` without such a grant; `identity_unknown`, `secret_missing`, `consent_unfit`
 */
export async function giveForPatient(
  session: PersonSession,
  { patient, grantee, roles: wantedRoles, request, ...scope }: GrantForPatient,
  options: SendOptions = {},
): Promise<SentParts> {
  const acting = await actingOf(session)
  const { id, signer, certificate } = acting
  const asked = askedScope(scope, session.now())
  const { classes = 0, records: _, ...terms } = asked
  const records = await consentRecords(session, scope.records)
  const own: GrantNow[] = []
  for await (const grant of grantsOf(session, patient)) {
    const isOwn = !grant.deny && grant.grantee === id && grantState(grant, session.now()) === 'in force'
    if (isOwn && allowsTerms(grant, asked)) own.push(grant)
  }
  const parties = {
    ...{ patient: parseChainId(patient).bytes, certificate },
    ...(await recipientOf(session, { grantee, roles: wantedRoles, request })),
  }
  const stamp = stampOf(session)
  const transactions: GrantTransaction[] = []
  if (classes > 0) {
    const secrets = await classSecretsIn(session, acting, own, classes)
    for (const [under, part] of restingOn(own, classes)) {
      const ofPart = secrets.filter((one) => (one.class & part) !== 0)
      const grant = { ...parties, ...terms, under, classes: part, secrets: ofPart }
      transactions.push(...(await grantClassesInParts(stamp, signer, grant)))
    }
  } else {
    const reaching = own.find((grant) => records.every((record) => isAbout(grant, record)))
    if (!reaching) throw notReaching()
    const under = parseChainId(reaching.id).bytes
    const shares = await sharesIn(session, acting, own, records)
    transactions.push(await grantRecords(stamp, signer, { ...parties, ...terms, under, shares }))
  }
  return sendParts(session, transactions, options)
}

const notReaching = (): EmrError =>
  new EmrError('consent_missing', 'A delegate needs one with REGRANT that reaches as far and as long.')

/** The same rules as the contract has (docs/protocol.md, "grant"), so that nothing is sent that it would refuse. */
function allowsTerms({ body }: GrantNow, scope: AskedScope): boolean {
  const isForDelegates = (body.actions & actions.REGRANT) !== 0 && (body.roles & (1 << roles.delegate)) !== 0
  const isWithin = (part: number, whole: number): boolean => (part & ~whole) === 0
  const asked = scopeOf(scope)
  return (
    isForDelegates &&
    isWithin(asked.actions, body.actions & ~actions.REGRANT) &&
    isWithin(asked.purposes, body.purposes) &&
    isWithin(asked.sensitivity, body.sensitivity) &&
    asked.confidentiality <= body.confidentiality &&
    asked.until <= body.until
  )
}

/** The newest grant of each class, with the classes that rest on it. @throws EmrError `consent_missing` */
function restingOn(own: readonly GrantNow[], classes: number): (readonly [Uint8Array, number])[] {
  const whole = own.find(({ body }) => (classes & ~body.classes) === 0)
  const parts = new Map<GrantNow, number>()
  for (const one of classesIn(classes)) {
    const grant = whole ?? own.find(({ body }) => (body.classes & one) !== 0)
    if (!grant) throw notReaching()
    parts.set(grant, (parts.get(grant) ?? 0) | one)
  }
  return [...parts].map(([{ id }, part]) => [parseChainId(id).bytes, part])
}

const isAbout = ({ body }: GrantNow, { id, body: { class: one } }: ConsentRecord): boolean =>
  (one & body.classes) !== 0 || body.records.some((named) => equalBytes(named, id.bytes))

const opened = async ({ client, signal }: PersonSession, { keys }: Acting, { id }: GrantNow) =>
  openGrant(keys, grantTransaction(await client.signedTransaction(id, { signal })))

/** The secrets of these classes in all grants that have some. */
async function classSecretsIn(
  session: PersonSession,
  acting: Acting,
  own: readonly GrantNow[],
  classes: number,
): Promise<ClassSecret[]> {
  const found = new Map<string, ClassSecret>()
  for (const grant of own) {
    if (!grant.body.keys.some((key) => (key.class & classes) !== 0)) continue
    for (const secret of (await opened(session, acting, grant)).secrets) {
      if ((secret.class & classes) !== 0) found.set(`${secret.class} ${secret.epoch}`, secret)
    }
  }
  return [...found.values()]
}

/** The shares of these records. @throws EmrError `secret_missing` where no grant has one */
async function sharesIn(
  session: PersonSession,
  acting: Acting,
  own: readonly GrantNow[],
  records: readonly ConsentRecord[],
) {
  const shares = []
  for (const record of records) {
    const grant = own.find(({ body }) => hasSecretOf(body, record))
    if (!grant) throw new EmrError('secret_missing', 'No grant to you has the key of this record.')
    shares.push({ record: record.id.bytes, share: await shareByGrant(await opened(session, acting, grant), record) })
  }
  return shares
}
