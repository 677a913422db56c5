import { bytesToHex, randomBytes } from '@noble/hashes/utils.js'
import { moveClassEpoch } from '../../client/consent/class-epoch.js'
import { classesAhead } from '../../client/consent/consent-keys.js'
import { putConsentKeys } from '../../client/consent/wallet-keys.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { EVERY_CLASS } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { type GrantNow, grantsOf, stayingOf } from './grants.js'
import { actingOf, openConsentSession, renewedOf, type SentTransaction } from './session.js'

export interface Rotated extends SentTransaction {
  readonly identity: string
}

/**
 * Replaces the keys of this person by fresh ones. The wallet notes what they are made from before the chain hears of
 * them; they take the place of the old ones when the chain has them, now or the next time that the wallet is used.
 *
 * @throws EmrError `identity_missing`, `consent_unfit`, and those of the node
 */
export async function rotateKeys(globals: Globals, options: { mine?: boolean | undefined }): Promise<Rotated> {
  const session = await openConsentSession(globals)
  const { client, signal, walletFile } = session
  const { keys, id, signer, certificate } = await actingOf(session)
  const { version, classKeys } = await client.identity(id, { signal })
  if (classesAhead(keys, classKeys) !== 0) {
    throw new EmrError('consent_unfit', 'A "revoke" did not get to the chain as a whole; run it again first.')
  }
  const before = await client.signedTransaction(version, { signal })
  if (before.kind !== 'identity') throw new EmrError('node_unexpected', 'It names another transaction as the version.')
  // What a run before this one noted is taken again: both then mean the same keys.
  const noted = { ...keys, nextRoot: keys.nextRoot ?? bytesToHex(randomBytes(32)) }
  await walletFile.change((wallet) => putConsentKeys(wallet, noted))
  const renewed = renewedOf(noted)
  const grants: GrantNow[] = []
  if (keys.classKeys.length > 0) for await (const grant of grantsOf(session, id)) grants.push(grant)
  const transactions = await moveClassEpoch(session.stamp(), {
    ...{ keys: renewed, signer, certificate, patient: parseChainId(id).bytes },
    before: { ...before, kind: before.kind, body: before.body },
    stay: await stayingOf(session, grants, EVERY_CLASS),
  })
  const [identity, ...again] = transactions
  if (!identity) throw new EmrError('internal', 'A rotation without an identity.')
  const last = again.pop()
  const first = await session.send(identity, { mine: last ? undefined : options.mine })
  for (const transaction of again) await session.send(transaction, {})
  if (last) await session.send(last, options)
  const { state, result } = await client.transaction(first.id, { signal })
  const sent: SentTransaction = { id: first.id, state, result }
  if (sent.state === 'confirmed' && sent.result.code === 0) {
    await walletFile.change((wallet) => putConsentKeys(wallet, renewed))
  }
  return { ...sent, identity: id }
}
