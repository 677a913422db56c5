import { Encrypter } from 'age-encryption'
import { DEFAULT_WORK_FACTOR, type SealOptions } from '../crypto/passphrase.js'
import { EmrError } from '../errors.js'
import type { Wallet } from './wallet.js'

/** Seals one wallet as `sealWallet` does. To be called once: each file has a key of its own. */
export type PreparedSeal = (wallet: Wallet) => Promise<Uint8Array>

/**
 * Does the slow part of sealing, the scrypt of the passphrase, before it is known what will be sealed. So its 128 MiB
 * are not taken beside a large file that is on its way, and what comes after the file takes no time.
 *
 * The wallet that is sealed must have been checked (`openWallet`, `addFileKey`, `checkedWallet`).
 *
 * @throws EmrError `passphrase_missing` if it is empty
 */
export async function prepareSeal(
  passphrase: string,
  { workFactor = DEFAULT_WORK_FACTOR }: SealOptions = {},
): Promise<PreparedSeal> {
  if (passphrase === '') throw new EmrError('passphrase_missing')
  const encrypter = new Encrypter()
  encrypter.setPassphrase(passphrase)
  encrypter.setScryptWorkFactor(workFactor)
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  // The header, with the wrapped key of the file, is made before the stream is read.
  const sealed = await encrypter.encrypt(readable)
  return async (wallet) => {
    const writer = writable.getWriter()
    const written = writer.write(new TextEncoder().encode(JSON.stringify(wallet))).then(() => writer.close())
    const [bytes] = await Promise.all([new Response(sealed).arrayBuffer(), written])
    return new Uint8Array(bytes)
  }
}
