import { createRequire } from 'node:module'
import type { Verify } from './ed25519.js'

interface Sodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
}

let sodium: Sodium | null | undefined

/**
 * A `Verify` that asks libsodium alone: twice as fast as OpenSSL, and it accepts a subset of what ZIP-215 accepts.
 * Undefined where sodium-native has no binary for this platform. The first call loads it, for 20 ms.
 */
export function loadSodiumVerify(): Verify | undefined {
  if (sodium === undefined) {
    try {
      sodium = createRequire(import.meta.url)('sodium-native') as Sodium
    } catch {
      sodium = null
    }
  }
  const library = sodium
  if (!library) return undefined
  return (signature, message, publicKey) =>
    signature.length === 64 &&
    publicKey.length === 32 &&
    library.crypto_sign_verify_detached(signature, message, publicKey)
}
