import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'

interface EncryptFlags {
  readonly output?: string
  readonly keyFile?: string
}

/** `emrchain encrypt`: encrypts a file on this machine, for whoever stores and records it by other means. */
export function registerEncrypt(program: Command): void {
  const command = program
    .command('encrypt')
    .description('encrypt a file here, without a node')
    .argument('<file>', 'file to encrypt; it is only read')
    .option('-o, --output <file>', 'where to write it; default: the name of the file with .aes behind it')
    .option('--key-file <file>', 'where to write the fresh key; default: the name of the output with .key behind it')
    .action(async (path: string, flags: EncryptFlags, self: Command) => {
      const done = await encrypt(path, flags)
      const text = `${done.path} is encrypted (${done.size} bytes).\nIts key is in ${done.keyFile}; without it nobody can open the file.`
      await print(globalsOf(self), { document: done, text })
    })
  addExamples(command, [
    ['encrypt MRI.pdf', 'makes MRI.pdf.aes and MRI.pdf.aes.key'],
    ['encrypt MRI.pdf -o /records/MRI.pdf.aes --key-file MRI.key', ''],
  ])
}

async function encrypt(source: string, flags: EncryptFlags) {
  const { interruption } = await import('../interruption.js')
  const { openRegularFile } = await import('../regular-file.js')
  const { assertFree, writeOutput } = await import('../write-output.js')
  const { showProgress } = await import('../progress.js')
  const { untilAborted } = await import('../until-aborted.js')
  const { encryptFile, FILE_CONTEXT, FILE_KEY_SIZE } = await import('../../crypto/file-cipher.js')
  const { nodeAead } = await import('../../crypto/aead-node.js')

  const signal = interruption()
  const file = await openRegularFile(source)
  try {
    const path = flags.output ?? `${source}.aes`
    const keyFile = flags.keyFile ?? `${path}.key`
    await assertFree(path)
    const key = randomBytes(FILE_KEY_SIZE)
    // The key first: an encrypted file that nobody can open must not come about.
    await writeOutput(keyFile, Buffer.from(`${key.toString('hex')}\n`))
    const progress = await showProgress(source, file.size)
    const watched = untilAborted(file.bytes, { signal, onProgress: progress.onProgress })
    const encrypted = encryptFile(watched, { key, context: FILE_CONTEXT, aead: nodeAead })
    try {
      const size = await writeOutput(path, encrypted).finally(progress.stop)
      return { path, keyFile, size }
    } catch (error) {
      const { rm } = await import('node:fs/promises')
      await rm(keyFile, { force: true })
      throw error
    }
  } finally {
    await file.close()
  }
}
