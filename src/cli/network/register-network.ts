import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import type { NetworkFlags } from './run-network.js'

/** `emrchain network [nodes.json]`: all nodes of a file, each in a process of its own, until Ctrl-C. */
export function registerNetwork(program: Command): void {
  const command = program
    .command('network')
    .description('run all nodes of a file, each in its own process, connected to each other')
    .argument('[nodes.json]', 'file with the URLs of the nodes; default: nodes.example.json, ports 5002 to 5004')
    .option('--data <dir>', 'folder in which each node gets a folder, named after its port', 'emrchain-data')
    .option('--ipfs <url>', 'file store of all nodes: URL of a Kubo RPC API, or "embedded"')
    .option('--mine', 'let the nodes mine by themselves whenever a transaction is pending')
    .option('--network <name>', '"paper", or a file of network parameters')
    .action(async (path: string | undefined, flags: NetworkFlags, command: Command) => {
      const { json } = globalsOf(command)
      const { runNetwork } = await import('./run-network.js')
      await runNetwork(path, { ...flags, json })
    })
  command.addHelpText(
    'after',
    `
The lines of the logs begin with the port of their node. The line "ready" says that all nodes answer and are
connected. Ctrl-C or SIGTERM closes them all. When a node ends by itself, all end, with exit code 1.`,
  )
  addExamples(command, [
    ['network', 'three nodes, ports 5002 to 5004, in ./emrchain-data'],
    ['network nodes.json --data DIR --mine', 'the nodes of a file of yours, which mine by themselves'],
    ['network --ipfs http://127.0.0.1:5001', 'with the files in a Kubo daemon'],
  ])
}
