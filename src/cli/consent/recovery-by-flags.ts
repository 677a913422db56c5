import { openRecovery, type Recovery, sealRecovery } from '../../client/consent/recovery-file.js'
import type { CallOptions } from '../../client/node-client.js'
import { type Recovered, recoverIdentity } from '../../client/person/recover-identity.js'
import type { KeepRecovery } from '../../client/person/register-identity.js'
import { createSigner, type Signer } from '../../crypto/ed25519.js'
import { recordClasses } from '../../protocol/consent-vocabulary.js'
import { askPassphrase } from '../ask-passphrase.js'
import type { Globals } from '../globals.js'
import { interruption } from '../interruption.js'
import { openRegularFile } from '../regular-file.js'
import { assertFree, writeOutput } from '../write-output.js'
import { openConsentSession } from './session.js'

/** What a person should do with the file. */
export const RECOVERY_ADVICE =
  'Keep it offline, apart from the wallet, and remember its passphrase: with both anybody can be you, and read what you can.'

/**
 * Writes recovery keys to a file of this name, which only its owner can read, under a passphrase of its own.
 *
 * @throws EmrError `output_exists`; and when it keeps one `passphrase_missing`, `disk_full`, `disk_failed`
 */
export async function recoveryKeeper(path: string): Promise<KeepRecovery> {
  await assertFree(path)
  return async (recovery) => {
    const passphrase = await askPassphrase(path, { isNew: true, signal: interruption() })
    await writeOutput(path, await sealRecovery(recovery, passphrase))
  }
}

/** More than a recovery file can have: 11 classes in 8,000 epochs. */
const MAX_BYTES = 16 * 1024 * 1024

/** @throws EmrError `input_unreadable`, `passphrase_missing`, `passphrase_wrong`, `recovery_malformed` */
async function readRecovery(path: string): Promise<Recovery> {
  const file = await openRegularFile(path)
  try {
    const sealed = Uint8Array.from(await file.head(Math.min(file.size, MAX_BYTES)))
    return await openRecovery(sealed, await askPassphrase(path, { signal: interruption() }))
  } finally {
    await file.close()
  }
}

/** Takes an identity back into the wallet. @throws EmrError those of the file and of `recoverIdentity` */
export async function recoverByFlags(
  { recovery: path, mine }: { readonly recovery: string; readonly mine?: true },
  globals: Globals,
): Promise<{ readonly done: Recovered; readonly lines: string[] }> {
  const recovery = await readRecovery(path)
  // A network with administrators answers the old key until a block has the new one.
  let isNew = false
  let old: Signer | undefined
  const session = await openConsentSession(globals, (wallet) => {
    old ??= wallet ?? createSigner(Buffer.from(recovery.seed, 'hex'))
    return isNew ? wallet : old
  })
  const { client } = session
  const mining = async (options?: CallOptions) => {
    const block = await client.mine(options)
    isNew = true
    return block
  }
  const done = await recoverIdentity({ ...session, client: { ...client, mine: mining } }, recovery, { mine })
  const when = done.state === 'confirmed' ? 'They count from now on' : 'They count when a block holds them'
  const words = Object.entries(recordClasses)
  const lost = done.lost.map(({ class: one, epoch }) => `${words.find(([, bit]) => bit === one)?.[0]} ${epoch}`)
  const lines = [
    `The new keys of ${done.identity} are in the wallet. ${when}, and the old key for nothing more.`,
    ...(lost.length === 0
      ? []
      : [
          `Nothing has these keys of classes any more: ${lost.join(', ')}. You cannot read what is sealed to them; a wallet that`,
          'you find again has them (run this once more with it), and who has a grant still reads it.',
        ]),
    'The recovery key is the same; for what is written from now on make a new file: emrchain identity rotate --recovery FILE',
  ]
  return { done, lines }
}
