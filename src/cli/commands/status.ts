import type { Command } from 'commander'
import type { StatusAnswer } from '../../client/node-answers.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted, facts } from '../text.js'

/** `emrchain status`: how a node is. */
export function registerStatus(program: Command): void {
  const command = program
    .command('status')
    .description('show how the node is')
    .action(async (_flags: object, self: Command) => {
      const { node, ...globals } = globalsOf(self)
      const { interruption } = await import('../network/interruption.js')
      const { openClient } = await import('../open-client.js')
      const status = await openClient(node).status({ signal: interruption() })
      await print(globals, { document: status, text: textOf(status) })
    })
  addExamples(command, [
    ['status', ''],
    ['status --node http://127.0.0.1:5003', 'of another node'],
  ])
}

function textOf({ version, url, network, genesis, key, tip, mempool, peers, mining, fileStore }: StatusAnswer): string {
  const store = fileStore.kind === 'kubo' ? 'Kubo' : fileStore.kind
  return facts([
    ['node', `${url} (emrchain ${version})`],
    ['network', `${network}, genesis ${genesis}`],
    ['chain', `${counted(tip.index, 'block')}, the newest of ${new Date(tip.time).toISOString()}, ${tip.id}`],
    ['pending', `${counted(mempool.transactions, 'transaction')} (${bytesText(mempool.bytes)})`],
    ['mining', mining ? 'by itself, when something is pending' : 'on demand'],
    ['peers', String(peers)],
    ['files', fileStore.state === 'ok' ? store : `${store}: ${fileStore.state}. ${fileStore.detail ?? ''}`],
    ['node key', key],
  ])
}
