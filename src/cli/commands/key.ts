import { resolve } from 'node:path'
import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { printable } from '../text.js'

/** `emrchain key`: hands the key of a file on, and takes one. */
export function registerKey(program: Command): void {
  const group = program.command('key').description('hand on the key of one file, and take one')

  const exporting = group
    .command('export')
    .description('print the key of one file; whoever has it can read that file')
    .argument('<name|cid>', 'name of the record, or CID of the encrypted file')
    .option('-o, --output <file>', 'write it to a file that only you can read')
    .action(exportKeyText)
  addExamples(exporting, [
    ['key export MRI -o MRI.key', 'for somebody else'],
    ['key export MRI | age -r age1... > MRI.key.age', 'sealed on its way'],
  ])

  const importing = group
    .command('import')
    .description('put the key of a file into the wallet')
    .argument('[file]', 'file with the key, or "-" for stdin', '-')
    .action(importKeyText)
  addExamples(importing, [
    ['key import MRI.key', ''],
    ['key import < MRI.key', ''],
  ])
}

async function exportKeyText(nameOrCid: string, { output }: { output?: string }, command: Command): Promise<void> {
  const { wallet: path, ...globals } = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openWalletFile } = await import('../wallet-file.js')
  const { assertFree, writeOutput } = await import('../write-output.js')
  const { exportKey, findFileKey } = await import('../../client/wallet.js')
  if (output !== undefined) await assertFree(output)
  const { wallet } = await openWalletFile(path, interruption())
  const fileKey = findFileKey(wallet, nameOrCid)
  const { cid, name } = fileKey
  const text = exportKey(fileKey)
  if (output === undefined) return print(globals, { document: { name, cid, key: text }, text })
  await writeOutput(output, Buffer.from(`${text}\n`))
  const said = printable(`The key of ${name} is in ${output}. Whoever has it can read ${cid}.`)
  await print(globals, { document: { name, cid, path: resolve(output) }, text: said })
}

async function importKeyText(from: string, _flags: object, command: Command): Promise<void> {
  const { wallet: path, ...globals } = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openWalletFileToChange } = await import('../wallet-file.js')
  const { readKeyText } = await import('../read-key.js')
  const { importKey } = await import('../../client/wallet.js')
  const signal = interruption()
  const shared = importKey(await readKeyText(from, signal))
  const { keep } = await openWalletFileToChange(path, signal)
  await keep({ ...shared, addedAt: new Date().toISOString() })
  const { cid, name, fileName, size } = shared
  const text = `The wallet can now open ${name} (${fileName}): "emrchain get ${cid} -o FILE".`
  await print(globals, { document: { name, fileName, size, cid }, text })
}
