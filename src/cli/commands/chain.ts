import { type Command, InvalidArgumentError, Option } from 'commander'
import type { ChainBlock, TransactionEntry } from '../../client/node-answers.js'
import type { NodeClient } from '../../client/node-client.js'
import { EmrError } from '../../errors.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { write } from '../output.js'
import { printable, short } from '../text.js'

interface ChainFlags {
  readonly limit?: number
  readonly from?: number
  readonly to?: number
}

/** Blocks that are shown where no part of the chain is asked for. */
const DEFAULT_LIMIT = 20

/** `emrchain chain`: shows blocks and their records. */
export function registerChain(program: Command): void {
  const command = program
    .command('chain')
    .description('show blocks and their records')
    .addOption(
      new Option('--limit <n>', `the newest n blocks (default: ${DEFAULT_LIMIT})`)
        .argParser(wholeNumber)
        .conflicts(['from', 'to']),
    )
    .addOption(new Option('--from <index>', 'from this block on; 1 is genesis').argParser(wholeNumber))
    .addOption(new Option('--to <index>', 'up to this block').argParser(wholeNumber))
    .action(showChain)
  addExamples(command, [
    ['chain', `the newest ${DEFAULT_LIMIT} blocks`],
    ['chain --from 1 --to 100', ''],
    ['chain --from 1 --json > chain.json', 'all of it, as get_chain answers'],
  ])
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a whole number from 1 on.')
  return Number(text)
}

async function showChain(flags: ChainFlags, command: Command): Promise<void> {
  const globals = globalsOf(command)
  const { interruption } = await import('../interruption.js')
  const { openClient } = await import('../open-client.js')
  const signal = interruption()
  const client = openClient(globals)
  const { tip } = await client.status({ signal })
  const range = rangeOf(flags, tip.index)
  if (range.from > range.to) throw new EmrError('block_unknown', `The chain has the blocks 1 to ${tip.index}.`)
  const blocks = client.blocks(range, { signal })
  await (globals.json ? writeJson(blocks, tip.index) : writeTable(blocks))
}

function rangeOf({ limit = DEFAULT_LIMIT, from, to }: ChainFlags, length: number): { from: number; to: number } {
  if (from === undefined && to === undefined) return { from: Math.max(1, length - limit + 1), to: length }
  return { from: from ?? 1, to: Math.min(to ?? length, length) }
}

/** Block by block, since a chain may be longer than memory. */
async function writeJson(blocks: ReturnType<NodeClient['blocks']>, length: number): Promise<void> {
  let separator = '{"chain":['
  for await (const block of blocks) {
    await write(separator + JSON.stringify(block))
    separator = ','
  }
  await write(`],"length":${length}}\n`)
}

async function writeTable(blocks: AsyncIterable<ChainBlock>): Promise<void> {
  await write(row(['BLOCK', 'TIME (UTC)', 'HASH', 'MINER', 'RECORDS']))
  for await (const { index, timestamp, hash, miner, transactions } of blocks) {
    const [first = '-', ...others] = transactions.map(recordText)
    await write(row([String(index), timestamp.slice(0, 19), short(hash), short(miner), first]))
    for (const record of others) await write(row(['', '', '', '', record]))
  }
}

const widths = [7, 19, 13, 13, 0] as const
const row = (cells: readonly string[]): string =>
  `${cells
    .map((cell, column) => cell.padEnd(widths[column] ?? 0))
    .join('  ')
    .trimEnd()}\n`

function recordText({ EHR_name, user_id, ipfs_hash, signer }: TransactionEntry): string {
  const who = user_id === null ? `signed by ${short(signer)}` : `of ${short(user_id)}`
  return printable(`${EHR_name ?? 'record'} ${who}, ${ipfs_hash}`)
}
