/** Run by recovery.test.ts: appends blocks until it is killed; each line names a height that is durable. */
import { writeSync } from 'node:fs'
import { child, type ExampleBlock, genesis, openExample, record, rules } from './example-chain.js'

const [, , folder] = process.argv
if (!folder) throw new Error('usage: endless-writer FOLDER')
const ledger = await openExample(folder)
const { id } = ledger.tip()
let tip: ExampleBlock = genesis
if (ledger.tip().height > 0) {
  const sections = await ledger.readBlockSections(id)
  tip = { sections, facts: rules.describe(sections) }
}
for (;;) {
  const height = tip.facts.height + 1
  const next = child(tip, [record(`r${height}`)])
  const waiting = record(`w${height}`)
  await ledger.appendBlock(next.sections)
  await ledger.moveTip(next.facts.id, { restore: [{ id: waiting.cid, bytes: waiting.bytes }] })
  writeSync(1, `${height}\n`)
  tip = next
}
