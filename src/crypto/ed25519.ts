import { ed25519 } from '@noble/curves/ed25519.js'

/**
 * Whether an Ed25519 signature (64 bytes) of `message` is valid under `publicKey` (32 bytes) by the rule of
 * ZIP-215, the one rule on which every node agrees. Never throws: wrong lengths and bad points are a no.
 */
export type Verify = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean

/** Holds a secret key and signs with it; the secret itself cannot be read back. */
export interface Signer {
  /** 32 bytes (RFC 8032). Do not write to it. */
  readonly publicKey: Uint8Array
  /** The signature of RFC 8032, 64 bytes; the same message gives the same bytes. */
  sign(message: Uint8Array): Uint8Array
}

/** A fresh secret seed of 32 bytes from the system's random source. */
export const generateSeed = (): Uint8Array => ed25519.utils.randomSecretKey()

/** Signer for a seed of 32 bytes (RFC 8032, section 5.1.5). The seed is copied. */
export function createSigner(seed: Uint8Array): Signer {
  const secret = Uint8Array.from(seed)
  return {
    publicKey: ed25519.getPublicKey(secret),
    sign: (message) => ed25519.sign(message, secret),
  }
}

/** Portable form of the rule; more than ten times slower than `verifyNative` on an honest signature. */
export const verifyZip215: Verify = (signature, message, publicKey) => {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: true })
  } catch {
    return false
  }
}

/**
 * Whether bytes may stand as somebody's public key: 32 bytes, the canonical encoding (RFC 8032) of a point of
 * the prime-order group. Under a key of small order one signature fits many messages, and on keys with a torsion
 * part implementations differ; honest key generation makes neither.
 */
export function isValidPublicKey(bytes: Uint8Array): boolean {
  try {
    // Strict: no second spelling of a point, as RFC 8032, section 5.1.3 has it.
    const point = ed25519.Point.fromBytes(bytes, false)
    return !point.isSmallOrder() && point.isTorsionFree()
  } catch {
    return false
  }
}
