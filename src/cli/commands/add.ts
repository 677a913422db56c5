import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted, printable } from '../text.js'

interface AddFlags {
  readonly name: string
  readonly user?: string
  readonly mine?: true
}

/** `emrchain add`: encrypts a file or a folder, stores it, records it. */
export function registerAdd(program: Command): void {
  const command = program
    .command('add')
    .description('encrypt a file or a folder, store it, and record it on the chain')
    .argument('<file>', 'file to add, or folder, which becomes one record; it is only read')
    .requiredOption('--name <name>', 'name of the record')
    .option('--user <id>', 'whose record it is, where the network shows it; default: the public key of the wallet')
    .option('--mine', 'mine a block at once, so that the record is on the chain')
    .action(async (path: string, flags: AddFlags, self: Command) => {
      const added = await add(path, flags, self)
      await print(globalsOf(self), { document: added, text: textOf(added) })
    })
  addExamples(command, [
    ['add MRI.pdf --name MRI', 'record a file; a miner puts it on the chain'],
    ['add MRI.pdf --name MRI --user xxxxx --mine', 'as in the paper, on the chain when it returns'],
    ['add series --name "MRI, head"', 'a folder as one record: names and bytes of its files'],
  ])
  command.addHelpText('after', FOLDERS)
}

const FOLDERS = `
A folder is stored as one encrypted tar, which "emrchain get" makes a folder of again. It carries the names and bytes of
files and folders, no owners, modes or times. Links, also to files within, are refused (folder_unfit), as is what is
neither a file nor a folder; if anything cannot be read, nothing is recorded.`

async function add(path: string, { name, user, mine }: AddFlags, command: Command) {
  const { wallet: walletPath, ...globals } = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openSource } = await import('../folder/open-source.js')
  const { openWalletFileToChange } = await import('../wallet-file.js')
  const { openClient } = await import('../open-client.js')
  const { showProgress } = await import('../progress.js')
  const { addRecord, ENCRYPTED_SUFFIX } = await import('../../client/add-record.js')
  const { encryptedSize } = await import('../../crypto/file-cipher.js')
  const { nodeAead } = await import('../../crypto/aead-node.js')

  const signal = interruption()
  const file = await openSource(path)
  try {
    const client = openClient({ ...globals, wallet: walletPath })
    const { wallet, keep } = await openWalletFileToChange(walletPath, signal)
    const { fileName } = file
    const progress = await showProgress(fileName, encryptedSize(file.size))
    let kept: string | undefined
    const added = await addRecord(
      { source: file.bytes, fileName, name, userId: user },
      {
        ...{ client, wallet, aead: nodeAead, now: Date.now, onProgress: progress.onProgress, signal },
        async keep(fileKey) {
          await keep(fileKey)
          kept = fileKey.cid
        },
      },
    )
      .finally(progress.stop)
      .catch((error: unknown) => {
        if (kept !== undefined && !globals.json) process.stderr.write(`${halfDone(kept)}\n`)
        throw error
      })

    const transaction = added.transaction.id.toString()
    if (mine) await client.mine({ signal })
    // Asked of the node: somebody else may have mined it a moment before, or a full block have left it out.
    const { block } = await client.transaction(transaction, { signal })
    return {
      name,
      file: fileName,
      size: added.fileKey.size,
      ...(file.files === undefined ? {} : { files: file.files }),
      cid: added.fileKey.cid,
      stored: { Hash: added.fileKey.cid, Name: fileName + ENCRYPTED_SUFFIX, Size: String(added.dagSize) },
      transaction,
      block: block ?? null,
      labelled: added.labelled,
    }
  } finally {
    await file.close()
  }
}

/** What is there when handing in the record of a file failed; an answer that was lost may have been a yes. */
const halfDone = (cid: string): string =>
  `The file is stored, encrypted, as ${cid}, and its key is in the wallet, but its record may not have come through: \
"emrchain list" shows whether it has. Adding the file again stores a second copy.`

type Added = Awaited<ReturnType<typeof add>>

function textOf({ name, file, size, files, cid, block }: Added): string {
  const where = block
    ? `It is on the chain, in block ${block.index}.`
    : 'It waits for a block; "emrchain mine" makes one.'
  const amount = files === undefined ? bytesText(size) : `${counted(files, 'file')}, ${bytesText(size)}`
  const stored = printable(`${file} (${amount}) is stored, encrypted, as ${cid}.`)
  return `${stored}\nIts record is "${printable(name)}". ${where}`
}
