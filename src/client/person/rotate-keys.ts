import { bytesToHex, randomBytes } from '@noble/hashes/utils.js'
import { generateSeed } from '../../crypto/ed25519.js'
import { parseChainId } from '../../protocol/cid.js'
import { moveClassEpoch } from '../consent/class-epoch.js'
import { assertKeysSettled } from './choose-custodians.js'
import { type GrantNow, grantsOf, stayingOf } from './grants.js'
import {
  actingOf,
  type PersonSession,
  renewedOf,
  replaceKeys,
  type SendOptions,
  type SentTransaction,
  stampOf,
} from './person-session.js'
import type { KeepRecovery } from './register-identity.js'
import { sendParts } from './send-all.js'
import { newestVersionOf } from './versions.js'

export interface Rotated extends SentTransaction {
  readonly identity: string
}

export interface RotationOptions extends SendOptions {
  /** Has a new recovery key made in the place of any other, and keeps it before anything is sent. */
  readonly keepRecovery?: KeepRecovery | undefined
}

/**
 * Replaces the keys of this person by fresh ones. The wallet notes what they are made from before the chain hears of
 * them; they take the place of the old ones when the chain has them, now or the next time that the wallet is used.
 *
 * @throws EmrError `identity_missing`, `consent_unfit`, and those of the node
 */
export async function rotateKeys(session: PersonSession, options: RotationOptions = {}): Promise<Rotated> {
  const { keeper } = session
  const acting = await actingOf(session)
  assertKeysSettled(acting)
  const { keys, id, signer, certificate } = acting
  const before = await newestVersionOf(session, id)
  // What a run before this one noted is taken again: both then mean the same keys.
  const noted = { ...keys, nextRoot: keys.nextRoot ?? bytesToHex(randomBytes(32)) }
  await replaceKeys(keeper, keys, noted)
  const renewed = renewedOf(noted)
  const recovery = options.keepRecovery ? bytesToHex(generateSeed()) : null
  if (recovery) await options.keepRecovery?.({ ...renewed, id, recovery })
  const grants: GrantNow[] = []
  if (keys.classKeys.length > 0) for await (const grant of grantsOf(session, id)) grants.push(grant)
  const transactions = await moveClassEpoch(stampOf(session), {
    ...{
      keys: { ...renewed, recovery: recovery ?? renewed.recovery },
      signer,
      certificate,
      patient: parseChainId(id).bytes,
    },
    before,
    stay: await stayingOf(session, grants, renewed),
  })
  const sent = await sendParts(session, transactions, options)
  if (sent.state === 'confirmed' && sent.result.code === 0) {
    await replaceKeys(keeper, noted, renewed)
  }
  const { state, result } = sent
  return { id: sent.id, state, result, identity: id }
}
