import { EmrError } from '../../errors.js'
import { chainCidAt } from '../../protocol/cid.js'
import { actions } from '../../protocol/consent-vocabulary.js'
import { hasSecretOf } from '../consent/open-grant.js'
import { certificateInForce } from '../consent/person.js'
import { type ConsentRecord, consentRecord } from '../consent/record.js'
import type { Outcome } from '../node-answers.js'
import type { DecideQuestion } from '../node-client.js'
import { type GrantNow, grantState, grantsOf, waitingEnds } from './grants.js'
import type { Asking } from './person-session.js'
import { organisationOf } from './requests.js'

/** Words of the vocabulary, as `READ` and `TREAT`. */
export interface Doing {
  readonly action: string
  readonly purpose: string
}

/** Whether somebody may do something with a record, by which grant, or why not. Ids as text. */
export interface Permission {
  readonly patient: string
  readonly accessor: string
  readonly allowed: boolean
  /** The grant that allows it; null of a patient's own. */
  readonly grant: { readonly id: string; readonly text: string } | null
  /** Whether the end of that grant waits for its block: custodians who know of it give nothing out any more. */
  readonly ending: boolean
  /** What the contract says without any grant. */
  readonly says: string
  /** What the contract says to each grant that could. */
  readonly tried: readonly { readonly grant: string; readonly says: string; readonly text: string }[]
}

/** Asks the contract about each grant that could allow it; one that stays and has the secret of the record goes first. @throws EmrError `transaction_unknown`, `identity_unknown` */
export async function permissionOf(
  asking: Asking,
  record: string,
  { accessor, action, purpose }: Doing & { readonly accessor: string },
): Promise<Permission> {
  const { client, signal, now } = asking
  const asked = consentRecord(await client.signedTransaction(record, { signal }))
  const patient = chainCidAt(asked.body.patient, 0).toString()
  const certificate = (await certificateInForce(client, accessor, now(), signal))?.id
  const question = { accessor, record, certificate, action, purpose }
  const own = await client.decide(question, { signal })
  const found = { patient, accessor, says: `${own.result.name}: ${own.result.sentence}` }
  if (own.allowed) return { ...found, allowed: true, grant: null, ending: false, tried: [] }
  const isEnding = await waitingEnds(asking, patient)
  const organisation = certificate ? await organisationOf(asking, accessor) : null
  const tried: { grant: string; says: string; text: string }[] = []
  let lacking: Permission | undefined
  for await (const grant of grantsOf(asking, patient)) {
    if (grant.deny || !isTo(grant, accessor, organisation)) continue
    const { allowed, result } = await client.decide({ ...question, grant: grant.id }, { signal })
    const by = { ...found, allowed, grant: { id: grant.id, text: grant.text }, ending: isEnding(grant), tried }
    if (allowed && !by.ending && hasSecretOf(grant.body, asked)) return by
    if (allowed && (!lacking || lacking.ending)) lacking = by
    else tried.push({ grant: grant.id, says: `${result.name}: ${result.sentence}`, text: grant.text })
  }
  return lacking ?? { ...found, allowed: false, grant: null, ending: false, tried }
}

export interface Wanted {
  readonly patient: string
  readonly accessor: string
  /** What the contract is asked about each grant; without it, one is wanted that allows to append. */
  readonly question?: Omit<DecideQuestion, 'grant'>
  /** The record that is to be opened. */
  readonly record?: ConsentRecord
}

/**
 * The newest grant of a patient that lets somebody do something and has the secret for it; then one to the person that
 * has not, and then one to their organisation, which opens nothing until the organisation has shared the record.
 *
 * @throws EmrError `consent_missing`, with what the contract says
 */
export async function grantThatAllows(
  asking: Asking,
  { patient, accessor, question, record }: Wanted,
): Promise<string> {
  const { client, signal, now } = asking
  const isCertified = (await certificateInForce(client, accessor, now(), signal)) !== null
  const organisation = isCertified ? await organisationOf(asking, accessor) : null
  let lacking: string | undefined
  let ofOrganisation: string | undefined
  let reason: Outcome | undefined
  for await (const grant of grantsOf(asking, patient)) {
    const isOwn = grant.grantee === accessor
    const isOpening = record === undefined || hasSecretOf(grant.body, record)
    if (grant.deny || (isOwn ? lacking !== undefined && !isOpening : (lacking ?? ofOrganisation) !== undefined))
      continue
    if (!isTo(grant, accessor, organisation) || grantState(grant, now()) !== 'in force') continue
    if (question) {
      const { allowed, result } = await client.decide({ ...question, grant: grant.id }, { signal })
      if (!allowed) {
        reason ??= result
        continue
      }
    } else if ((grant.body.actions & actions.APPEND) === 0) continue
    if (isOwn && isOpening) return grant.id
    if (isOwn) lacking = grant.id
    else ofOrganisation = grant.id
  }
  const other = lacking ?? ofOrganisation
  if (other !== undefined) return other
  // It may be the role that is missing, or a deny that stands, and not a grant.
  if (question) reason ??= (await client.decide(question, { signal })).result
  throw new EmrError('consent_missing', reason && `${reason.name}: ${reason.sentence}`)
}

const isTo = (grant: GrantNow, accessor: string, organisation: string | null): boolean =>
  grant.grantee === accessor || (grant.grantee !== null && grant.grantee === organisation)
