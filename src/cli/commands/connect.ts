import type { Command } from 'commander'
import type { ConnectAnswer } from '../../client/node-answers.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { printable } from '../text.js'

/** `emrchain connect`: connects a node to others, both ways. */
export function registerConnect(program: Command): void {
  const command = program
    .command('connect')
    .description('connect the node to others, both ways')
    .argument('<url...>', 'URLs of nodes')
    .action(async (urls: string[], _flags: object, self: Command) => {
      const globals = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openClient } = await import('../open-client.js')
      const answer = await openClient(globals).connect(urls, { signal: interruption() })
      const { total_nodes, refused } = answer
      await print(globals, { document: { total_nodes, refused }, text: textOf(answer) })
      if (refused.length > 0) process.exitCode = exitCodes.refused.code
    })
  addExamples(command, [['connect http://127.0.0.1:5003 http://127.0.0.1:5004', '']])
}

const textOf = ({ total_nodes, refused }: ConnectAnswer): string =>
  [
    `The node knows these nodes, itself included: ${total_nodes.map(printable).join(', ')}`,
    ...refused.map(({ node, code, reason }) => printable(`Not connected: ${node}. ${reason} [${code}]`)),
  ].join('\n')
