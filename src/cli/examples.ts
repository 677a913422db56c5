import type { Command } from 'commander'

/** Shows examples under the help of a command: command lines without the leading `emrchain`, each with what it does. */
export function addExamples(command: Command, examples: readonly (readonly [line: string, meaning: string])[]): void {
  const width = Math.max(...examples.map(([line]) => line.length))
  const lines = examples.map(([line, meaning]) => `  $ emrchain ${line.padEnd(width)}  ${meaning}`.trimEnd())
  command.addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
}
