import { createRequire } from 'node:module'
import type { Verify } from './ed25519.js'

interface Library {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  crypto_core_ed25519_is_valid_point(point: Uint8Array): boolean
}

/** What libsodium says of signatures and keys. */
export interface Sodium {
  /** Twice as fast as OpenSSL. Accepts a subset of what ZIP-215 accepts. */
  readonly verify: Verify
  /** The same answers as `isValidPublicKey` of ed25519.ts, 25 times as fast. */
  isValidPublicKey(bytes: Uint8Array): boolean
}

let loaded: { readonly sodium: Sodium | undefined } | undefined

/** libsodium, or undefined where sodium-native has no binary for this platform. The first call takes 20 ms. */
export function loadSodium(): Sodium | undefined {
  loaded ??= { sodium: load() }
  return loaded.sodium
}

function load(): Sodium | undefined {
  let library: Library
  try {
    library = createRequire(import.meta.url)('sodium-native') as Library
  } catch {
    return undefined
  }
  // Other lengths would be an exception.
  return {
    verify: (signature, message, publicKey) =>
      signature.length === 64 &&
      publicKey.length === 32 &&
      library.crypto_sign_verify_detached(signature, message, publicKey),
    isValidPublicKey: (bytes) => bytes.length === 32 && library.crypto_core_ed25519_is_valid_point(bytes),
  }
}
