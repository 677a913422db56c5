import { certificateInForce } from '../../client/consent/person.js'
import { consentRecord } from '../../client/consent/record.js'
import { chainCidAt } from '../../protocol/cid.js'
import { actions, purposes } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { interruption } from '../interruption.js'
import { openClient } from '../open-client.js'
import { readContacts } from './contacts-file.js'
import { type GrantNow, grantsOf } from './grants.js'
import { organisationOf } from './requests.js'
import { oneOf } from './words.js'

export interface ExplainFlags {
  readonly who: string
  readonly for: string
  readonly may: string
}

export interface Explained {
  readonly allowed: boolean
  /** The grant that allows it. */
  readonly grant: string | null
  /** What the contract says to each grant that could. */
  readonly tried: readonly { readonly grant: string; readonly says: string; readonly text: string }[]
  readonly lines: readonly string[]
}

/** May they, by which grant; or why not, and what to do. @throws EmrError `usage`, `contact_unknown`, `transaction_unknown` */
export async function explain(record: string, flags: ExplainFlags, globals: Globals): Promise<Explained> {
  oneOf('--for', flags.for, purposes)
  oneOf('--may', flags.may, actions)
  const signal = interruption()
  const client = openClient(globals)
  const contacts = await readContacts(globals.wallet)
  const accessor = contacts.idOf(flags.who)
  const { body } = consentRecord(await client.signedTransaction(record, { signal }))
  const patient = chainCidAt(body.patient, 0).toString()
  const certificate = (await certificateInForce(client, accessor, Date.now(), signal))?.id
  const question = { accessor, record, certificate, action: flags.may.toUpperCase(), purpose: flags.for.toUpperCase() }
  const own = await client.decide(question, { signal })
  const name = contacts.nameOf(accessor)
  const doing = `${question.action} this record for ${question.purpose}`
  if (own.allowed) {
    return { allowed: true, grant: null, tried: [], lines: [`${name} may ${doing}: it is their own record.`] }
  }
  const organisation = certificate ? await organisationOf({ client, signal }, accessor) : null
  const tried: { grant: string; says: string; text: string }[] = []
  for await (const grant of grantsOf({ client, signal }, patient)) {
    if (grant.deny || !isTo(grant, accessor, organisation)) continue
    const { allowed, result } = await client.decide({ ...question, grant: grant.id }, { signal })
    if (allowed) {
      const lines = [`${name} may ${doing}, under grant ${grant.id}:`, `  ${grant.text}`]
      return { allowed: true, grant: grant.id, tried, lines }
    }
    tried.push({ grant: grant.id, says: `${result.name}: ${result.sentence}`, text: grant.text })
  }
  const why = tried.length === 0 ? `${own.result.name}: ${own.result.sentence}` : 'no grant allows it:'
  const lines = [
    `${name} may not ${doing}; ${why}`,
    ...tried.map(({ grant, says, text }) => `  ${grant} (${text})\n    ${says}`),
    `To ask for it: emrchain request ${patient} --record ${record} --for ${question.purpose} --may ${question.action}`,
  ]
  return { allowed: false, grant: null, tried, lines }
}

const isTo = (grant: GrantNow, accessor: string, organisation: string | null): boolean =>
  grant.grantee === accessor || (grant.grantee !== null && grant.grantee === organisation)
