import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { counted, printable } from '../text.js'

/** `emrchain pin` and `unpin`: which files a node keeps, by the wish of its operator. */
export function registerPin(program: Command): void {
  const pin = program
    .command('pin')
    .description('have the node keep files, fetched from its peers where it lacks them; also what was unpinned')
    .argument('<cid...>', 'CIDs of encrypted files')
    .action(async (cids: string[], _flags: object, self: Command) => {
      const globals = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openClient } = await import('../open-client.js')
      const client = openClient(globals)
      const signal = interruption()
      const pinned: Awaited<ReturnType<typeof client.pinFile>>[] = []
      try {
        for (const cid of cids) {
          pinned.push(await client.pinFile(cid, { signal }))
        }
      } finally {
        // Where one of them fails, those before it are done, and whoever asked has to know.
        const lines = pinned.map(({ cid, fetched }) =>
          printable(`The node keeps ${cid}${fetched ? ', fetched from a peer' : ''}.`),
        )
        if (pinned.length > 0) await print(globals, { document: { pinned }, text: lines.join('\n') })
      }
    })
  addExamples(pin, [
    ['pin QmTDi...8QKx', ''],
    ['pin QmTDi...8QKx --node http://127.0.0.1:5003', 'a second copy, at another node'],
  ])

  const unpin = program
    .command('unpin')
    .description('delete files from the node, on purpose: it does not fetch them back')
    .argument('<cid...>', 'CIDs of encrypted files')
    .option('--force', 'also a file of which no peer keeps a copy: it may be the last one')
    .option('--collect', 'have a Kubo delete now what is not pinned, whoever put it there; else at its next collection')
    .action(async (cids: string[], { force = false, collect }: { force?: boolean; collect?: true }, self: Command) => {
      const globals = globalsOf(self)
      const { interruption } = await import('../interruption.js')
      const { openClient } = await import('../open-client.js')
      const client = openClient(globals)
      const signal = interruption()
      const unpinned: Awaited<ReturnType<typeof client.unpinFile>>[] = []
      let collected: number | undefined
      try {
        for (const cid of cids) {
          unpinned.push(await client.unpinFile(cid, { force }, { signal }))
        }
        if (collect) collected = await collectBlocks(client, signal)
      } finally {
        // As above: what is deleted already is named also where the rest fails.
        const lines = unpinned.map(({ cid, wasHere, copies }) => {
          const kept = copies.length === 0 ? 'no peer says that it keeps it' : `kept by ${copies.join(', ')}`
          return printable(`${cid} ${wasHere ? 'is deleted' : 'was not here; it stays away'}; ${kept}.`)
        })
        if (collected !== undefined)
          lines.push(`The file store deleted ${counted(collected, 'block')} that nothing pins.`)
        if (unpinned.length > 0) {
          await print(globals, {
            document: { unpinned, ...(collected === undefined ? {} : { collectedBlocks: collected }) },
            text: lines.join('\n'),
          })
        }
      }
    })
  addExamples(unpin, [
    ['unpin QmTDi...8QKx', 'refused where it may be the last copy'],
    ['unpin QmTDi...8QKx --force --collect', 'gone for good, also from the disk of Kubo'],
  ])
}

async function collectBlocks(
  client: ReturnType<typeof import('../open-client.js')['openClient']>,
  signal: AbortSignal,
): Promise<number> {
  const { showCount } = await import('../show-count.js')
  const shown = showCount()
  try {
    return await client.collectFiles({
      signal,
      onProgress: (blocks) => shown.say(`Collecting: ${counted(blocks, 'block')} deleted`),
    })
  } finally {
    shown.stop()
  }
}
