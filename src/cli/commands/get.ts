import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { ByteRange } from '../../client/byte-range.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted, printable } from '../text.js'

interface GetFlags {
  readonly output: string
  readonly force?: true
  readonly range?: ByteRange
  readonly tar?: true
}

/** `emrchain get`: fetches a file, decrypts it, writes it. */
export function registerGet(program: Command): void {
  const command = program
    .command('get')
    .description('fetch a file, or a folder, and decrypt it; what was interrupted goes on where it stopped')
    .argument('<name|cid>', 'name of the record, or CID of the encrypted file')
    .requiredOption('-o, --output <file>', 'where to write it; in a folder it gets its own name')
    .option('--force', 'replace a file that is there')
    .option('--range <start-end>', 'only these bytes of it, the first being 0, both ends included', rangeOf)
    .option('--tar', 'a folder as the tar that it is recorded as')
    .action(async (nameOrCid: string, flags: GetFlags, self: Command) => {
      const got = await get(nameOrCid, flags, self)
      await print(globalsOf(self), { document: got, text: printable(textOf(got)) })
    })
  addExamples(command, [
    ['get MRI -o copy.pdf', 'the newest file of this name'],
    ['get QmTDi...8QKx -o . --node http://127.0.0.1:5003', 'from another node, under its own name'],
    ['get MRI -o header.bin --range 0-1023', 'the first KiB; no more is fetched than it takes'],
  ])
}

async function get(nameOrCid: string, flags: GetFlags, command: Command) {
  const { output, force, range } = flags
  const { wallet: walletPath, ...globals } = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openWalletFile } = await import('../wallet-file.js')
  const { openClient } = await import('../open-client.js')
  const { assertFree, writeOutput } = await import('../write-output.js')
  const { findRecord } = await import('../../client/get-record.js')

  const signal = interruption()
  const intoFolder = await isFolder(output)
  if (!intoFolder) await assertFree(output, { force })
  const client = openClient({ ...globals, wallet: walletPath })
  const { wallet } = await openWalletFile(walletPath, signal)
  const fileKey = await findRecord(nameOrCid, { client, wallet, signal })
  const { cid, name, fileName } = fileKey
  const path = intoFolder ? join(output, fileName) : output
  const say = (sentence: string): void => {
    if (!globals.json) process.stderr.write(`${printable(sentence)}\n`)
  }

  if (range) {
    const { getRange } = await import('../../client/get-range.js')
    const { nodeAead } = await import('../../crypto/aead-node.js')
    const { retryText } = await import('../fetch-file.js')
    const onRetry = (retry: Parameters<typeof retryText>[0]) => say(retryText(retry))
    const size = await writeOutput(path, getRange(fileKey, range, { client, aead: nodeAead, onRetry, signal }), {
      force,
    })
    return { name, cid, path, size, range: { start: range.start, end: range.start + size - 1 } }
  }
  const { fetchFile } = await import('../fetch-file.js')
  const { writeRecord } = await import('../write-record.js')
  const written = await fetchFile(fileKey, path, { client, signal, say }, (contents) =>
    writeRecord(contents, { output, intoFolder, fileName, force, asTar: flags.tar }),
  )
  return { name, cid, ...written }
}

type Got = Awaited<ReturnType<typeof get>>

function textOf(got: Got): string {
  const { name, path, size } = got
  if ('range' in got)
    return `Bytes ${got.range.start} to ${got.range.end} of ${name} are in ${path}, decrypted and checked.`
  const what = got.files === undefined ? bytesText(size) : `${counted(got.files, 'file')}, ${bytesText(size)}`
  return `${name} is in ${path} (${what}), decrypted and checked.`
}

function rangeOf(text: string): ByteRange {
  const [, first, last] = /^(\d{1,15})-(\d{0,15})$/.exec(text) ?? []
  const start = Number(first)
  const end = last === '' ? undefined : Number(last) + 1
  if (first === undefined || (end !== undefined && end <= start)) {
    throw new InvalidArgumentError('It is two numbers of bytes, as in 0-1023, or one, as in 1024-.')
  }
  return end === undefined ? { start } : { start, end }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
