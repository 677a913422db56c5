import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, printable } from '../text.js'

interface GetFlags {
  readonly output: string
  readonly force?: true
}

/** `emrchain get`: fetches a file, decrypts it, writes it. */
export function registerGet(program: Command): void {
  const command = program
    .command('get')
    .description('fetch a file and decrypt it')
    .argument('<name|cid>', 'name of the record, or CID of the encrypted file')
    .requiredOption('-o, --output <file>', 'where to write it; in a folder it gets its own name')
    .option('--force', 'replace a file that is there')
    .action(async (nameOrCid: string, flags: GetFlags, self: Command) => {
      const got = await get(nameOrCid, flags, self)
      const text = printable(`${got.name} is in ${got.path} (${bytesText(got.size)}), decrypted and checked.`)
      await print(globalsOf(self), { document: got, text })
    })
  addExamples(command, [
    ['get MRI -o copy.pdf', 'the newest file of this name'],
    ['get QmTDi...8QKx -o . --node http://127.0.0.1:5003', 'from another node, under its own name'],
  ])
}

async function get(nameOrCid: string, { output, force }: GetFlags, command: Command) {
  const { wallet: walletPath, ...globals } = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openWalletFile } = await import('../wallet-file.js')
  const { openClient } = await import('../open-client.js')
  const { assertFree, writeOutput } = await import('../write-output.js')
  const { showProgress } = await import('../progress.js')
  const { getRecord } = await import('../../client/get-record.js')
  const { encryptedSize } = await import('../../crypto/file-cipher.js')
  const { nodeAead } = await import('../../crypto/aead-node.js')

  const signal = interruption()
  const intoFolder = await isFolder(output)
  if (!intoFolder) await assertFree(output, { force })
  const client = openClient({ ...globals, wallet: walletPath })
  const { wallet } = await openWalletFile(walletPath, signal)

  let onProgress: (bytes: number) => void = () => undefined
  const record = await getRecord(nameOrCid, {
    client,
    wallet,
    aead: nodeAead,
    signal,
    onProgress: (bytes) => onProgress(bytes),
  })
  const { cid, name, fileName, size: expected } = record.fileKey
  const path = intoFolder ? join(output, fileName) : output
  const progress = await showProgress(fileName, encryptedSize(expected))
  onProgress = progress.onProgress
  const size = await writeOutput(path, record.contents, { force }).finally(progress.stop)
  return { name, cid, path, size }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
