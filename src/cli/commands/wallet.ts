import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Wallet } from '../../client/wallet.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { facts } from '../text.js'

/** `emrchain wallet`: makes and shows the wallet. */
export function registerWallet(program: Command): void {
  const group = program.command('wallet').description('make and show the wallet, an age file under a passphrase')

  const init = group
    .command('init')
    .description('make a wallet with a fresh key')
    .action(async (_flags: object, self: Command) => {
      const { wallet: path, ...globals } = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { createWalletFile } = await import('../wallet-file.js')
      const view = await viewOf(path, await createWalletFile(path, interruption()))
      const text = `A new wallet is in ${view.wallet}.\n${textOf(view)}\nKeep a copy of it, and the passphrase: without both, nobody can open your files.`
      await print(globals, { document: view, text })
    })
  addExamples(init, [
    ['wallet init', 'at ~/.emrchain/wallet.age; asks for a passphrase'],
    ['wallet init --wallet ~/clinic.age', 'somewhere else'],
  ])

  const show = group
    .command('show')
    .description('show the public key and what the wallet holds')
    .action(async (_flags: object, self: Command) => {
      const { wallet: path, ...globals } = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openWalletFile } = await import('../wallet-file.js')
      const view = await viewOf(path, (await openWalletFile(path, interruption())).wallet)
      await print(globals, { document: view, text: textOf(view) })
    })
  addExamples(show, [['wallet show', '']])
}

interface WalletView {
  readonly wallet: string
  readonly publicKey: string
  readonly files: number
}

async function viewOf(path: string, { seed, files }: Wallet): Promise<WalletView> {
  const { createNativeSigner } = await import('../../crypto/ed25519-node.js')
  const { publicKey } = createNativeSigner(Buffer.from(seed, 'hex'))
  return { wallet: resolve(path), publicKey: Buffer.from(publicKey).toString('hex'), files: files.length }
}

const textOf = ({ wallet, publicKey, files }: WalletView): string =>
  facts([
    ['wallet', wallet],
    ['public key', publicKey],
    ['file keys', String(files)],
  ])
