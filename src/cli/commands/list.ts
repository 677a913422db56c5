import type { Command } from 'commander'
import type { ListedRecord } from '../../client/list-records.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, table } from '../text.js'

/** `emrchain list`: the files of the wallet and where their records stand. */
export function registerList(program: Command): void {
  const command = program
    .command('list')
    .description('list the records of the wallet and where they stand')
    .action(async (_flags: object, self: Command) => {
      const { wallet: path, ...globals } = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openWalletFile } = await import('../wallet-file.js')
      const { openClient } = await import('../open-client.js')
      const { listRecords } = await import('../../client/list-records.js')
      const signal = interruption()
      const client = openClient(globals)
      const { wallet } = await openWalletFile(path, signal)
      const records = await listRecords(wallet, { client, signal })
      await print(globals, { document: { records: records.map(documentOf) }, text: textOf(records) })
    })
  addExamples(command, [
    ['list', ''],
    ['list --json', 'for programs'],
  ])
}

const documentOf = ({ fileKey: { key: _, network: __, ...file }, record }: ListedRecord) => ({ ...file, ...record })

function textOf(records: readonly ListedRecord[]): string {
  if (records.length === 0) return 'The wallet has no record on this network yet.'
  return table(
    ['NAME', 'FILE', 'SIZE', 'ADDED', 'RECORD', 'CID'],
    records.map(({ fileKey, record }) => [
      fileKey.name,
      fileKey.fileName,
      bytesText(fileKey.size),
      fileKey.addedAt.slice(0, 16).replace('T', ' '),
      stateText(record),
      fileKey.cid,
    ]),
  )
}

function stateText(record: ListedRecord['record']): string {
  if (record.state === 'pending') return 'waits for a block'
  if (record.state === 'unrecorded') return 'not on the chain'
  return `block ${record.block.index}, ${record.confirmations} deep`
}
