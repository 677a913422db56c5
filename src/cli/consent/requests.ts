import { entryBody } from '../../client/consent/entry-body.js'
import { certificateInForce } from '../../client/consent/person.js'
import { requestAccess } from '../../client/consent/request.js'
import { EmrError } from '../../errors.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import type { Globals } from '../globals.js'
import { scopeOfFlags, scopeText } from './scope-flags.js'
import type { ScopeFlags } from './scope-options.js'
import { actingOf, type ConsentSession, openConsentSession, type SentTransaction } from './session.js'

export interface RequestFlags extends ScopeFlags {
  readonly organisation?: true
  readonly mine?: true
}

/** Asks a patient for a grant. @throws EmrError `usage`, `contact_unknown`, `identity_missing` */
export async function sendRequest(patient: string, flags: RequestFlags, globals: Globals): Promise<SentTransaction> {
  const session = await openConsentSession(globals)
  const scope = scopeOfFlags(flags, Date.now())
  const { id, signer, certificate } = await actingOf(session)
  const grantee = flags.organisation ? await organisationOf(session, id) : id
  const request = {
    patient: session.contacts.bytesOf(patient),
    grantee: parseChainId(grantee).bytes,
    certificate,
    ...scope,
  }
  return session.send(requestAccess(session.stamp(), signer, request), flags)
}

/** Who certified this person. @throws EmrError `consent_unfit` */
export async function organisationOf(
  { client, signal }: Pick<ConsentSession, 'client' | 'signal'>,
  id: string,
): Promise<string> {
  const certificate = await certificateInForce(client, id, Date.now(), signal)
  if (!certificate) throw new EmrError('consent_unfit', 'No organisation has certified you.')
  const { transaction } = await client.transaction(certificate.id, { signal })
  return (await client.identityOfKey(transaction.signer, { signal })).id
}

/** A request as the chain has it. Ids as text. */
export interface RequestNow {
  readonly id: string
  readonly at: number
  /** Who asked. */
  readonly author: string
  /** Who is to get the grant. */
  readonly grantee: string
  /** The grants that answer it. */
  readonly answers: readonly string[]
  readonly text: string
}

/** What this patient was asked for, newest first. */
export async function requestsOf(
  { client, signal }: Pick<ConsentSession, 'client' | 'signal'>,
  patient: string,
): Promise<RequestNow[]> {
  const id = parseChainId(patient).bytes
  const answers = new Map<string, string[]>()
  const found: RequestNow[] = []
  for await (const entry of client.history({ about: patient }, { signal })) {
    if (entry.result.code !== 0) continue
    const body = entryBody(entry)
    if (body?.kind === 'grant' && body.body.request) {
      const request = chainCidAt(body.body.request, 0).toString()
      answers.set(request, [...(answers.get(request) ?? []), entry.id])
    }
    if (body?.kind !== 'request' || Buffer.compare(body.body.patient, id) !== 0) continue
    found.push({
      id: entry.id,
      at: entry.at,
      author: (await client.identityOfKey(entry.author, { signal })).id,
      grantee: chainCidAt(body.body.grantee, 0).toString(),
      answers: answers.get(entry.id) ?? [],
      text: scopeText(body.body),
    })
  }
  return found
}
