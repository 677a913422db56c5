import { type Permission, permissionOf } from '../../client/person/may-do.js'
import { actions, purposes } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { readContacts } from './contacts-file.js'
import { openAsking } from './session.js'
import { oneOf } from './words.js'

export interface ExplainFlags {
  readonly who: string
  readonly for: string
  readonly may: string
}

/** May they, by which grant; or why not, and what to do. @throws EmrError `usage`, `contact_unknown`, `transaction_unknown` */
export async function explain(
  record: string,
  flags: ExplainFlags,
  globals: Globals,
): Promise<{ permission: Permission; lines: string[] }> {
  oneOf('--for', flags.for, purposes)
  oneOf('--may', flags.may, actions)
  const contacts = await readContacts(globals.wallet)
  const doing = { action: flags.may.toUpperCase(), purpose: flags.for.toUpperCase() }
  const permission = await permissionOf(openAsking(globals), record, { accessor: contacts.idOf(flags.who), ...doing })
  return { permission, lines: linesOf(permission, record, { ...doing, name: contacts.nameOf(permission.accessor) }) }
}

function linesOf(
  { patient, allowed, grant, ending, says, tried }: Permission,
  record: string,
  { name, action, purpose }: { name: string; action: string; purpose: string },
): string[] {
  const doing = `${action} this record for ${purpose}`
  if (grant) {
    const end = ending
      ? ['Its end waits for a block; custodians who know of it give nothing out under it any more.']
      : []
    return [`${name} may ${doing}, under grant ${grant.id}:`, `  ${grant.text}`, ...end]
  }
  if (allowed) return [`${name} may ${doing}: it is their own record.`]
  return [
    `${name} may not ${doing}; ${tried.length === 0 ? says : 'no grant allows it:'}`,
    ...tried.flatMap((one) => [`  ${one.grant} (${one.text})`, `    ${one.says}`]),
    `To ask for it: emrchain request ${patient} --record ${record} --for ${purpose} --may ${action}`,
  ]
}
