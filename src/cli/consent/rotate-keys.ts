import { bytesToHex, randomBytes } from '@noble/hashes/utils.js'
import { rotateIdentity } from '../../client/consent/identity.js'
import { putConsentKeys } from '../../client/consent/wallet-keys.js'
import { EmrError } from '../../errors.js'
import type { Globals } from '../globals.js'
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
  const { keys, id, signer } = await actingOf(session)
  const { version } = await client.identity(id, { signal })
  const before = await client.signedTransaction(version, { signal })
  if (before.kind !== 'identity') throw new EmrError('node_unexpected', 'It names another transaction as the version.')
  // What a run before this one noted is taken again: both then mean the same keys.
  const noted = { ...keys, nextRoot: keys.nextRoot ?? bytesToHex(randomBytes(32)) }
  await walletFile.change((wallet) => putConsentKeys(wallet, noted))
  const renewed = renewedOf(noted)
  const rotation = { before: { ...before, kind: before.kind, body: before.body }, keys: renewed, signer }
  const sent = await session.send(await rotateIdentity(session.stamp(), rotation), options)
  if (sent.state === 'confirmed' && sent.result.code === 0) {
    await walletFile.change((wallet) => putConsentKeys(wallet, renewed))
  }
  return { ...sent, identity: id }
}
