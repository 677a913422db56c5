import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted } from '../text.js'

/** `emrchain verify`: checks the chain of a data folder from genesis, trusting nothing beside it. */
export function registerVerify(program: Command): void {
  const command = program
    .command('verify')
    .description('check the chain in a data folder again, from its first byte; its node must be stopped')
    .option('--data <dir>', 'data folder of a node, as for start')
    .option('--network <name>', '"paper", or a file of network parameters')
    .action(async (flags: { data?: string; network?: string }, self: Command) => {
      const done = await verify(flags)
      const unfinished =
        done.unfinishedBytes > 0 ? ` ${bytesText(done.unfinishedBytes)} at its end were never finished.` : ''
      const text = `The chain in ${done.data} holds: ${counted(done.blocks, 'block')} after genesis, ${counted(done.transactions, 'transaction')}.${unfinished}\nIts tip is ${done.tip.id}, block ${done.tip.index}.`
      await print(globalsOf(self), { document: { valid: true, ...done }, text })
    })
  addExamples(command, [
    ['verify --data emrchain-data/5002', ''],
    ['verify --data /srv/emrchain --network clinic.json', 'of a network of its own'],
  ])
}

async function verify({ data, network }: { data?: string; network?: string }) {
  const { interruption } = await import('../interruption.js')
  const { loadConfig } = await import('../../config/load-config.js')
  const { verifyDataFolder } = await import('../../node/verify-data-folder.js')
  const { showProgress } = await import('../progress.js')

  const flags = { ...(data === undefined ? {} : { data }), ...(network === undefined ? {} : { network }) }
  const config = loadConfig(flags, process.env)
  const { stat } = await import('node:fs/promises')
  const length = await stat(`${config.data}/chain.car`).then(
    ({ size }) => size,
    () => 0,
  )
  const progress = await showProgress('chain.car', length)
  const { blocks, transactions, tip, bytes, unfinishedBytes } = await verifyDataFolder(config.data, {
    network: config.network,
    onProgress: progress.onProgress,
    signal: interruption(),
  }).finally(progress.stop)
  return {
    data: config.data,
    blocks,
    transactions,
    tip: { id: tip.id.toString(), height: tip.height, index: tip.height + 1, work: tip.work.toString(16) },
    bytes,
    unfinishedBytes,
  }
}
