import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import type { RegularFile } from '../regular-file.js'
import { bytesText } from '../text.js'

interface DecryptFlags {
  readonly output: string
  readonly keyFile?: string
  readonly force?: true
}

/** `emrchain decrypt`: decrypts a file on this machine. */
export function registerDecrypt(program: Command): void {
  const command = program
    .command('decrypt')
    .description('decrypt a file here, without a node')
    .argument('<file>', 'encrypted file; it is only read')
    .requiredOption('-o, --output <file>', 'where to write it')
    .option('--key-file <file>', 'file with its key, from encrypt or key export; default: the wallet is searched')
    .option('--force', 'replace a file that is there')
    .action(async (path: string, flags: DecryptFlags, self: Command) => {
      const done = await decrypt(path, flags, self)
      const text = `${done.path} is decrypted and checked (${bytesText(done.size)}).`
      await print(globalsOf(self), { document: done, text })
    })
  addExamples(command, [
    ['decrypt MRI.pdf.aes -o MRI.pdf --key-file MRI.pdf.aes.key', ''],
    ['decrypt emrchain-data/5004/downloads/MRI.pdf.aes -o MRI.pdf', 'by the key in the wallet that fits'],
  ])
}

async function decrypt(source: string, { output, keyFile, force }: DecryptFlags, command: Command) {
  const { interruption } = await import('../interruption.js')
  const { openRegularFile } = await import('../regular-file.js')
  const { assertFree, writeOutput } = await import('../write-output.js')
  const { showProgress } = await import('../progress.js')
  const { untilAborted } = await import('../until-aborted.js')
  const { readFileKey } = await import('../read-key.js')
  const { decryptFile, FILE_CONTEXT } = await import('../../crypto/file-cipher.js')
  const { nodeAead } = await import('../../crypto/aead-node.js')

  const signal = interruption()
  await assertFree(output, { force })
  const file = await openRegularFile(source)
  try {
    const key =
      keyFile === undefined ? await keyFromWallet(globalsOf(command).wallet, file, signal) : await readFileKey(keyFile)
    const progress = await showProgress(source, file.size)
    const watched = untilAborted(file.bytes, { signal, onProgress: progress.onProgress })
    const contents = decryptFile(watched, { key, context: FILE_CONTEXT, aead: nodeAead })
    const size = await writeOutput(output, contents, { force }).finally(progress.stop)
    return { path: output, size }
  } finally {
    await file.close()
  }
}

async function keyFromWallet(path: string, file: RegularFile, signal: AbortSignal): Promise<Uint8Array> {
  const { openWalletFile } = await import('../wallet-file.js')
  const { fittingKey } = await import('../../client/fitting-key.js')
  const { HEADER_SIZE } = await import('../../crypto/file-cipher.js')
  const { wallet } = await openWalletFile(path, signal)
  return Buffer.from(fittingKey(wallet, await file.head(HEADER_SIZE)).key, 'hex')
}
