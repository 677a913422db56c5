import { resolve } from 'node:path'
import type { Command } from 'commander'
import { collect } from '../collect.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'

interface Flags {
  data: string
  output: string
  administrator?: string[]
  threshold: string
}

/** `emrchain found`: the parameters of a network in which administrators certify who may do what. */
export function registerFound(program: Command): void {
  const command = program
    .command('found')
    .argument('<name>', 'name of the network, such as clinic')
    .description('make a network with administrators, without names on the chain, for certified people and nodes')
    .requiredOption('--data <dir>', 'data folder of its first node; the key in it is made if there is none')
    .requiredOption('-o, --output <file>', 'network file to write')
    .option('--administrator <key>', 'public key of a first administrator, 64 digits; more than once', collect)
    .option('--threshold <n>', 'how many administrators it takes to certify', '1')
    .action(async (name: string, flags: Flags, self: Command) => {
      const { foundNetwork } = await import('../../node/found-network.js')
      const { assertFree, writeOutput } = await import('../write-output.js')
      const { EmrError } = await import('../../errors.js')
      const { data, output, administrator: administrators = [] } = flags
      if (!/^\d{1,2}$/.test(flags.threshold)) throw new EmrError('usage', '--threshold is a whole number.')
      const threshold = Number(flags.threshold)
      await assertFree(output)
      const made = await foundNetwork(resolve(data), { name, administrators, threshold, now: Date.now() })
      await writeOutput(output, Buffer.from(`${JSON.stringify(made.file, null, 2)}\n`))
      const text = `The network "${name}" is in ${output}; its genesis is ${made.genesis}.
The node of ${data} may mine from the first block on. Start it:
  emrchain start --network ${output} --data ${data}
Give ${output} to every other node; none of it is secret, and none of it can change later.`
      await print(globalsOf(self), { document: { output: resolve(output), ...made }, text })
    })
  addExamples(command, [
    ['found clinic --data emrchain-data/clinic -o clinic.json --administrator 3b6a...', 'the key of "wallet show"'],
    [
      'found clinic --data emrchain-data/clinic -o clinic.json --administrator 3b6a... --administrator 77c0... --threshold 2',
      'two who decide together',
    ],
  ])
}
