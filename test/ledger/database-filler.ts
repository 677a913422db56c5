/** Run by database.test.ts: fills a database, says so, and stays until it is killed. */
import { writeSync } from 'node:fs'
import { createServer } from 'node:net'
import { type DatabaseOptions, openDatabase } from '#emrchain/ledger/database.js'

const [, , options] = process.argv
const database = await openDatabase(JSON.parse(options ?? '') as DatabaseOptions)
await database.write((writes) => {
  for (let at = 0; at < 200; at++) writes.put(Buffer.from(`xn${at}`), Buffer.from(`value of n${at} `.repeat(8)))
})
writeSync(1, 'filled\n')
createServer().listen(0, '127.0.0.1')
