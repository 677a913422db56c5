import { attackRounds, MOST_GROWTH } from '../fixtures/attack-rounds.js'

/** A node under each attack in its full size: rows for the table of `npm run torture`. */
export async function hostile(folder: string, say: (line: string) => void) {
  const endings: (() => Promise<void>)[] = []
  const scope = { testdir: () => folder, teardown: (handler: () => Promise<void>) => endings.push(handler) }
  try {
    const { rows, faults } = await attackRounds(scope, {
      folder,
      form: 'long',
      onRow: ({ what, seconds, said }) => say(`hostile: ${what}: ${said} after ${seconds} s`),
    })
    for (const fault of faults) say(`hostile: ${fault}`)
    return rows.map(({ what, many, growth, said, blocks, latency }) => ({
      what,
      'how many': `${many}; ${said}; memory +${growth} of ${MOST_GROWTH} MiB; ${blocks} honest blocks, slowest ${latency} ms`,
      lost: 0,
      wrong: faults.filter((fault) => fault.startsWith(`${what}: `)).length,
    }))
  } finally {
    for (const end of endings) await end()
  }
}
