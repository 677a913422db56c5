import { CommanderError } from 'commander'
import { exitCodeOf } from './exit-codes.js'
import { createProgram } from './program.js'
import { reportError } from './report-error.js'

/**
 * Runs what was typed, reports its error on stderr, and leaves its exit code in `process.exitCode`.
 *
 * @param words what was typed behind the name of the program
 */
export async function runCommandLine(words: readonly string[]): Promise<void> {
  try {
    const program = await createProgram(words)
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    process.exitCode = exitCodeOf(error)
    // Help and version come this way too, and have been printed.
    const isAnswer = error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')
    if (!isAnswer) reportError(error, { json: words.includes('--json') })
  }
}
