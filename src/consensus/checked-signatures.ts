import type { SignatureClaim } from '../protocol/signatures-of-others.js'
import type { SignatureRules } from '../protocol/transaction.js'

/** What a check ahead found. `unknown`: nothing yet. */
export type SignatureVerdict = 'good' | 'bad key' | 'bad signature' | 'unknown'

/**
 * The same rules with answers that were found beforehand, elsewhere. They hold for these arrays and no others,
 * whatever their contents, so the arrays must not be written to. What is unknown is judged by `rules`.
 */
export function rulesWithVerdicts(
  rules: SignatureRules,
  claims: readonly SignatureClaim[],
  verdicts: readonly SignatureVerdict[],
): SignatureRules {
  const signatures = new Map<Uint8Array, boolean>()
  const keys = new Map<Uint8Array, boolean>()
  for (const [at, { signature, key }] of claims.entries()) {
    const verdict = verdicts[at] ?? 'unknown'
    if (verdict === 'unknown') continue
    keys.set(key, verdict !== 'bad key')
    if (verdict !== 'bad key') signatures.set(signature, verdict === 'good')
  }
  return {
    verify: (signature, message, key) => signatures.get(signature) ?? rules.verify(signature, message, key),
    isValidKey: (key) => keys.get(key) ?? rules.isValidKey(key),
  }
}
