import type { Signer } from '../../crypto/ed25519.js'
import { publicKeyOf } from '../../crypto/hpke.js'
import { compareBytes } from '../../protocol/bodies/fields.js'
import type { IdentityBody } from '../../protocol/bodies/identity.js'
import { equalBytes } from '../../protocol/canonical.js'
import { type Role, roles } from '../../protocol/consent-vocabulary.js'
import { possessionMessage } from '../../protocol/signatures-of-others.js'
import type { SignedTransaction } from '../../protocol/transaction.js'
import { type ConsentKeys, classSecret, currentEpoch, recoverySignerOf, sealSecrets, signerOf } from './consent-keys.js'
import { type Stamp, signed } from './draft.js'
import { unfit } from './unfit.js'

/** A transaction that registers or changes an identity. */
export type IdentityTransaction = SignedTransaction & { readonly kind: 'identity'; readonly body: IdentityBody }

export interface Registration {
  readonly keys: ConsentKeys
  readonly role: Role
  /** Ids of the nodes that keep a patient's shares. */
  readonly custodians?: readonly Uint8Array[]
}

/**
 * The first version of an identity, signed by the key that will act for it. Its id is the id of the person.
 *
 * @throws EmrError `transaction_malformed` if somebody else than a patient names custodians
 */
export async function registerIdentity(stamp: Stamp, registration: Registration): Promise<IdentityTransaction> {
  const { keys, role, custodians = [] } = registration
  const signer = signerOf(keys)
  const body = await bodyOf(stamp, { keys, role, custodians, from: signer.publicKey, kept: [signer.publicKey] })
  return identity(signed(stamp, signer, { kind: 'identity', body: { ...body, previous: null } }))
}

export interface Rotation {
  /** The latest version of the identity. */
  readonly before: IdentityTransaction
  /** The keys from now on: `renewedKeys`, or `nextClassKeys`, of those so far. */
  readonly keys: ConsentKeys
  /** Who signs: the key that has acted so far, or the recovery key. */
  readonly signer: Signer
  /** Those of the version before if left out. */
  readonly custodians?: readonly Uint8Array[]
}

/**
 * The next version of an identity: other keys, custodians, epochs of class keys. New keys prove that they agree. The
 * recovery key stays where `keys` has none: it is kept elsewhere.
 *
 * @throws EmrError `consent_unfit`
 */
export async function rotateIdentity(stamp: Stamp, { before, ...rotation }: Rotation): Promise<IdentityTransaction> {
  const { keys, signer, custodians = before.body.custodians } = rotation
  const { role, key, recovery } = before.body
  const from = signer.publicKey
  const kept = recovery ? [key, recovery] : [key]
  if (!kept.some((one) => equalBytes(one, from))) throw unfit('unknown_author')
  const body = await bodyOf(stamp, { keys, role, custodians, from, kept, recovery })
  if (body.recovery && equalBytes(body.key, body.recovery)) throw unfit('key_taken')
  for (const next of body.classKeys) {
    const last = before.body.classKeys.find((one) => one.class === next.class)
    const isKept = last && last.epoch === next.epoch && equalBytes(last.key, next.key)
    const isNext = next.epoch === (last?.epoch ?? 0) + 1 && !(last && equalBytes(last.key, next.key))
    if (!isKept && !isNext) throw unfit('wrong_epoch')
  }
  return identity(signed(stamp, signer, { kind: 'identity', body: { ...body, previous: before.id.bytes } }))
}

interface Version {
  readonly keys: ConsentKeys
  readonly role: Role
  readonly custodians: readonly Uint8Array[]
  readonly from: Uint8Array
  /** Keys that need no proof. */
  readonly kept: readonly Uint8Array[]
  /** The recovery key where `keys` has no other. */
  readonly recovery?: Uint8Array | null
}

async function bodyOf({ chain }: Stamp, version: Version): Promise<Omit<IdentityBody, 'previous'>> {
  const { keys, role, custodians, from, kept } = version
  const [acting, recovery] = [signerOf(keys), recoverySignerOf(keys)]
  const [newestSeal = new Uint8Array(0)] = sealSecrets(keys)
  const proofOf = (signer: Signer | null): Uint8Array | null =>
    !signer || kept.some((one) => equalBytes(one, signer.publicKey))
      ? null
      : signer.sign(possessionMessage(chain, from, signer.publicKey))
  return {
    role,
    key: acting.publicKey,
    seal: await publicKeyOf(newestSeal),
    recovery: recovery?.publicKey ?? version.recovery ?? null,
    keyProof: proofOf(acting),
    recoveryProof: proofOf(recovery),
    classKeys: role === roles.patient ? await currentClassKeys(keys) : [],
    custodians: [...custodians].sort(compareBytes),
  }
}

/** The public keys of the latest epochs, by class. */
function currentClassKeys(keys: ConsentKeys): Promise<IdentityBody['classKeys']> {
  const classes = [...new Set(keys.classKeys.map((key) => key.class))].sort((a, b) => a - b)
  return Promise.all(
    classes.map(async (one) => {
      const place = { class: one, epoch: currentEpoch(keys, one) }
      return { ...place, key: await publicKeyOf(classSecret(keys, place)) }
    }),
  )
}

function identity(transaction: SignedTransaction): IdentityTransaction {
  if (transaction.kind !== 'identity') throw new TypeError('It is no identity.')
  return { ...transaction, kind: transaction.kind, body: transaction.body }
}
