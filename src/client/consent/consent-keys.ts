import { abytes, bytesToHex, hexToBytes, randomBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import type { ClassEpoch } from '../../crypto/bound-bytes.js'
import { createSigner, type Signer } from '../../crypto/ed25519.js'
import { deriveSeed, seedUses as uses } from '../../crypto/seed.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { EVERY_CLASS, recordClasses } from '../../protocol/consent-vocabulary.js'
import { type Static, Type } from '../../typebox.js'

const Hex32 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const ChainId = Type.Refine(Type.String(), (text) => isChainId(text))
const ClassKeySchema = Type.Object(
  {
    class: Type.Refine(Type.Integer({ minimum: 1, maximum: EVERY_CLASS }), (value) => (value & (value - 1)) === 0),
    epoch: Type.Integer({ minimum: 1, maximum: 0xffffffff }),
    seed: Hex32,
  },
  { additionalProperties: false },
)

/** What a wallet holds for the consent contract of one network. docs/protocol.md, "Keys of a person". */
export const ConsentKeysSchema = Type.Object(
  {
    network: ChainId,
    id: Type.Union([ChainId, Type.Null()]),
    root: Hex32,
    seed: Hex32,
    seals: Type.Immutable(Type.Array(Hex32, { minItems: 1 })),
    classKeys: Type.Immutable(
      Type.Refine(Type.Array(ClassKeySchema), (keys) => isOnce(keys.map(({ class: one, epoch }) => `${one} ${epoch}`))),
    ),
    recovery: Type.Union([Hex32, Type.Null()]),
    nextRoot: Type.Optional(Hex32),
  },
  { additionalProperties: false },
)

/**
 * The secrets of one person, organisation or node on one network, as JSON holds them: 64 hexadecimal digits each.
 * `id` is who they are of, null until that is registered; no node has to be believed about it. `root` is what the others are made from, `seed` that of the Ed25519 key which acts, `seals` the secrets of the X25519
 * keys that things are sealed to, newest first, `classKeys` those of each class of records and epoch, and `recovery` the
 * seed of a key that is better kept elsewhere; `nextRoot` is there while the keys are being replaced. None is ever thrown away: what was sealed to an old one stays sealed to it.
 */
export type ConsentKeys = Readonly<Static<typeof ConsentKeysSchema>>

const EVERY_ONE = Object.values(recordClasses)

export interface NewConsentKeys {
  readonly chain: CID
  /** Whether there are class keys: of a patient only. */
  readonly isPatient: boolean
  /** 32 random bytes; made if left out, and given to have the same keys again from what was written down. */
  readonly root?: Uint8Array
  /** Seed of the recovery key, if there is to be one. */
  readonly recovery?: Uint8Array
  /** Latest epoch of each class key, where they are made again; 1 if left out. */
  readonly epochOf?: (recordClass: number) => number
}

/** New keys. The same `root` on the same network gives the same keys. */
export function newConsentKeys({
  chain,
  isPatient,
  root = randomBytes(32),
  recovery,
  epochOf = () => 1,
}: NewConsentKeys): ConsentKeys {
  const derive = deriver(root, chain.bytes)
  const epochs = (recordClass: number) => Array.from({ length: epochOf(recordClass) }, (_, index) => index + 1)
  const classEpochs = EVERY_ONE.flatMap((one) => epochs(one).map((epoch) => ({ class: one, epoch })))
  return {
    network: chain.toString(),
    id: null,
    root: bytesToHex(root),
    seed: derive(uses.identity),
    seals: [derive(uses.seal)],
    classKeys: isPatient ? classEpochs.map((one) => ({ ...one, seed: derive(uses.classKey, one) })) : [],
    recovery: recovery ? bytesToHex(abytes(recovery, 32, 'recovery')) : null,
  }
}

/** The keys of whom this first version of an identity registers. */
export const registeredKeys = (keys: ConsentKeys, identity: CID): ConsentKeys => ({ ...keys, id: identity.toString() })

/** The keys with the next epoch of the key of each class in this mask. */
export function nextClassKeys(keys: ConsentKeys, classes: number): ConsentKeys {
  const derive = deriver(hexToBytes(keys.root), parseChainId(keys.network).bytes)
  const next = classesIn(classes).map((one) => {
    const place = { class: one, epoch: currentEpoch(keys, one) + 1 }
    return { ...place, seed: derive(uses.classKey, place) }
  })
  return { ...keys, classKeys: [...keys.classKeys, ...next] }
}

/**
 * Keys for somebody whose secrets may be known to another: a new root, a new key that acts, a new one that things are
 * sealed to, and the next epoch of every class key. The old secrets stay, to open what they opened.
 */
export function renewedKeys(keys: ConsentKeys, root: Uint8Array = randomBytes(32)): ConsentKeys {
  const derive = deriver(root, parseChainId(keys.network).bytes)
  const fresh = {
    ...keys,
    root: bytesToHex(root),
    seed: derive(uses.identity),
    seals: [derive(uses.seal), ...keys.seals],
  }
  return keys.classKeys.length > 0 ? nextClassKeys(fresh, EVERY_CLASS) : fresh
}

/**
 * The same where the chain, and not the wallet, knows the latest epochs: a wallet that came back may have lost some.
 *
 * @param current the class keys of the identity as the chain has them; none but of a patient
 */
export function recoveredKeys(keys: ConsentKeys, current: readonly ClassEpoch[], root = randomBytes(32)): ConsentKeys {
  const derive = deriver(root, parseChainId(keys.network).bytes)
  const next = current.map(({ class: one, epoch }) => {
    const place = { class: one, epoch: epoch + 1 }
    return { ...place, seed: derive(uses.classKey, place) }
  })
  const { nextRoot: _, ...kept } = keys
  const acting = { root: bytesToHex(root), seed: derive(uses.identity), recovery: null }
  const seals = [derive(uses.seal), ...keys.seals]
  return { ...kept, ...acting, seals, classKeys: [...keys.classKeys, ...next] }
}

/** The seed of a class key as a root, in hexadecimal digits, makes it. */
export const classSeedOf = (root: string, network: string, place: ClassEpoch): string =>
  deriver(hexToBytes(root), parseChainId(network).bytes)(uses.classKey, place)

/** The classes of a mask, one by one. */
export const classesIn = (mask: number): number[] => EVERY_ONE.filter((one) => (one & mask) !== 0)

/** Latest epoch of a class key; 0 where there is none. */
export const currentEpoch = (keys: ConsentKeys, recordClass: number): number =>
  Math.max(0, ...keys.classKeys.filter((key) => key.class === recordClass).map(({ epoch }) => epoch))

/**
 * The classes whose key in the wallet is of a later epoch than on the chain: a move that was begun and did not get there.
 *
 * @param onChain the current class keys of the identity
 */
export const classesAhead = (keys: ConsentKeys, onChain: readonly ClassEpoch[]): number =>
  EVERY_ONE.filter((one) => currentEpoch(keys, one) > (onChain.find((key) => key.class === one)?.epoch ?? 0)).reduce(
    (mask, one) => mask | one,
    0,
  )

/** The secret of a class key. @throws EmrError `secret_missing` */
export function classSecret(keys: ConsentKeys, { class: recordClass, epoch }: ClassEpoch): Uint8Array {
  const found = keys.classKeys.find((key) => key.class === recordClass && key.epoch === epoch)
  if (!found) throw new EmrError('secret_missing', `It is for class ${recordClass}, epoch ${epoch}.`)
  return hexToBytes(found.seed)
}

/** The secrets of the keys that things are sealed to, newest first. */
export const sealSecrets = (keys: ConsentKeys): Uint8Array[] => keys.seals.map(hexToBytes)

/** The key that acts. */
export const signerOf = (keys: ConsentKeys): Signer => createSigner(hexToBytes(keys.seed))

/** The key kept for the day that the other is lost; null where there is none. */
export const recoverySignerOf = ({ recovery }: ConsentKeys): Signer | null =>
  recovery ? createSigner(hexToBytes(recovery)) : null

/** Seeds of a root in hexadecimal digits. */
const deriver =
  (root: Uint8Array, genesis: Uint8Array) =>
  (use: number, place?: ClassEpoch): string =>
    bytesToHex(deriveSeed(root, genesis, use, place))

const isOnce = (names: readonly string[]): boolean => new Set(names).size === names.length

function isChainId(text: string): boolean {
  try {
    return parseChainId(text).toString() === text
  } catch {
    return false
  }
}
