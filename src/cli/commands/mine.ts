import type { Command } from 'commander'
import type { ChainBlock } from '../../client/node-answers.js'
import { EmrError } from '../../errors.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print, write } from '../output.js'
import { counted } from '../text.js'

/** `emrchain mine`: mines a block, or watches blocks come. */
export function registerMine(program: Command): void {
  const command = program
    .command('mine')
    .description('mine one block of what is pending, or an empty one')
    .option('--watch', 'mine nothing; print each block as it comes to the chain, until Ctrl-C')
    .action(async ({ watch }: { watch?: true }, self: Command) => (watch ? watchBlocks(self) : mineBlock(self)))
  addExamples(command, [
    ['mine', ''],
    ['mine --watch', 'one line for each block'],
    ['mine --watch --json', 'one JSON document a line'],
  ])
}

async function mineBlock(command: Command): Promise<void> {
  const globals = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openClient } = await import('../open-client.js')
  const block = await openClient(globals).mine({ signal: interruption() })
  await print(globals, { document: block, text: `Mined ${blockText(block)}.` })
}

async function watchBlocks(command: Command): Promise<void> {
  const globals = globalsOf(command)
  const { node, json } = globals
  const { interruption } = await import('../interruption.js')
  const { openClient } = await import('../open-client.js')
  const signal = interruption()
  const onListening = () => {
    if (!json) process.stderr.write(`Listening to ${new URL(node).origin}; Ctrl-C ends it.\n`)
  }
  try {
    for await (const { connected, disconnected } of openClient(globals).events({ signal, onListening })) {
      if (!json && disconnected.length > 0) {
        await write(`A better chain replaced ${counted(disconnected.length, 'block')}.\n`)
      }
      for (const block of connected) {
        await write(json ? `${JSON.stringify(block)}\n` : `${block.timestamp.slice(0, 19)}  ${blockText(block)}\n`)
      }
    }
    throw new EmrError('closing')
  } catch (error) {
    // Ctrl-C is how one stops to watch.
    if (!signal.aborted) throw error
  }
}

const blockText = ({ index, hash, transactions }: ChainBlock): string =>
  `block ${index} with ${counted(transactions.length, 'record')}, ${hash}`
