import { resolve } from 'node:path'
import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted } from '../text.js'

interface Flags {
  data?: string
  network?: string
}

/** `emrchain backup` and `emrchain restore`: a copy of a data folder, also of one in use, and back. */
export function registerBackup(program: Command): void {
  const backup = program
    .command('backup')
    .argument('<dir>', 'folder to make; empty or not there yet')
    .description('copy the data folder of a node, which may be running; the copy holds the key of the node')
    .option('--data <dir>', 'data folder of the node, as for start')
    .option('--network <name>', '"paper", or a file of network parameters')
    .action(async (dir: string, flags: Flags, self: Command) => {
      const { backUp } = await import('../../node/back-up.js')
      const { config, progress, signal } = await prepare(flags, (data) => `${data}/chain.car`)
      const { onProgress } = progress
      const done = await backUp(config.data, resolve(dir), { network: config.network, onProgress, signal }).finally(
        progress.stop,
      )
      const damaged = done.damagedFiles.map((cid) => `\nThe file ${cid} is damaged and not in the backup.`).join('')
      const text = `The backup is in ${resolve(dir)}: ${counted(done.tip.height, 'block')} after genesis (${bytesText(done.chainBytes)}), ${counted(done.pending, 'pending transaction')}, ${counted(done.files.length, 'file')}. It holds the node's key: keep it as safe as the node.${damaged}`
      await print(globalsOf(self), { document: { folder: resolve(dir), ...done }, text })
    })
  addExamples(backup, [
    ['backup /backup/hospital-1 --data emrchain-data/5002', ''],
    ['backup /backup/clinic --data /srv/emrchain --network clinic.json', 'of a network of its own'],
  ])

  const restore = program
    .command('restore')
    .argument('<dir>', 'folder that "backup" made')
    .description('make a data folder of a backup, checking all of it')
    .option('--data <dir>', 'data folder to make; empty or not there yet')
    .option('--network <name>', '"paper", or a file of network parameters')
    .action(async (dir: string, flags: Flags, self: Command) => {
      const { restore } = await import('../../node/restore.js')
      const { config, progress, signal } = await prepare(flags, () => `${resolve(dir)}/chain.car`)
      const { onProgress } = progress
      const done = await restore(resolve(dir), config.data, { network: config.network, onProgress, signal }).finally(
        progress.stop,
      )
      const text = `${config.data} is restored and checked: ${counted(done.blocks, 'block')} after genesis, ${counted(done.transactions, 'transaction')}, ${counted(done.pending, 'pending transaction')}, ${counted(done.files, 'file')}. It has the key of the original; do not run both.`
      const lost = done.damagedFiles.map((cid) => `\nThe file ${cid} is damaged in the backup, and was left out.`)
      const advice =
        lost.length === 0 ? '' : '\nStart the node, connect it to others, and "emrchain files check" fetches it.'
      await print(globalsOf(self), {
        document: { data: config.data, ...done },
        text: `${text}${lost.join('')}${advice}`,
      })
      if (lost.length > 0) process.exitCode = exitCodes.refused.code
    })
  addExamples(restore, [['restore /backup/hospital-1 --data emrchain-data/5002', '']])
}

/** Configuration, progress over the chain file, and what Ctrl-C aborts. */
async function prepare(flags: Flags, chainFile: (data: string) => string) {
  const { stat } = await import('node:fs/promises')
  const { loadConfig } = await import('../../config/load-config.js')
  const { interruption } = await import('../interruption.js')
  const { showProgress } = await import('../progress.js')
  const { data, network } = flags
  const given = { ...(data === undefined ? {} : { data }), ...(network === undefined ? {} : { network }) }
  const config = loadConfig(given, process.env)
  const length = await stat(chainFile(config.data)).then(
    ({ size }) => size,
    () => 0,
  )
  return { config, progress: await showProgress('chain.car', length), signal: interruption() }
}
