import type { Command } from 'commander'
import type { PeerEntry } from '../../client/node-answers.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { printable, short, table } from '../text.js'

interface PeersFlags {
  readonly block?: string[]
  readonly unblock?: string[]
}

/** `emrchain peers`: the nodes that a node knows, and which of them it deals with. */
export function registerPeers(program: Command): void {
  const command = program
    .command('peers')
    .description('list the nodes that the node knows; block and unblock them')
    .option('--block <url...>', 'end all traffic with these nodes, both ways')
    .option('--unblock <url...>', 'take blocks and bans of these nodes back')
    .action(async ({ block, unblock }: PeersFlags, self: Command) => {
      const globals = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openClient } = await import('../open-client.js')
      const client = openClient(globals)
      const signal = interruption()
      if (block) await client.blockPeers(block, { signal })
      if (unblock) await client.unblockPeers(unblock, { signal })
      const peers = await client.peers({ signal })
      await print(globals, { document: { peers }, text: textOf(peers) })
    })
  addExamples(command, [
    ['peers', ''],
    ['peers --block http://127.0.0.1:5003', ''],
    ['peers --unblock http://127.0.0.1:5003', ''],
  ])
}

function textOf(peers: readonly PeerEntry[]): string {
  if (peers.length === 0) return 'The node knows no other node; "emrchain connect URL" connects it to one.'
  return table(
    ['NODE', 'STATE', 'SCORE', 'BLOCKS', 'LAST ANSWER (UTC)', 'KEY', 'REASON'],
    peers.map((peer) => [
      peer.address,
      stateOf(peer),
      String(peer.score),
      peer.tip ? String(peer.tip.height + 1) : '-',
      peer.seenAt === undefined ? '-' : timeOf(peer.seenAt),
      peer.key === undefined ? '-' : short(peer.key),
      printable(peer.reason ?? peer.failure ?? '-'),
    ]),
  )
}

const stateOf = ({ state, until }: PeerEntry): string =>
  printable(state.replace('_', ' ')) + (until === undefined ? '' : ` until ${timeOf(until)}`)

const timeOf = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
