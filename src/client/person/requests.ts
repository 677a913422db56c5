import { EmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { entryBody } from '../consent/entry-body.js'
import { certificateInForce } from '../consent/person.js'
import { requestAccess } from '../consent/request.js'
import { scopeText } from '../consent/scope-text.js'
import {
  type Asking,
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'
import { askedScope, type WantedScope } from './wanted-scope.js'

export interface NewRequest extends WantedScope {
  /** Id of the patient, as text. */
  readonly patient: string
  /** Whether the grant is to be to the organisation that certified who asks. */
  readonly forOrganisation?: boolean | undefined
}

/** Asks a patient for a grant. @throws EmrError `identity_missing`, `consent_unfit`, and those of the node */
export async function sendRequest(
  session: PersonSession,
  { patient, forOrganisation = false, ...scope }: NewRequest,
  options: SendOptions = {},
): Promise<SentTransaction> {
  const { id, signer, certificate } = await actingOf(session)
  const grantee = forOrganisation ? await organisationOf(session, id) : id
  const parties = { patient: parseChainId(patient).bytes, grantee: parseChainId(grantee).bytes, certificate }
  const asked = askedScope(scope, session.now())
  return send(session, requestAccess(stampOf(session), signer, { ...parties, ...asked }), options)
}

/** Who certified this person. @throws EmrError `consent_unfit` */
export async function organisationOf({ client, signal, now }: Asking, id: string): Promise<string> {
  const certificate = await certificateInForce(client, id, now(), signal)
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
  { client, signal }: Pick<Asking, 'client' | 'signal'>,
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
    if (body?.kind !== 'request' || !equalBytes(body.body.patient, id)) continue
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
