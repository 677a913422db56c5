import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { counted } from '../text.js'

interface Flags {
  data?: string
  network?: string
  newKey?: boolean
}

/** `emrchain repair`: a new chain file of what still verifies, with a name for all that does not. */
export function registerRepair(program: Command): void {
  const command = program
    .command('repair')
    .description('make a new chain file of what is whole in a damaged one, which is kept; the node must be stopped')
    .option('--data <dir>', 'data folder of the node, as for start')
    .option('--network <name>', '"paper", or a file of network parameters')
    .option('--new-key', 'give up a lost or damaged node.key: the next start makes another node')
    .addHelpText(
      'after',
      `
The exit code is 0 where the chain is whole in the end, and ${exitCodes.refused.code} where blocks or transactions are named as missing: a good
node still has them.`,
    )
    .action(async (flags: Flags, self: Command) => {
      const { loadConfig } = await import('../../config/load-config.js')
      const { repair } = await import('../../node/repair.js')
      const { data, network, newKey = false } = flags
      const given = { ...(data === undefined ? {} : { data }), ...(network === undefined ? {} : { network }) }
      const config = loadConfig(given, process.env)
      const done = await repair(config.data, { network: config.network, newKey, now: Date.now })
      const isWhole = done.missing.length + done.lostTransactions.length === 0 && done.missingTip === null
      const lines = done.damaged ? reportOf(done) : [`The chain in ${config.data} is whole; it was not changed.`]
      if (newKey) lines.push('The next start makes a new key: the node is another one from then on.')
      await print(globalsOf(self), {
        document: { data: config.data, whole: isWhole, newKey, ...done },
        text: lines.join('\n'),
      })
      if (!isWhole) process.exitCode = exitCodes.refused.code
    })
  addExamples(command, [
    ['repair --data emrchain-data/5002', 'after "chain_damaged"; then start with --peer'],
    ['repair --new-key --data emrchain-data/5002', 'when node.key is lost'],
  ])
}

type Repaired = Awaited<ReturnType<typeof import('../../node/repair.js')['repair']>>

function reportOf(done: Repaired): string[] {
  const { blocks, tip, setAside, missing, missingTip, leftOut, pendingAgain, lostTransactions } = done
  const lines = [
    `The new chain file has ${counted(blocks, 'block')} after genesis; its tip is ${tip.id}, block ${tip.height + 1}.`,
  ]
  if (setAside) lines.push(`The damaged file is kept as ${setAside}.`)
  for (const { height, id } of missing) lines.push(`Missing: block ${height + 1}, ${id ?? 'of unknown id'}.`)
  if (missingTip !== null) lines.push(`Missing: the former tip ${missingTip} and what led to it.`)
  if (leftOut > 0) lines.push(`${counted(leftOut, 'block')} above could be read but not be connected.`)
  if (pendingAgain > 0) lines.push(`${counted(pendingAgain, 'transaction')} of such blocks wait for a block again.`)
  for (const id of lostTransactions) lines.push(`Lost here: transaction ${id}.`)
  if (missing.length > 0 || missingTip !== null)
    lines.push('Start the node with --peer and the URL of a good node: it fetches what is missing.')
  return lines
}
