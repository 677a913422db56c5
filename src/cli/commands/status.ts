import type { Command } from 'commander'
import type { StatusAnswer } from '../../client/node-answers.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted, durationText, facts } from '../text.js'

/** `emrchain status`: how a node is. */
export function registerStatus(program: Command): void {
  const command = program
    .command('status')
    .description('show how the node is')
    .action(async (_flags: object, self: Command) => {
      const globals = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openClient } = await import('../open-client.js')
      const status = await openClient(globals).status({ signal: interruption() })
      await print(globals, { document: status, text: textOf(status) })
    })
  addExamples(command, [
    ['status', ''],
    ['status --node http://127.0.0.1:5003', 'of another node'],
  ])
}

/** What the warnings of a node mean; docs/operations.md says what to do. */
const warnings: Readonly<Record<string, string>> = {
  no_peers: 'it knows no other node: what it holds is nowhere else',
  peers_failing: 'none of its peers answers',
  behind: 'a peer has a better chain, which is not here yet',
  clock_behind: 'the newest block is of a later time than its clock shows: set the clock',
  records_waiting: 'records wait, and no block came for ten minutes: nobody mines',
  file_store_degraded: 'the file store is not well',
}

function textOf(status: StatusAnswer): string {
  const { version, url, network, genesis, key, uptime, tip, next, mempool, peers, fileStore } = status
  const { reorganisations } = status
  const store = fileStore.kind === 'kubo' ? 'Kubo' : fileStore.kind
  const lost = `${reorganisations.count}, the deepest of ${counted(reorganisations.deepest, 'block')}`
  return facts([
    ['node', `${url} (emrchain ${version}), up for ${durationText(uptime)}`],
    ['network', `${network}, genesis ${genesis}`],
    ['chain', `${counted(tip.index, 'block')}, the newest of ${new Date(tip.time).toISOString()}, ${tip.id}`],
    ['tip age', ageText(tip)],
    ['sync', syncText(status)],
    ['reorganisations', reorganisations.count === 0 ? 'none since it started' : `${lost}, since it started`],
    ['pending', `${counted(mempool.transactions, 'transaction')} (${bytesText(mempool.bytes)})`],
    ['mining', miningText(status)],
    ['next block', `${BigInt(`0x${next.work}`)} hashes on average, target ${next.target}`],
    ['peers', peersText(peers, status)],
    ['files', fileStore.state === 'ok' ? store : `${store}: ${fileStore.state}. ${fileStore.detail ?? ''}`],
    ['node key', key],
    ...status.warnings.map((code) => ['warning', `${warnings[code] ?? 'see docs/operations.md'} [${code}]`] as const),
  ])
}

function ageText({ height, age }: StatusAnswer['tip']): string {
  if (height === 0) return 'no block after genesis yet'
  return age < 0 ? `none: it is ${durationText(-age)} ahead of the clock` : durationText(age)
}

function syncText({ sync, tip }: StatusAnswer): string {
  if (sync.state === 'alone') return 'nobody to compare with: no peer answers'
  if (sync.state === 'at_tip') return 'at the best tip that its peers know'
  const missing = sync.bestHeight - tip.height
  return missing > 0 ? `behind by ${counted(missing, 'block')}` : 'behind: a peer has a branch of more work'
}

function miningText({ mining, miner }: StatusAnswer): string {
  const mode = mining ? 'by itself, when something is pending' : 'on demand'
  return miner.searching ? `${mode}; searching at ${miner.hashesPerSecond} hashes a second` : mode
}

function peersText(count: number, { peerStates }: StatusAnswer): string {
  const { answering, failing, unheard } = peerStates
  if (count === 0) return '0'
  const others = [
    ...(failing > 0 ? [`${failing} failing`] : []),
    ...(unheard > 0 ? [`${unheard} not heard of yet`] : []),
  ]
  return [`${count}: ${answering} answering`, ...others].join(', ')
}
