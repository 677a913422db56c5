import { readFile, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { WalletKeeper } from '../client/person/person-session.js'
import { type PreparedSeal, prepareSeal } from '../client/prepare-seal.js'
import {
  addFileKey,
  checkedWallet,
  type FileKey,
  newWallet,
  openWallet,
  sealWallet,
  type Wallet,
} from '../client/wallet.js'
import { EmrError, isEmrError } from '../errors.js'
import { askPassphrase } from './ask-passphrase.js'
import { collectGarbage } from './collect-garbage.js'
import { withLock } from './lock-file.js'
import { assertFree, makePrivateFolder, writeOutput } from './write-output.js'

/**
 * The wallet of this person, opened; it can be changed on disk without being asked for the passphrase again. `change` is
 * called with the wallet as it is in the file by then, with what other processes put there meanwhile.
 */
export interface WalletFile extends WalletKeeper {
  /** Puts a key into the file, beside whatever other processes put there meanwhile. */
  keep(fileKey: FileKey): Promise<void>
}

/**
 * Makes a wallet with a fresh identity.
 *
 * @throws EmrError `wallet_exists`, `passphrase_missing`, `disk_full`, `disk_failed`
 */
export async function createWalletFile(path: string, signal: AbortSignal): Promise<Wallet> {
  await notThere(assertFree(path), path)
  const passphrase = await askPassphrase(path, { isNew: true, signal })
  const wallet = newWallet()
  const sealed = await sealWallet(wallet, passphrase)
  await makePrivateFolder(dirname(path))
  await notThere(writeOutput(path, sealed), path)
  return wallet
}

/** @throws EmrError `wallet_missing`, `wallet_malformed`, `passphrase_missing`, `passphrase_wrong` */
export async function openWalletFile(path: string, signal: AbortSignal): Promise<{ wallet: Wallet }> {
  const { wallet } = await open(path, signal)
  return { wallet }
}

/**
 * Opens a wallet that a key will be put into.
 *
 * @param options where it is not `isCertain` that it will be changed, nothing is prepared for it, which saves a second
 * @throws EmrError `wallet_missing`, `wallet_malformed`, `passphrase_missing`, `passphrase_wrong`
 */
export async function openWalletFileToChange(
  path: string,
  signal: AbortSignal,
  { isCertain = true }: { isCertain?: boolean } = {},
): Promise<WalletFile> {
  const { passphrase, sealed, wallet } = await open(path, signal)
  let known = { sealed, wallet }
  let prepared: PreparedSeal | undefined = isCertain ? await prepareSeal(passphrase) : undefined
  collectGarbage()

  async function change(alter: (wallet: Wallet) => Wallet): Promise<void> {
    // A link stays a link, and what it leads to is changed.
    const place = await realpath(path)
    await withLock(place, signal, async () => {
      const now = await readSealed(place)
      // Opening takes about a second, and is needed only where somebody else changed the file.
      const current = now.equals(known.sealed) ? known.wallet : await openWallet(now, passphrase)
      const changed = checkedWallet(alter(current))
      const seal = prepared ?? (await prepareSeal(passphrase))
      prepared = undefined
      const resealed = Buffer.from(await seal(changed))
      await writeOutput(place, resealed, { force: true })
      known = { sealed: resealed, wallet: changed }
    })
  }

  return {
    get wallet() {
      return known.wallet
    },
    keep: (fileKey) => change((wallet) => addFileKey(wallet, fileKey)),
    change,
  }
}

/** What was opened last: who reads may be asked for after the wallet was opened for something else. */
let last: { path: string; sealed: Buffer; wallet: Wallet; passphrase: string } | undefined

async function open(path: string, signal: AbortSignal) {
  const sealed = await readSealed(path)
  if (last?.path === path && last.sealed.equals(sealed)) return last
  const passphrase = await askPassphrase(path, { signal })
  const wallet = await openWallet(sealed, passphrase)
  collectGarbage()
  last = { path, sealed, wallet, passphrase }
  return last
}

async function readSealed(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    const missing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    if (missing) throw new EmrError('wallet_missing', path, {}, { cause })
    throw new EmrError('disk_failed', `${path} cannot be read.`, {}, { cause })
  }
}

async function notThere(work: Promise<unknown>, path: string): Promise<void> {
  try {
    await work
  } catch (error) {
    if (isEmrError(error, 'output_exists')) throw new EmrError('wallet_exists', path)
    throw error
  }
}
