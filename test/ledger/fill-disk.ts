/** Run by chain-file.test.ts under a limit of the file size: appends until it is refused, twice. */
import { join } from 'node:path'
import { isEmrError } from '#emrchain/errors.js'
import { openChainFile } from '#emrchain/ledger/chain-file.js'
import { network, record } from './example-chain.js'

const [, , folder] = process.argv
if (!folder) throw new Error('usage: fill-disk FOLDER')
const file = await openChainFile(join(folder, 'chain.car'), { root: network.cid })
let appended = 0
const codes: string[] = []
while (codes.length < 2) {
  try {
    await file.append([record('x'.repeat(700), 'ann', appended)])
    appended++
  } catch (error) {
    codes.push(isEmrError(error) ? error.code : String(error))
  }
}
process.stdout.write(`${appended} ${file.length} ${codes.join(' ')}\n`)
