import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import { createSigner } from '../../crypto/ed25519.js'
import { publicKeyOf } from '../../crypto/hpke.js'
import { EmrError, isEmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import { parseChainId } from '../../protocol/cid.js'
import { moveClassEpoch } from '../consent/class-epoch.js'
import { type ConsentKeys, classSeedOf, currentEpoch, recoveredKeys, signerOf } from '../consent/consent-keys.js'
import type { IdentityTransaction } from '../consent/identity.js'
import { certificateInForce } from '../consent/person.js'
import type { Recovery } from '../consent/recovery-file.js'
import { findConsentKeys, putConsentKeys } from '../consent/wallet-keys.js'
import type { IdentityAnswer } from '../node-answers.js'
import { type GrantNow, grantsOf, stayingOf } from './grants.js'
import {
  assertNoVersionWaits,
  type PersonSession,
  renewedOf,
  type SendOptions,
  type SentTransaction,
  stampOf,
} from './person-session.js'
import { sendParts } from './send-all.js'
import { newestVersionOf, versionsFrom } from './versions.js'

export interface Recovered extends SentTransaction {
  readonly identity: string
  /** Class keys that nothing has any more: what is sealed to them this person cannot open. */
  readonly lost: readonly ClassEpoch[]
}

/**
 * Gives an identity new keys by its recovery key, into this wallet: the old key counts for nothing from then on. Old
 * secrets come from the recovery file, from this wallet if it is of the same identity, and from what both can make again;
 * each is checked against the chain. Grants by class are given anew with the new keys, but for those that have a key which is lost: they stay as they are.
 *
 * A second run after one that broke off means the same keys.
 *
 * @throws EmrError `other_network`, `identity_unknown`; `identity_exists` if the wallet is somebody else on this network;
 * `consent_unfit` if the chain has another recovery key by now, or new keys wait for a block; and those of the node
 */
export async function recoverIdentity(
  session: PersonSession,
  recovery: Recovery,
  options: SendOptions = {},
): Promise<Recovered> {
  const { client, chain, keeper, now, signal } = session
  const { id } = recovery
  if (recovery.network !== chain.toString()) throw new EmrError('other_network')
  const own = findConsentKeys(keeper.wallet, chain)
  if (own && own.id !== id) throw new EmrError('identity_exists', own.id ?? undefined)
  const identity = await client.identity(id, { signal })
  const signer = createSigner(hexToBytes(recovery.recovery))
  if (identity.recovery !== bytesToHex(signer.publicKey)) {
    throw new EmrError('consent_unfit', 'This recovery key is not that of the identity now.')
  }
  await assertNoVersionWaits(session, identity)
  const before = await newestVersionOf(session, id)
  const published = await publishedKeys(session, before)
  const isNoted = own !== undefined && (await isOfRunBefore(session, own, identity))
  const keys = isNoted ? own : recoveredKeys(await foundKeys(published, recovery, own), identity.classKeys)
  await keeper.change((wallet) => putConsentKeys(wallet, keys))

  const grants: GrantNow[] = []
  if (keys.classKeys.length > 0) for await (const grant of grantsOf(session, id)) grants.push(grant)
  const certificate = await certificateInForce(client, id, now(), signal)
  const transactions = await moveClassEpoch(stampOf(session), {
    ...{ keys, signer, before, patient: parseChainId(id).bytes },
    certificate: certificate && parseChainId(certificate.id).bytes,
    stay: await stayingOf(session, grants, keys),
  })
  const { id: version, state, result } = await sendParts(session, transactions, options)
  const lost = published.filter((one) => !keys.classKeys.some((key) => isSamePlace(key, one)))
  const places = lost.map(({ class: recordClass, epoch }) => ({ class: recordClass, epoch }))
  return { id: version, state, result, identity: id, lost: places }
}

interface PublishedKey extends ClassEpoch {
  readonly key: Uint8Array
}

const isSamePlace = (a: ClassEpoch, b: ClassEpoch): boolean => a.class === b.class && a.epoch === b.epoch

/** The class keys of all versions of an identity. */
async function publishedKeys(session: PersonSession, newest: IdentityTransaction): Promise<PublishedKey[]> {
  const found: PublishedKey[] = []
  for await (const { body } of versionsFrom(session, newest)) {
    for (const key of body.classKeys) if (!found.some((one) => isSamePlace(one, key))) found.push(key)
  }
  return found
}

/** All secrets of published class keys and of seals that there are. */
async function foundKeys(
  published: readonly PublishedKey[],
  recovery: Recovery,
  own: ConsentKeys | undefined,
): Promise<ConsentKeys> {
  const sources = [recovery, ...(own ? [own, renewedOf(own)] : [])]
  const classKeys = []
  for (const { class: recordClass, epoch, key } of published) {
    const place = { class: recordClass, epoch }
    const kept = sources.flatMap((one) => one.classKeys.filter((known) => isSamePlace(known, place)))
    const made = sources.map(({ root, network }) => classSeedOf(root, network, place))
    for (const seed of new Set([...kept.map((one) => one.seed), ...made])) {
      if (!equalBytes(await publicKeyOf(hexToBytes(seed)), key)) continue
      classKeys.push({ ...place, seed })
      break
    }
  }
  const seals = [...new Set([...sources].reverse().flatMap((one) => one.seals))]
  return { ...recovery, seals, classKeys }
}

/** Whether a run before this one put the keys into the wallet, and the chain did not hear of them. */
async function isOfRunBefore(
  { client, signal }: PersonSession,
  own: ConsentKeys,
  { classKeys }: IdentityAnswer,
): Promise<boolean> {
  if (!classKeys.every(({ class: one, epoch }) => currentEpoch(own, one) === epoch + 1)) return false
  const known = client.identityOfKey(bytesToHex(signerOf(own).publicKey), { signal })
  return known.then(
    () => false,
    (error: unknown) => {
      if (isEmrError(error, 'identity_unknown')) return true
      throw error
    },
  )
}
