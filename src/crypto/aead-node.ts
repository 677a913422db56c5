import { createCipheriv, createDecipheriv } from 'node:crypto'
import { type Aead, TAG_SIZE } from './file-cipher.js'

const ALGORITHM = 'aes-256-gcm'
/** Without it OpenSSL would take shorter tags as well. */
const OPTIONS = { authTagLength: TAG_SIZE }

/** AES-256-GCM of OpenSSL. */
export const nodeAead: Aead = {
  seal(key, nonce, plaintext, target) {
    const cipher = createCipheriv(ALGORITHM, key, nonce, OPTIONS)
    target.set(cipher.update(plaintext))
    cipher.final()
    target.set(cipher.getAuthTag(), plaintext.length)
  },

  open(key, nonce, sealed, target) {
    const textSize = sealed.length - TAG_SIZE
    const decipher = createDecipheriv(ALGORITHM, key, nonce, OPTIONS)
    decipher.setAuthTag(sealed.subarray(textSize))
    const plaintext = decipher.update(sealed.subarray(0, textSize))
    try {
      decipher.final()
    } catch {
      return false
    }
    target.set(plaintext)
    return true
  },
}
