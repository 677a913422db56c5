import { bytesToHex } from '@noble/hashes/utils.js'
import { moveClassEpoch, type StayingGrant } from '../../client/consent/class-epoch.js'
import { classesAhead, nextClassKeys } from '../../client/consent/consent-keys.js'
import { entryBody } from '../../client/consent/entry-body.js'
import {
  classSecretsOf,
  denyAccess,
  grantClasses,
  grantRecords,
  grantTransaction,
  sharesOf,
} from '../../client/consent/grant.js'
import { consentRecord } from '../../client/consent/record.js'
import { revokeAll, revokeGrant, revokeGrantee } from '../../client/consent/revocation.js'
import { putConsentKeys } from '../../client/consent/wallet-keys.js'
import { EmrError } from '../../errors.js'
import type { GrantBody } from '../../protocol/bodies/grant.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { EVERY_ROLE, roles } from '../../protocol/consent-vocabulary.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import type { Globals } from '../globals.js'
import { scopeOfFlags, scopeText } from './scope-flags.js'
import type { ScopeFlags } from './scope-options.js'
import { type Acting, actingOf, type ConsentSession, openConsentSession, type SentTransaction } from './session.js'
import { bitsOf } from './words.js'

/** A grant or deny as the chain has it now. Ids as text. */
export interface GrantNow {
  readonly id: string
  readonly grantee: string | null
  readonly deny: boolean
  readonly revoked: boolean
  readonly used: number
  readonly confirmations: number
  readonly body: GrantBody
  readonly text: string
}

export interface GrantFlags extends ScopeFlags {
  readonly as?: string[]
  readonly deny?: true
  readonly request?: string
  readonly mine?: true
}

/** Gives consent, or forbids. @throws EmrError `usage`, `contact_unknown`, `identity_unknown`, `secret_missing` */
export async function giveGrant(who: string, flags: GrantFlags, globals: Globals): Promise<SentTransaction> {
  const session = await openConsentSession(globals)
  const { client, contacts, signal } = session
  const scope = scopeOfFlags(flags, Date.now())
  const { keys, id, signer, certificate } = await actingOf(session)
  const patient = parseChainId(id).bytes
  const isEverybody = who === 'everybody'
  if (isEverybody && !flags.deny) throw new EmrError('usage', 'Only a deny can be for everybody.')
  const grantee = isEverybody ? null : await client.identity(contacts.idOf(who), { signal })
  const asked = bitsOf('--as', flags.as ?? [], rolesAsBits)
  const parties = {
    patient,
    certificate,
    request: flags.request === undefined ? null : parseChainId(flags.request).bytes,
    roles: asked > 0 ? asked : rolesOf(grantee?.role),
  }
  if (!grantee || flags.deny) {
    const granteeId = grantee && parseChainId(grantee.id).bytes
    return session.send(denyAccess(session.stamp(), signer, { ...parties, ...scope, grantee: granteeId }), flags)
  }
  const to = { id: parseChainId(grantee.id).bytes, seal: Buffer.from(grantee.seal, 'hex') }
  if (scope.classes > 0) {
    const secrets = classSecretsOf(keys, scope.classes)
    if (secrets.length === 0) throw new EmrError('secret_missing', 'Only a patient has keys of classes.')
    return session.send(
      await grantClasses(session.stamp(), signer, { ...parties, ...scope, grantee: to, secrets }),
      flags,
    )
  }
  const records = []
  for (const record of flags.record ?? [])
    records.push(consentRecord(await client.signedTransaction(record, { signal })))
  const shares = await sharesOf(keys, records)
  return session.send(await grantRecords(session.stamp(), signer, { ...parties, ...scope, grantee: to, shares }), flags)
}

const rolesAsBits: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(roles).map(([name, role]) => [name, 1 << role]),
)

/** That of a person; of an organisation whoever it certifies. */
const rolesOf = (role: string | undefined): number =>
  role === undefined || role === 'organisation' ? EVERY_ROLE : (rolesAsBits[role] ?? EVERY_ROLE)

/** The grants and denies of a patient, newest first. */
export async function* grantsOf(
  session: Pick<ConsentSession, 'client' | 'signal'>,
  patient: string,
): AsyncGenerator<GrantNow> {
  const id = parseChainId(patient).bytes
  for await (const entry of session.client.history({ about: patient }, { signal: session.signal })) {
    if (entry.kind !== 'grant' || entry.result.code !== 0) continue
    const found = entryBody(entry)
    if (found?.kind !== 'grant' || Buffer.compare(found.body.patient, id) !== 0) continue
    const { body } = found
    yield {
      id: entry.id,
      grantee: body.grantee && chainCidAt(body.grantee, 0).toString(),
      deny: body.deny === 1,
      revoked: entry.standing?.revoked === true,
      used: entry.standing?.used ?? 0,
      confirmations: entry.confirmations,
      body,
      text: scopeText(body),
    }
  }
}

/** Whether a grant counts at a time, and why not. */
export function grantState({ revoked, body, used }: GrantNow, now: number): string {
  if (revoked) return 'revoked'
  if (now < body.from) return 'not yet in force'
  if (now >= body.until) return 'over'
  return body.uses > 0 && used >= body.uses ? 'used up' : 'in force'
}

export interface RevokeFlags {
  readonly to?: string
  readonly all?: true
  readonly mine?: true
}

export interface Revoked extends SentTransaction {
  /** Transactions that moved the keys of classes on, so that nothing new opens with the old ones. */
  readonly moved: readonly SentTransaction[]
}

/** Ends consent, and moves the class keys on that it gave. @throws EmrError `usage`, `contact_unknown`, `transaction_unknown` */
export async function revoke(grant: string | undefined, flags: RevokeFlags, globals: Globals): Promise<Revoked> {
  if ([grant, flags.to, flags.all].filter((one) => one !== undefined).length !== 1) {
    throw new EmrError('usage', 'Give the id of a grant, or --to, or --all.')
  }
  const session = await openConsentSession(globals)
  const acting = await actingOf(session)
  const patient = parseChainId(acting.id).bytes
  const before: GrantNow[] = []
  for await (const one of grantsOf(session, acting.id)) before.push(one)
  const grantee = flags.to === undefined ? undefined : session.contacts.idOf(flags.to)
  const isMeant = (one: GrantNow): boolean =>
    grant === undefined ? !one.deny && (grantee === undefined || one.grantee === grantee) : one.id === grant
  const { signer } = acting
  const stamp = session.stamp()
  const end =
    grant !== undefined
      ? revokeGrant(stamp, signer, patient, parseChainId(grant).bytes)
      : grantee !== undefined
        ? revokeGrantee(stamp, signer, patient, parseChainId(grantee).bytes)
        : revokeAll(stamp, signer, patient)
  const ended = before.filter((one) => isMeant(one) && grantState(one, Date.now()) === 'in force')
  // Also what a run before this one has begun to move: its keys are in the wallet, and the chain does not know them.
  const ahead = classesAhead(
    acting.keys,
    (await session.client.identity(acting.id, { signal: session.signal })).classKeys,
  )
  if (ahead !== 0) await assertNothingWaits(session, acting)
  const moved = ended.reduce((classes, one) => classes | (one.deny ? 0 : one.body.classes), ahead)
  const sent = await session.send(end, { mine: moved === 0 ? flags.mine : undefined })
  if (moved === 0) return { ...sent, moved: [] }
  const stay = before.filter((one) => !isMeant(one))
  const transactions = await moveOn(session, acting, { moved, ahead, others: stay })
  const steps: SentTransaction[] = []
  for (const [at, transaction] of transactions.entries()) {
    const isLast = at === transactions.length - 1
    steps.push(await session.send(transaction, { mine: isLast ? flags.mine : undefined }))
  }
  const { state, result } = await session.client.transaction(sent.id, { signal: session.signal })
  return { id: sent.id, state, result, moved: steps }
}

/** Two moves of the same keys would give each grant that stays twice. @throws EmrError `consent_unfit` */
async function assertNothingWaits({ client, signal }: ConsentSession, { signer }: Acting): Promise<void> {
  const own = bytesToHex(signer.publicKey)
  for (const id of await client.pendingTransactions({ signal })) {
    const { kind, transaction } = await client.transaction(id, { signal })
    if (kind === 'identity' && transaction.signer === own) {
      throw new EmrError('consent_unfit', 'New keys of yours wait for a block; try again when it is there.')
    }
  }
}

/** New keys for these classes, in the wallet before anything is sent. */
async function moveOn(
  session: ConsentSession,
  acting: Acting,
  { moved, ahead, others }: { moved: number; ahead: number; others: readonly GrantNow[] },
): Promise<readonly SignedTransaction[]> {
  const { client, signal, walletFile } = session
  const { version } = await client.identity(acting.id, { signal })
  const before = await client.signedTransaction(version, { signal })
  if (before.kind !== 'identity') throw new EmrError('node_unexpected', 'It names another transaction as the version.')
  const keys = nextClassKeys(acting.keys, moved & ~ahead)
  await walletFile.change((wallet) => putConsentKeys(wallet, keys))
  return moveClassEpoch(session.stamp(), {
    ...{ keys, signer: acting.signer, certificate: acting.certificate },
    before: { ...before, kind: before.kind, body: before.body },
    patient: parseChainId(acting.id).bytes,
    stay: await stayingOf(session, others, moved),
  })
}

/** Those of these grants that are in force and have keys of these classes, ready to be sealed again. */
export async function stayingOf(
  { client, signal }: Pick<ConsentSession, 'client' | 'signal'>,
  grants: readonly GrantNow[],
  classes: number,
): Promise<StayingGrant[]> {
  const stay: StayingGrant[] = []
  for (const one of grants) {
    const isOf = !one.deny && (one.body.classes & classes) !== 0 && grantState(one, Date.now()) === 'in force'
    if (!isOf || !one.grantee) continue
    const { seal } = await client.identity(one.grantee, { signal })
    stay.push({
      grant: grantTransaction(await client.signedTransaction(one.id, { signal })),
      grantee: { id: parseChainId(one.grantee).bytes, seal: Buffer.from(seal, 'hex') },
      ...(one.body.uses > 0 ? { usesLeft: one.body.uses - one.used } : {}),
    })
  }
  return stay
}
