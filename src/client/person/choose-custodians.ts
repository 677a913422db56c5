import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { capabilities } from '../../protocol/consent-vocabulary.js'
import { classesAhead } from '../consent/consent-keys.js'
import { rotateIdentity } from '../consent/identity.js'
import { certificateInForce, isCertifiedTo } from '../consent/person.js'
import {
  type Acting,
  type Asking,
  actingOf,
  type PersonSession,
  type SendOptions,
  type SentTransaction,
  send,
  stampOf,
} from './person-session.js'
import { organisationOf } from './requests.js'
import { newestVersionOf } from './versions.js'

/**
 * Names other nodes as the custodians of this patient. Those of before hand the shares over by themselves, and keep them
 * until that is done.
 *
 * @param custodians ids, as text; all there are to be
 * @throws EmrError `identity_missing`, `consent_unfit`, `custodian_not_certified`, `malformed_cid`, and those of the node
 */
export async function chooseCustodians(
  session: PersonSession,
  custodians: readonly string[],
  options: SendOptions = {},
): Promise<SentTransaction> {
  const acting = await actingOf(session)
  assertKeysSettled(acting)
  await assertCertifiedToKeep(session, custodians)
  const { keys, id, signer } = acting
  const before = await newestVersionOf(session, id)
  const ids = custodians.map((one) => parseChainId(one).bytes)
  return send(session, await rotateIdentity(stampOf(session), { before, keys, signer, custodians: ids }), options)
}

/**
 * Where there are administrators a node without a certificate for it takes no share, and so it is not to be chosen.
 *
 * @throws EmrError `custodian_not_certified`
 */
async function assertCertifiedToKeep({ client, now, signal }: Asking, custodians: readonly string[]): Promise<void> {
  const { administrators } = await client.status({ signal })
  if (!administrators) return
  for (const id of custodians) {
    const wanted = { subject: id, capability: capabilities.custody, time: now() }
    if (!(await isCertifiedTo(client, wanted, signal))) throw new EmrError('custodian_not_certified', id)
  }
}

/** A new version would take keys along that a revocation has begun to move. @throws EmrError `consent_unfit` */
export function assertKeysSettled({ keys, identity }: Pick<Acting, 'keys' | 'identity'>): void {
  if (classesAhead(keys, identity.classKeys) !== 0) {
    throw new EmrError('consent_unfit', 'A "revoke" did not get to the chain as a whole; run it again first.')
  }
}

/** What a patient should know of this choice of custodians, in sentences; none where it is a good one. */
export async function adviceOnCustodians(asking: Asking, custodians: readonly string[]): Promise<string[]> {
  if (custodians.length === 0) return ['Without custodians nothing can be put under consent: name two or more.']
  if (custodians.length === 1) return ['If this one custodian is lost, so is every record: name two or more.']
  const houses = new Set<string>()
  for (const id of custodians) {
    const isCertified = (await certificateInForce(asking.client, id, asking.now(), asking.signal)) !== null
    houses.add(isCertified ? await organisationOf(asking, id) : id)
  }
  if (houses.size > 1) return []
  return ['All custodians are of one organisation: it alone could undo a revocation. Name one of another, if there is.']
}
