import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { isValidPublicKey, type Signer, type Verify, verifyZip215 } from './ed25519.js'
import { loadSodium } from './ed25519-sodium-node.js'

/** What precedes the 32 raw bytes in the DER forms of RFC 8410: SubjectPublicKeyInfo and PKCS #8. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** How many imported public keys a verifier by OpenSSL keeps. */
export const DEFAULT_KEY_CACHE_SIZE = 4096

/**
 * A `Verify` that asks OpenSSL alone. It is for signatures on which no two nodes must agree, such as those
 * of requests: a forged one costs no more than an honest one. `cacheSize` bounds the imported keys kept,
 * least recently used first out.
 */
export function createOpensslVerify(cacheSize: number = DEFAULT_KEY_CACHE_SIZE): Verify {
  const keys = new Map<string, KeyObject>()

  const importKey = (publicKey: Uint8Array): KeyObject => {
    const name = Buffer.from(publicKey).toString('hex')
    const known = keys.get(name)
    if (known) {
      // A Map keeps the order of insertion: set anew, the key moves behind the others.
      keys.delete(name)
      keys.set(name, known)
      return known
    }
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' })
    keys.set(name, key)
    const [oldest] = keys.keys()
    if (keys.size > cacheSize && oldest !== undefined) keys.delete(oldest)
    return key
  }

  return (signature, message, publicKey) => {
    // A DER reader may overlook bytes behind the key, so lengths are settled first.
    if (signature.length !== 64 || publicKey.length !== 32) return false
    try {
      return verify(null, message, importKey(publicKey), signature)
    } catch {
      return false
    }
  }
}

/**
 * A `Verify` that asks a fast library, and the portable ZIP-215 code only where that says no. Such libraries accept
 * a subset of what ZIP-215 accepts, and different ones at that, so the union is the same everywhere while honest
 * signatures stay fast.
 */
export const createNativeVerify =
  (fast: Verify): Verify =>
  (signature, message, publicKey) =>
    fast(signature, message, publicKey) || verifyZip215(signature, message, publicKey)

let quick: Verify | undefined

/**
 * What the fast library of this process says, libsodium, or OpenSSL where that is not to be had. Its yes is a yes of
 * `verifyNative`; a no says nothing yet, and costs no more.
 */
export const verifyQuickly: Verify = (signature, message, publicKey) => {
  quick ??= loadSodium()?.verify ?? createOpensslVerify()
  return quick(signature, message, publicKey)
}

/** The `Verify` of this process. */
export const verifyNative: Verify = createNativeVerify(verifyQuickly)

/** As `isValidPublicKey`, by libsodium where that is to be had. */
export const isValidPublicKeyNative = (bytes: Uint8Array): boolean =>
  (loadSodium()?.isValidPublicKey ?? isValidPublicKey)(bytes)

/** As `createSigner`, and the same signatures, but through OpenSSL with the key imported once. */
export function createNativeSigner(seed: Uint8Array): Signer {
  if (seed.length !== 32) throw new RangeError(`An Ed25519 seed has 32 bytes, not ${seed.length}.`)
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return {
    publicKey: Uint8Array.from(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => Uint8Array.from(sign(null, message, key)),
  }
}
