import { Decrypter, Encrypter, type Identity } from 'age-encryption'
import { EmrError } from '../errors.js'

/** log2 of the cost of scrypt: about 0.7 s and 128 MiB to open; each step more doubles both. */
export const DEFAULT_WORK_FACTOR = 17
/** The most that is read or written: 1 GiB. A file that asks for more could stop whoever opens it. */
export const MAX_WORK_FACTOR = 20

export interface SealOptions {
  readonly workFactor?: number
}

/**
 * An age file (https://age-encryption.org/v1) with `plaintext` under a passphrase; `age --decrypt` opens it. The
 * passphrase is used as it is, byte for byte of its UTF-8, as age does.
 *
 * @throws EmrError `passphrase_missing` if it is empty
 */
export async function sealWithPassphrase(
  plaintext: Uint8Array,
  passphrase: string,
  { workFactor = DEFAULT_WORK_FACTOR }: SealOptions = {},
): Promise<Uint8Array> {
  if (passphrase === '') throw new EmrError('passphrase_missing')
  if (!Number.isInteger(workFactor) || workFactor < 1 || workFactor > MAX_WORK_FACTOR) {
    throw new RangeError(`The work factor is from 1 to ${MAX_WORK_FACTOR}, not ${workFactor}.`)
  }
  const encrypter = new Encrypter()
  encrypter.setPassphrase(passphrase)
  encrypter.setScryptWorkFactor(workFactor)
  return encrypter.encrypt(plaintext)
}

/**
 * Opens what `sealWithPassphrase` or `age --passphrase` made.
 *
 * @throws EmrError `passphrase_wrong`; `wallet_malformed` if it is not an age passphrase file, asks for a higher work
 *   factor than `MAX_WORK_FACTOR`, or was altered
 */
export async function openWithPassphrase(sealed: Uint8Array, passphrase: string): Promise<Uint8Array> {
  const decrypter = new Decrypter()
  decrypter.addIdentity(passphraseFilesOnly)
  decrypter.addPassphrase(passphrase)
  decrypter.addIdentity(lastResort)
  try {
    return await decrypter.decrypt(sealed)
  } catch (cause) {
    if (cause instanceof EmrError) throw cause
    throw new EmrError('wallet_malformed', 'It is not an age passphrase file, or it was altered.', {}, { cause })
  }
}

// age asks its identities in turn. Two that open nothing, one before and one behind the passphrase, tell apart what
// the library tells by text only: the one before sees the header first, the one behind is asked only when the
// passphrase did not fit.

const passphraseFilesOnly: Identity = {
  unwrapFileKey([stanza]) {
    if (stanza?.args[0] !== 'scrypt') throw new EmrError('wallet_malformed', 'It is sealed to a key, not a passphrase.')
    if (Number(stanza.args[2]) > MAX_WORK_FACTOR) {
      throw new EmrError('wallet_malformed', `Its scrypt work factor is over ${MAX_WORK_FACTOR}.`)
    }
    return null
  },
}

const lastResort: Identity = {
  unwrapFileKey() {
    throw new EmrError('passphrase_wrong')
  },
}
