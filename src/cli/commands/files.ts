import type { Command } from 'commander'
import type { CheckDoneEvent, FileDamageEvent, KeptFileEntry } from '../../client/node-files.js'
import { EmrError } from '../../errors.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { type Globals, globalsOf } from '../globals.js'
import { print } from '../output.js'
import { bytesText, counted, printable, table } from '../text.js'

interface ListFlags {
  readonly limit?: string
  readonly after?: string
}

/** `emrchain files`: what a node keeps, and who else does; `files check` hashes all of it. */
export function registerFiles(program: Command): void {
  const files = program
    .command('files')
    .description('list the files that the node keeps, and which peers keep them too')
    .option('--limit <count>', 'no more than so many')
    .option('--after <cid>', 'only those that follow this one in the list')
    .addHelpText(
      'after',
      `
States: pinned; damaged (a block is not as its CID says: "emrchain files check"); missing (the file store does not keep it
any more); unpinned (deleted on purpose); unpinning (the file store has not let go of it yet); erased (by its patient).`,
    )
    .action(async (flags: ListFlags, self: Command) => {
      const globals = globalsOf(self)
      const listed = await listFiles(globals, flags)
      await print(globals, { document: listed, text: listText(listed) })
    })
  addExamples(files, [
    ['files', ''],
    ['files --limit 20 --json', 'for programs; "next" is for --after'],
  ])

  const check = files
    .command('check')
    .description('hash every file that the node keeps; what is damaged is fetched from peers')
    .option('--data <dir>', 'of a node that is stopped: only look, in the embedded store of this data folder')
    .addHelpText(
      'after',
      `
A damaged file stays beside the whole one that took its place, until it is unpinned or erased. The exit code is ${exitCodes.refused.code} where a file
stays damaged or missing: start a node that has it, connect, and check again.`,
    )
    .action(async ({ data }: { data?: string }, self: Command) => {
      const globals = globalsOf(self)
      const { done, damage } = data === undefined ? await checkNode(globals) : await checkFolder(data)
      await print(globals, { document: { ...done, damage }, text: checkText(done, damage) })
      if (done.lost > 0) process.exitCode = exitCodes.refused.code
    })
  addExamples(check, [
    ['files check', 'while the node runs'],
    ['files check --data emrchain-data/5002', 'when it is stopped'],
  ])
}

interface Listed {
  files: KeptFileEntry[]
  silent: string[]
  next?: string
}

async function listFiles(globals: Globals, { limit, after }: ListFlags): Promise<Listed> {
  const most = limit === undefined ? Number.POSITIVE_INFINITY : wholeNumber(limit)
  const { interruption } = await import('../interruption.js')
  const { openClient } = await import('../open-client.js')
  const client = openClient(globals)
  const signal = interruption()
  const files: KeptFileEntry[] = []
  const silent = new Set<string>()
  for (let from = after; ; ) {
    const page = await client.keptFiles({ limit: Math.min(64, most - files.length), after: from }, { signal })
    files.push(...page.files)
    for (const peer of page.silent) silent.add(peer)
    from = page.next
    if (from === undefined || files.length >= most) {
      return { files, silent: [...silent].sort(), ...(from === undefined ? {} : { next: from }) }
    }
  }
}

function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw new EmrError('usage', '--limit takes a whole number from 1 on.')
}

function listText({ files, silent, next }: Listed): string {
  if (files.length === 0) return 'The node keeps no file.'
  const isSpread = files.some(({ replication }) => replication !== undefined)
  const lines = [
    table(
      ['CID', 'STATE', 'SIZE', ...(isSpread ? ['MACHINES'] : []), 'COPIES', 'NAME'],
      files.map(({ cid, state, size, replication, copies, name }) => [
        ...[cid, state, size === undefined ? '-' : bytesText(size)],
        ...(isSpread ? [machinesText(replication)] : []),
        ...[copies.length === 0 ? '-' : copies.join(' '), name ?? '-'],
      ]),
    ),
  ]
  if (silent.length > 0) lines.push(printable(`Did not answer, and may keep copies: ${silent.join(', ')}.`))
  if (next !== undefined) lines.push(printable(`There are more: --after ${next}`))
  return lines.join('\n')
}

/** Such as `2 of 3`, with those machines that are meant to have it and do not. */
function machinesText(replication: KeptFileEntry['replication']): string {
  if (!replication) return '-'
  const { pinned, wanted, machines } = replication
  const total = wanted.most > 0 ? wanted.most : machines.length
  const lacking = machines.filter(({ state }) => state !== 'pinned' && state !== 'remote')
  const which = lacking.map(({ name, state }) => `, ${name} ${state}`).join('')
  return printable(`${pinned} of ${total}${which}`)
}

interface Checked {
  readonly done: CheckDoneEvent
  readonly damage: readonly FileDamageEvent[]
}

async function checkNode(globals: Globals): Promise<Checked> {
  const { interruption } = await import('../interruption.js')
  const { openClient } = await import('../open-client.js')
  const { showCount } = await import('../show-count.js')
  const damage: FileDamageEvent[] = []
  const shown = showCount()
  let all = 0
  try {
    const done = await openClient(globals).checkFiles({
      signal: interruption(),
      onBegin: (files) => {
        all = files
      },
      onProgress: (files, bytes) => shown.say(progressText(files, all, bytes)),
      onDamage: (found) => damage.push(found),
    })
    return { done, damage }
  } finally {
    shown.stop()
  }
}

async function checkFolder(folder: string): Promise<Checked> {
  const { interruption } = await import('../interruption.js')
  const { checkDataFolder } = await import('../../node/check-data-folder.js')
  const { showCount } = await import('../show-count.js')
  const damage: FileDamageEvent[] = []
  const shown = showCount()
  let all = 0
  try {
    for await (const said of checkDataFolder(folder, interruption())) {
      if (said.event === 'begin') all = said.files
      else if (said.event === 'progress') shown.say(progressText(said.files, all, said.bytes))
      else if (said.event === 'damage') {
        const { event: _, cid, ...found } = said
        damage.push({ cid: cid.toString(), ...found })
      } else {
        const { event: _, ...done } = said
        return { done, damage }
      }
    }
  } finally {
    shown.stop()
  }
  throw new EmrError('cancelled')
}

const progressText = (files: number, all: number, bytes: number): string =>
  `Checked ${files} of ${counted(all, 'file')}, ${bytesText(bytes)}`

function checkText({ files, bytes, whole, mended, lost }: CheckDoneEvent, damage: readonly FileDamageEvent[]): string {
  const lines = damage.map(({ cid, found, mended: isMended, aside, code }) => {
    const after = isMended ? 'a whole copy of a peer is in its place' : `not mended (${code ?? 'no reason'})`
    return printable(`${cid} was ${found}: ${after}${aside === undefined ? '' : `; the damaged one is ${aside}`}.`)
  })
  lines.push(
    `Checked ${counted(files, 'file')}, ${bytesText(bytes)}: ${whole} whole, ${mended} mended, ${lost} damaged or missing.`,
  )
  return lines.join('\n')
}
