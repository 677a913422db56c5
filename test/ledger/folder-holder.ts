/** Run by data-lock.test.ts: opens the folder, says so, and stays until it is killed. */
import { writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { openExample } from './example-chain.js'

const [, , folder] = process.argv
if (!folder) throw new Error('usage: folder-holder FOLDER')
const ledger = await openExample(folder)
writeSync(1, `${ledger.tip().height}\n`)
// The lock itself keeps no process alive; a listening server does.
createServer().listen(0, '127.0.0.1')
