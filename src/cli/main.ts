import { CommanderError } from 'commander'
import { exitCodeOf } from './exit-codes.js'
import { endWithReader } from './output.js'
import { createProgram } from './program.js'
import { reportError } from './report-error.js'

/** The command line of `emrchain`. */
async function main(): Promise<void> {
  endWithReader()
  try {
    const program = await createProgram(process.argv.slice(2))
    await program.parseAsync()
  } catch (error) {
    process.exitCode = exitCodeOf(error)
    // Help and version come this way too, and have been printed.
    const isAnswer = error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')
    if (!isAnswer) reportError(error, { json: process.argv.includes('--json') })
  }
}

await main()
