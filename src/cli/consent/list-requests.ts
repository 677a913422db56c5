import { ownIdOf } from '../../client/person/person-session.js'
import { requestsOf } from '../../client/person/requests.js'
import { EmrError } from '../../errors.js'
import type { Globals } from '../globals.js'
import { readDeclined, writeDeclined } from './declined-file.js'
import { openConsentSession } from './session.js'

/** What this person was asked for, once those that are declined are noted. @throws EmrError `identity_missing`, `usage` */
export async function listRequests(
  { isAll, decline }: { readonly isAll: boolean; readonly decline: readonly string[] },
  globals: Globals,
) {
  const session = await openConsentSession(globals)
  const { contacts } = session
  const every = await requestsOf(session, ownIdOf(session))
  const unknown = decline.find((id) => !every.some((request) => request.id === id))
  if (unknown !== undefined) throw new EmrError('usage', `Nobody asked you ${unknown}.`)
  const declined = new Set([...(await readDeclined(globals.wallet)), ...decline])
  if (decline.length > 0) await writeDeclined(globals.wallet, declined)
  const found = every
    .map((request) => ({ ...request, declined: declined.has(request.id) }))
    .filter((request) => isAll || (request.answers.length === 0 && !request.declined))
  const lines = found.map(({ id, author, grantee, text, answers, declined: isDeclined }) => {
    const to = grantee === author ? '' : ` to ${contacts.nameOf(grantee)}`
    const answer = answers.length > 0 ? `; answered by ${answers.join(', ')}` : isDeclined ? '; declined' : ''
    return `${id}  ${contacts.nameOf(author)} asks for a grant${to}: ${text}${answer}`
  })
  return { document: { requests: found }, lines }
}
