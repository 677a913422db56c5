import { hexToBytes } from '@noble/hashes/utils.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { actions, EVERY_ROLE, NO_END, roleNamed, roles } from '../../protocol/consent-vocabulary.js'
import { classSecretsOf, denyAccess, grantClassesInParts, grantRecords, sharesOf } from '../consent/grant.js'
import { type ConsentRecord, consentRecord } from '../consent/record.js'
import {
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'
import { type SentParts, sendParts } from './send-all.js'
import { settleClasses } from './settle-classes.js'
import { askedScope, type WantedScope } from './wanted-scope.js'

export interface NewGrant extends WantedScope {
  /** Id of a person or an organisation, as text. */
  readonly grantee: string
  /** A mask; the role of the grantee if left out, of an organisation every role. */
  readonly roles?: number
  /** Id of the request that it answers. */
  readonly request?: string | undefined
}

export interface NewDeny extends WantedScope {
  /** Null for everybody. */
  readonly grantee: string | null
  readonly roles?: number
}

export interface Given extends SentParts {
  /** What moved the keys of classes on before, since grants that had them are over (`settleClasses`). */
  readonly moved: readonly SentTransaction[]
}

/** Gives consent to records, or to classes of them; in parts where one grant does not hold all keys. @throws EmrError `identity_unknown`, `secret_missing`, `consent_unfit` */
export async function giveGrant(
  session: PersonSession,
  { grantee, roles: asked, request, ...scope }: NewGrant,
  options: SendOptions = {},
): Promise<Given> {
  const before = await actingOf(session)
  if (scope.classes && before.keys.classKeys.length === 0) {
    throw new EmrError('secret_missing', 'Only a patient has keys of classes.')
  }
  // Consent to records alone gives no key of a class, so what has to move can wait.
  const { acting, moved } = scope.classes
    ? await settleClasses(session, before, { renewed: { grantee, classes: scope.classes } })
    : { acting: before, moved: [] }
  const { keys, id, signer, certificate } = acting
  const parties = {
    ...{ patient: parseChainId(id).bytes, certificate },
    ...(await recipientOf(session, { grantee, roles: asked, request })),
  }
  const { classes = 0, records: _, ...terms } = askedScope(scope, session.now())
  const stamp = stampOf(session)
  if (classes > 0) {
    const secrets = needsSecrets(terms.actions) ? classSecretsOf(keys, classes) : []
    const grant = { ...parties, ...terms, classes, secrets }
    return { ...(await sendParts(session, await grantClassesInParts(stamp, signer, grant), options)), moved }
  }
  const shares = await sharesOf(keys, await consentRecords(session, scope.records))
  return {
    ...(await sendParts(session, [await grantRecords(stamp, signer, { ...parties, ...terms, shares })], options)),
    moved,
  }
}

/** Who gets a grant, in which roles, and what it answers, as bytes. @throws EmrError `identity_unknown`, `malformed_cid` */
export async function recipientOf(
  { client, signal }: Pick<PersonSession, 'client' | 'signal'>,
  { grantee, roles: asked, request }: Pick<NewGrant, 'grantee' | 'request'> & { readonly roles: number | undefined },
) {
  const found = await client.identity(grantee, { signal })
  return {
    grantee: { id: parseChainId(found.id).bytes, seal: hexToBytes(found.seal) },
    roles: asked ?? rolesOf(found.role),
    request: request === undefined ? null : parseChainId(request).bytes,
  }
}

/** Records by their ids. @throws EmrError `transaction_unknown`, `record_unknown` */
export async function consentRecords(
  { client, signal }: Pick<PersonSession, 'client' | 'signal'>,
  ids: readonly string[] = [],
): Promise<ConsentRecord[]> {
  const records: ConsentRecord[] = []
  for (const id of ids) records.push(consentRecord(await client.signedTransaction(id, { signal })))
  return records
}

/** Forbids something, whatever allows it. @throws EmrError `identity_unknown` */
export async function deny(
  session: PersonSession,
  { grantee, roles: asked, ...scope }: NewDeny,
  options: SendOptions = {},
): Promise<SentTransaction> {
  const { client, signal } = session
  const { id, signer, certificate } = await actingOf(session)
  const found = grantee === null ? undefined : await client.identity(grantee, { signal })
  const parties = {
    patient: parseChainId(id).bytes,
    grantee: found ? parseChainId(found.id).bytes : null,
    roles: asked ?? rolesOf(found?.role),
    certificate,
  }
  const { records = [], classes = 0, until = NO_END, ...terms } = askedScope(scope, session.now())
  return send(session, denyAccess(stampOf(session), signer, { ...parties, ...terms, records, classes, until }), options)
}

/** Who only writes gets nothing that opens what is there. */
const needsSecrets = (granted: number): boolean =>
  (granted & (actions.LIST | actions.READ | actions.DOWNLOAD | actions.REGRANT)) !== 0

/** That of a person; of an organisation whoever it certifies. */
function rolesOf(name: string | undefined): number {
  const role = name === undefined ? undefined : roleNamed(name)
  return role === undefined || role === roles.organisation ? EVERY_ROLE : 1 << role
}
