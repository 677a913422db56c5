import type { Command } from 'commander'
import type { ErasureStatus } from '../../client/person/erase-record.js'
import { EmrError } from '../../errors.js'
import { erasureGrounds } from '../../protocol/consent-vocabulary.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { groups } from '../groups.js'
import { print } from '../output.js'
import { counted, printable } from '../text.js'

interface EraseFlags {
  readonly ground: string
  readonly status?: true
  readonly yes?: true
  readonly mine?: true
}

/** `emrchain erase`: the end of a record. */
export function registerErase(program: Command): void {
  const erase = program
    .command('erase')
    .helpGroup(groups.patients)
    .argument('<record>', 'id of a record of yours')
    .description('have a record destroyed for good at all nodes that keep something of it; or see who has done so')
    .option('--ground <why>', `of GDPR article 17: ${Object.keys(erasureGrounds).join(', ')}`, 'unspecified')
    .option('--status', 'erase nothing: say who confirmed, and who did not')
    .option('--yes', 'do not ask at a terminal whether it is meant')
    .option('--mine', 'mine a block at once')
    .action(async (record: string, flags: EraseFlags, self: Command) => {
      const globals = globalsOf(self)
      if (flags.status) {
        const { erasureStatus } = await import('../../client/person/erase-record.js')
        const { readContacts } = await import('../consent/contacts-file.js')
        const { openAsking } = await import('../consent/session.js')
        const status = await erasureStatus(openAsking(globals), record)
        const { nameOf } = await readContacts(globals.wallet)
        await print(globals, { document: status, text: linesOf(status, nameOf).map(printable).join('\n') })
        return
      }
      const { eraseRecord } = await import('../../client/person/erase-record.js')
      const { openConsentSession, printSent } = await import('../consent/session.js')
      const { oneOf } = await import('../consent/words.js')
      const ground = oneOf('--ground', flags.ground.replaceAll('-', '_'), erasureGrounds)
      const session = await openConsentSession(globals)
      const { isMeant } = await import('../ask-whether.js')
      const question = `This destroys the record ${record} for good, at every node. There is no way back.`
      if (!flags.yes && !(await isMeant(question, session.signal))) throw new EmrError('cancelled')
      const sent = await eraseRecord(session, { record, ground }, flags)
      const further = `Custodians refuse it from now on, and destroy what they have some blocks later. Who has: emrchain erase ${record} --status`
      await printSent(globals, `The erasure of ${record}`, sent, further)
    })
  addExamples(erase, [
    ['erase bafyrei... --ground consent_withdrawn', 'there is no way back'],
    ['erase bafyrei... --status', 'who has destroyed what'],
  ])
}

function linesOf(
  { record, erasure, state, confirmations, nodes }: ErasureStatus,
  nameOf: (id: string) => string,
): string[] {
  if (erasure === null) return [`Nothing erases ${record}.`]
  const place =
    state === 'pending'
      ? 'waits for a block; custodians refuse the record already'
      : `has ${counted(confirmations, 'confirmation')}`
  return [
    `The erasure ${erasure} ${place}.`,
    ...nodes.map(({ node, isCustodian, destroyed, at }) => {
      const who = `${nameOf(node)}${isCustodian ? '' : ' (no custodian)'}`
      return destroyed ? `  ${who}: destroyed ${destroyed.join(', ')}, ${at}` : `  ${who}: has not confirmed`
    }),
  ]
}
