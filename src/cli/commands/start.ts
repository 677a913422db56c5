import type { Command } from 'commander'
import type { NodeConfig } from '../../config/node-config.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { growHeapInSmallSteps } from '../heap-growth.js'
import { restartWithSmallYoungGeneration } from '../young-generation.js'

/** How long a node may take to close, in ms. */
const CLOSING_TIME = 15_000

/** `emrchain start`: a node, until Ctrl-C or SIGTERM. */
export async function registerStart(program: Command, words: readonly string[]): Promise<void> {
  const command = program.command('start').usage('[options]').description('run a node, until Ctrl-C')
  if (words.includes('start')) {
    // The schema of the options takes longer to load than all the rest, and only this command needs it.
    const { addNodeOptions } = await import('../node-flags.js')
    addNodeOptions(command)
  }
  command
    .option('--config <file>', 'JSON file with any of these options, or EMRCHAIN_CONFIG')
    .addHelpText(
      'after',
      `
Each option is also a key of the config file (fileRoot) and a variable (EMRCHAIN_FILE_ROOT); flags go before
variables, variables before the file. When the node answers it prints one line on stdout; its log is on stderr.`,
    )
    .action(async (flags: { config?: string }, self: Command) => {
      const { nodeFlagsOf } = await import('../node-flags.js')
      const { loadConfig } = await import('../../config/load-config.js')
      const config = loadConfig(nodeFlagsOf(self), process.env, flags.config ?? process.env.EMRCHAIN_CONFIG)
      await runNode(config, globalsOf(self))
    })
  addExamples(command, [
    ['start', 'on port 5002, in ./emrchain-data/5002'],
    ['start --port 5003 --peer http://127.0.0.1:5002', 'a second one that follows the first'],
    ['start --mine --ipfs http://127.0.0.1:5001', 'with Kubo, and mining when there is something to mine'],
  ])
}

/** Ends the process when the node has closed; until then nothing returns. */
async function runNode(config: NodeConfig, { json }: { json: boolean }): Promise<void> {
  restartWithSmallYoungGeneration()
  growHeapInSmallSteps()
  const { default: closeWithGrace } = await import('close-with-grace')
  const { createNodeLogger } = await import('../../http/node-logger.js')
  const { serveNode } = await import('../../http/serve-node.js')
  const { linkToParent } = await import('../network/parent-link.js')
  const { logStream } = await import('../log-stream.js')

  const forPeople = process.stderr.isTTY && !json
  const logger = createNodeLogger(config.logLevel, logStream({ forPeople }))
  const opening = serveNode(config, { logger })
  const closing = closeWithGrace({ delay: CLOSING_TIME }, async ({ err, signal }) => {
    if (err) logger.fatal({ err }, 'the node failed')
    // Asked to end while it opens, a node first opens: its folder is then in order.
    const node = await opening.catch(() => undefined)
    await node?.close()
    logger.info({ signal }, 'closed')
  })
  try {
    const { url, node } = await opening
    const { network, genesis, fileStore } = await node.status()
    const facts = { url, network, fileStore: fileStore.kind, data: config.data }
    const store = fileStore.kind === 'kubo' ? 'Kubo' : fileStore.kind
    const text = `emrchain answers at ${url}, network ${network}, file store ${store}, data in ${config.data}`
    process.stdout.write(`${json ? JSON.stringify({ ...facts, genesis: genesis.toString() }) : text}\n`)

    const parent = linkToParent(process.env)
    parent?.onGone(() => void closing.close())
    parent?.ready(url)
  } catch (error) {
    closing.uninstall()
    throw error
  }
}
