import { gcm } from '@noble/ciphers/aes.js'
import type { Aead } from './file-cipher.js'

/** AES-256-GCM in JavaScript, for where there is no OpenSSL. */
export const nobleAead: Aead = {
  seal(key, nonce, plaintext, target) {
    target.set(gcm(key, nonce).encrypt(plaintext))
  },

  open(key, nonce, sealed, target) {
    const cipher = gcm(key, nonce)
    let plaintext: Uint8Array
    try {
      plaintext = cipher.decrypt(sealed)
    } catch {
      return false
    }
    target.set(plaintext)
    return true
  },
}
