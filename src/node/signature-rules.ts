import { isValidPublicKeyNative, verifyNative, verifyQuickly } from '../crypto/ed25519-node.js'
import type { SignatureClaim } from '../protocol/signatures-of-others.js'
import type { SignatureRules } from '../protocol/transaction.js'

/** How many keys are remembered as good. Judging one costs as much as ten signatures where libsodium does not run. */
const MAX_KEYS = 10_000

/** The signature rules of the protocol, fast on this platform. */
export function createSignatureRules(): SignatureRules {
  const good = new Set<string>()
  return {
    verify: verifyNative,
    isValidKey(publicKey) {
      const name = Buffer.from(publicKey).toString('base64')
      if (good.has(name)) return true
      if (!isValidPublicKeyNative(publicKey)) return false
      if (good.size >= MAX_KEYS) good.clear()
      good.add(name)
      return true
    },
  }
}

/** Whether a claim is good by what is fast alone. A no says nothing yet: a rare signature has to be judged by the rules. */
export const isGoodQuickly = (rules: SignatureRules, { signature, message, key }: SignatureClaim): boolean =>
  rules.isValidKey(key) && verifyQuickly(signature, message, key)
