import {
  Aes256Gcm,
  CipherSuite,
  DecapError,
  DeserializeError,
  DhkemX25519HkdfSha256,
  EncapError,
  HkdfSha256,
  OpenError,
} from '@hpke/core'
import { abytes } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'

// HPKE, RFC 9180: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message for each seal.

/** Bytes of a secret, of a public key, and of the ephemeral key of a seal. */
export const SEAL_KEY_SIZE = 32
/** Bytes by which sealing makes a message longer, besides the ephemeral key. */
export const SEAL_TAG_SIZE = 16

/** A message that one key opens. */
export interface Sealed {
  /** Ephemeral X25519 key, 32 bytes. */
  readonly enc: Uint8Array
  /** Ciphertext and tag. */
  readonly ct: Uint8Array
}

/** What a message is bound to: it opens only where both are the same again. Neither is secret, and neither is sent. */
export interface Binding {
  /** What sort of message it is: a text of its own for each format. */
  readonly info: Uint8Array
  /** What it belongs to. */
  readonly aad: Uint8Array
}

const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })

/**
 * The X25519 public key, 32 bytes, of a secret of 32 random bytes. The secret is never a scalar itself: the key pair is
 * DeriveKeyPair (RFC 9180, section 7.1.3) of it, so all that anybody has to keep is the secret.
 *
 * @throws EmrError `seal_unsupported` where Web Crypto has no X25519
 */
export async function publicKeyOf(secret: Uint8Array): Promise<Uint8Array> {
  const { publicKey } = await keyPairOf(secret)
  return new Uint8Array(await suite.kem.serializePublicKey(publicKey))
}

/**
 * Seals a message to a public key.
 *
 * @param ephemeral 32 random bytes for the ephemeral key; made if left out, and given only to repeat known answers
 * @throws EmrError `seal_bad_key` if nothing can be sealed to this key; `seal_unsupported`
 */
export async function seal(
  publicKey: Uint8Array,
  plaintext: Uint8Array,
  { info, aad }: Binding,
  ephemeral?: Uint8Array,
): Promise<Sealed> {
  // Anything else than 32 bytes came from somebody else, as a key of small order may: both are answered alike.
  if (publicKey.length !== SEAL_KEY_SIZE) throw new EmrError('seal_bad_key')
  // Where there is X25519, any 32 bytes are taken in.
  const recipientPublicKey = await supported(suite.kem.deserializePublicKey(publicKey))
  const ekm = ephemeral && (await keyPairOf(ephemeral))
  try {
    const sealed = await suite.seal({ recipientPublicKey, info, ...(ekm && { ekm }) }, plaintext, aad)
    return { enc: new Uint8Array(sealed.enc), ct: new Uint8Array(sealed.ct) }
  } catch (error) {
    if (error instanceof EncapError) throw new EmrError('seal_bad_key')
    throw error
  }
}

/**
 * Opens what `seal` made, with the secret of the public key and the same binding.
 *
 * @throws EmrError `seal_wrong` if anything of that is another, or the message was altered; `seal_unsupported`
 */
export async function open(secret: Uint8Array, { enc, ct }: Sealed, { info, aad }: Binding): Promise<Uint8Array> {
  const recipientKey = await keyPairOf(secret)
  try {
    return new Uint8Array(await suite.open({ recipientKey, enc, info }, ct, aad))
  } catch (error) {
    // No cause is passed on: what went wrong inside is nobody's business, and the three look alike from outside.
    const isTheirs = error instanceof OpenError || error instanceof DecapError || error instanceof DeserializeError
    if (isTheirs) throw new EmrError('seal_wrong')
    throw error
  }
}

const keyPairOf = (secret: Uint8Array) => supported(suite.kem.deriveKeyPair(abytes(secret, SEAL_KEY_SIZE, 'secret')))

/** What fails only where the platform has no X25519, as browsers from before 2025. */
async function supported<T>(made: Promise<T>): Promise<T> {
  try {
    return await made
  } catch {
    throw new EmrError('seal_unsupported')
  }
}
