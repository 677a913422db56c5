import { openWithPassphrase, type SealOptions, sealWithPassphrase } from '../../crypto/passphrase.js'
import { EmrError, isEmrError } from '../../errors.js'
import { type Static, Type, Value } from '../../typebox.js'
import { type ConsentKeys, ConsentKeysSchema } from './consent-keys.js'

const RecoverySchema = Type.Object(
  { version: Type.Literal(1), recovery: ConsentKeysSchema },
  { additionalProperties: false },
)
type RecoveryDocument = Static<typeof RecoverySchema>

/** The keys of an identity as they were when its recovery key was made, and the seed of that key. */
export type Recovery = ConsentKeys & { readonly id: string; readonly recovery: string }

/**
 * What is kept offline for the day that a wallet is lost, as an age passphrase file with JSON inside. Whoever has it and
 * the passphrase can take the identity, and open what the wallet could open at that time.
 *
 * @throws EmrError `passphrase_missing`
 */
export function sealRecovery(recovery: Recovery, passphrase: string, options?: SealOptions): Promise<Uint8Array> {
  const { nextRoot: _, ...keys } = recovery
  const document: RecoveryDocument = { version: 1, recovery: keys }
  return sealWithPassphrase(new TextEncoder().encode(JSON.stringify(document)), passphrase, options)
}

/** Opens what `sealRecovery` made. @throws EmrError `passphrase_wrong`, `recovery_malformed` */
export async function openRecovery(sealed: Uint8Array, passphrase: string): Promise<Recovery> {
  const found = await openWithPassphrase(sealed, passphrase).catch((error: unknown) => {
    if (isEmrError(error, 'wallet_malformed')) throw new EmrError('recovery_malformed')
    throw error
  })
  const { id, recovery, ...keys } = parsed(found)
  if (id === null || recovery === null) throw new EmrError('recovery_malformed', 'It names no identity, or no key.')
  return { ...keys, id, recovery }
}

// The parser's own error quotes what it read, which is secret here.

function parsed(bytes: Uint8Array): ConsentKeys {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new EmrError('recovery_malformed', 'It holds no JSON.')
  }
  if (!Value.Check(RecoverySchema, value)) throw new EmrError('recovery_malformed', 'It holds something else.')
  return value.recovery
}
