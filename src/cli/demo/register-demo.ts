import { type Command, InvalidArgumentError } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import type { DemoFlags } from './show-demo.js'

/** `emrchain demo [FILE]`: the paper's steps and its latency table, on three nodes. */
export function registerDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('show the way of an encrypted file through three nodes, step by step, and measure it')
    .argument('[file]', 'file to share; default: an MR image that comes with the development packages')
    .option('--ipfs <url>', 'file store of the nodes: URL of a Kubo RPC API, or "embedded"', 'embedded')
    .option('--rounds <n>', 'how often each function is measured', wholeNumber, 20)
    .option('--keep', 'keep the temporary folder, with all that the nodes wrote')
    .action(async (file: string | undefined, flags: DemoFlags, command: Command) => {
      const { json } = globalsOf(command)
      const { showDemo } = await import('./show-demo.js')
      await showDemo(file, { ...flags, json })
    })
  command.addHelpText(
    'after',
    `
The nodes take the ports 5002 to 5004, or free ones where those are taken, and a temporary folder. Every answer is
checked: the exit code is 0 only if the file came out on the third node byte for byte, every chain is valid, and all
are the same.`,
  )
  addExamples(command, [
    ['demo', ''],
    ['demo scan.dcm --rounds 5', 'with a file of yours'],
    ['demo --ipfs http://127.0.0.1:5001', 'with the files in a Kubo daemon'],
  ])
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('It is not a whole number from 1 to 9999.')
  return Number(text)
}
