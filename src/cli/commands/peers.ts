import type { Command } from 'commander'
import type { PeerEntry } from '../../client/node-answers.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { short, table } from '../text.js'

/** `emrchain peers`: the nodes that a node knows. */
export function registerPeers(program: Command): void {
  const command = program
    .command('peers')
    .description('list the nodes that the node knows')
    .action(async (_flags: object, self: Command) => {
      const { node, ...globals } = globalsOf(self)
      const { interruption } = await import('../network/interruption.js')
      const { openClient } = await import('../open-client.js')
      const peers = await openClient(node).peers({ signal: interruption() })
      await print(globals, { document: { peers }, text: textOf(peers) })
    })
  addExamples(command, [['peers', '']])
}

function textOf(peers: readonly PeerEntry[]): string {
  if (peers.length === 0) return 'The node knows no other node; "emrchain connect URL" connects it to one.'
  return table(
    ['NODE', 'STATE', 'BLOCKS', 'LAST ANSWER (UTC)', 'KEY'],
    peers.map(({ address, failure, tip, seenAt, key }) => [
      address,
      failure ?? 'ok',
      tip ? String(tip.height + 1) : '-',
      seenAt === undefined ? '-' : new Date(seenAt).toISOString().slice(0, 19).replace('T', ' '),
      key === undefined ? '-' : short(key),
    ]),
  )
}
