import type { Command } from 'commander'
import type { PrototypeBlockReport } from '../../prototype/check-prototype-rules.js'
import type { PrototypeReport } from '../../prototype/verify-prototype-chain.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { counted, table } from '../text.js'

/** `emrchain prototype`: what there is for chains of the paper's first program. */
export function registerPrototype(program: Command): void {
  const group = program.command('prototype').description("check chains of the paper's Flask prototype")
  const command = group
    .command('verify')
    .description("check an exported chain by the prototype's own rules, and show what these do not protect")
    .argument('<chain.json>', "saved answer of the prototype's get_chain")
    .action(async (path: string, _flags: object, self: Command) => {
      const { readFile } = await import('node:fs/promises')
      const { EmrError } = await import('../../errors.js')
      const { verifyPrototypeChain } = await import('../../prototype/verify-prototype-chain.js')
      const json = await readFile(path, 'utf8').catch((cause: unknown) => {
        throw new EmrError('input_unreadable', path, {}, { cause })
      })
      const report = verifyPrototypeChain(json)
      await print(globalsOf(self), { document: report, text: textOf(report) })
      if (!report.valid) process.exitCode = exitCodes.refused.code
    })
  addExamples(command, [['prototype verify chain.json', 'curl http://127.0.0.1:5000/get_chain > chain.json']])
}

function textOf({ blocks, valid, firstFault, length, claimedLength, limits }: PrototypeReport): string {
  const claim = claimedLength !== null && claimedLength !== length ? ` It claims to have ${claimedLength}.` : ''
  const verdict = valid
    ? `Valid by the prototype's rules: ${counted(length, 'block')}.${claim}`
    : `Not valid by the prototype's rules: ${firstFault?.sentence ?? ''}${claim}`
  const lines = [blockTable(blocks), '', verdict]
  if (limits.length > 0) {
    lines.push('', 'What these rules do not protect, shown on this chain:')
    for (const { sentence } of limits) lines.push(`- ${sentence}`)
  }
  return lines.join('\n')
}

const blockTable = (blocks: readonly PrototypeBlockReport[]): string =>
  table(
    ['BLOCK', 'NONCE', 'PREVIOUS HASH', 'PUZZLE', 'HASH'],
    blocks.map(({ index, nonce, previousHashOk, puzzleOk, hash }) => [
      String(index),
      String(nonce),
      verdictOf(previousHashOk),
      verdictOf(puzzleOk),
      hash,
    ]),
  )

const verdictOf = (holds: boolean | null): string => (holds === null ? '-' : holds ? 'right' : 'WRONG')
