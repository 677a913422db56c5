import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import type { GrantBody } from '../../protocol/bodies/grant.js'
import type { RevocationBody } from '../../protocol/bodies/revocation.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { classesLacking, type StayingGrant } from '../consent/class-epoch.js'
import type { ConsentKeys } from '../consent/consent-keys.js'
import { entryBody } from '../consent/entry-body.js'
import { type GrantTransaction, grantTransaction } from '../consent/grant.js'
import { scopeText } from '../consent/scope-text.js'
import type { Asking } from './person-session.js'

/** A grant or deny as the chain has it now. Ids as text. */
export interface GrantNow {
  readonly id: string
  /** When it was signed, in ms since 1970, and by which key. */
  readonly at: number
  readonly author: string
  readonly grantee: string | null
  readonly deny: boolean
  readonly revoked: boolean
  readonly used: number
  readonly confirmations: number
  readonly body: GrantBody
  readonly text: string
}

/** The grants and denies of a patient, newest first. */
export async function* grantsOf(
  { client, signal }: Pick<Asking, 'client' | 'signal'>,
  patient: string,
): AsyncGenerator<GrantNow, void, undefined> {
  const id = parseChainId(patient).bytes
  for await (const entry of client.history({ about: patient, kind: 'grant' }, { signal })) {
    if (entry.result.code !== 0) continue
    const found = entryBody(entry)
    if (found?.kind !== 'grant' || !equalBytes(found.body.patient, id)) continue
    const { body } = found
    yield {
      id: entry.id,
      at: entry.at,
      author: entry.author,
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

/**
 * Grants as a person gave them: one holds so many keys of classes at most, and those that were given as one have the
 * same terms, author and time; of a delegate they may rest on several grants. In the order of the first of each.
 */
export function consentsOf(grants: readonly GrantNow[]): GrantNow[][] {
  const consents = new Map<string, GrantNow[]>()
  for (const grant of grants) {
    const name = consentName(grant)
    consents.set(name, [...(consents.get(name) ?? []), grant])
  }
  return [...consents.values()]
}

/** The grants that are one consent with the one of this id, itself first; none if it is not among them. */
export function partsOfConsent(grants: readonly GrantNow[], id: string): GrantNow[] {
  const parts = consentsOf(grants).find((consent) => consent.some((one) => one.id === id)) ?? []
  return parts.sort((a, b) => Number(b.id === id) - Number(a.id === id))
}

function consentName({ id, at, author, deny, body }: GrantNow): string {
  if (deny || body.keys.length === 0) return id
  const { classes: _, keys: __, seal: ___, under: ____, ...terms } = body
  return JSON.stringify([at, author, terms], (_name, value) =>
    value instanceof Uint8Array ? bytesToHex(value) : value,
  )
}

/**
 * Which grants and denies of a patient end with a revocation that waits for its block, as things stand: custodians heed it
 * from the moment that they have it.
 */
export async function waitingEnds(
  { client, signal }: Pick<Asking, 'client' | 'signal'>,
  patient: string,
): Promise<(grant: Pick<GrantNow, 'id' | 'grantee' | 'deny'>) => boolean> {
  const ends: RevocationBody[] = []
  for (const entry of await client.pendingAbout(patient, { signal })) {
    const found = entry.result.code === 0 ? entryBody(entry) : undefined
    if (found?.kind === 'revocation') ends.push(found.body)
  }
  const isOf = (id: Uint8Array, text: string | null): boolean => chainCidAt(id, 0).toString() === text
  return ({ id, grantee, deny }) =>
    ends.some((end) => (end.grant ? isOf(end.grant, id) : !deny && (!end.grantee || isOf(end.grantee, grantee))))
}

export type GrantState = 'in force' | 'not yet in force' | 'over' | 'used up' | 'revoked'

/** Whether a grant counts at a time, and why not. */
export function grantState(
  { revoked, body, used }: Pick<GrantNow, 'revoked' | 'body' | 'used'>,
  now: number,
): GrantState {
  if (revoked) return 'revoked'
  if (now < body.from) return 'not yet in force'
  if (now >= body.until) return 'over'
  return body.uses > 0 && used >= body.uses ? 'used up' : 'in force'
}

/**
 * Those of these grants that stay and lack a current key of a class whose keys they have, ready to be sealed again: in
 * force, or not yet. One with a key that this wallet has lost stays as it is: given anew it would open less.
 *
 * @param keys with the keys that are current from now on
 */
export async function stayingOf(
  { client, signal, now }: Asking,
  grants: readonly GrantNow[],
  keys: ConsentKeys,
): Promise<StayingGrant[]> {
  const stay: StayingGrant[] = []
  for (const consent of consentsOf(grants)) {
    const lasting = consent.filter((one) => !one.deny && isLasting(grantState(one, now())))
    const granted = lasting.flatMap(({ body }) => body.keys)
    const [first] = lasting
    if (!first?.grantee || classesLacking(keys, granted) === 0 || !holdsAll(keys, granted)) continue
    const { seal } = await client.identity(first.grantee, { signal })
    const transactions: GrantTransaction[] = []
    for (const { id } of lasting) transactions.push(grantTransaction(await client.signedTransaction(id, { signal })))
    const [grant, ...parts] = transactions
    if (!grant) continue
    stay.push({
      ...{ grant, parts },
      grantee: { id: parseChainId(first.grantee).bytes, seal: hexToBytes(seal) },
      ...(first.body.uses > 0 ? { usesLeft: first.body.uses - first.used } : {}),
    })
  }
  return stay
}

const holdsAll = ({ classKeys }: ConsentKeys, wanted: readonly ClassEpoch[]): boolean =>
  wanted.every((key) => classKeys.some((own) => own.class === key.class && own.epoch === key.epoch))

/** Whether a grant counts, or will. */
export const isLasting = (state: GrantState): boolean => state === 'in force' || state === 'not yet in force'
