import type { Command } from 'commander'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { groups } from '../groups.js'
import { print } from '../output.js'
import { printable } from '../text.js'

/** `emrchain records`: what there is of a patient. */
export function registerRecords(program: Command): void {
  const records = program
    .command('records')
    .helpGroup(groups.patients)
    .description('list your records under consent: id, class, who wrote it and when; titles are with the custodians')
    .option('--patient <who>', 'of somebody else: an id, or a name of your contacts')
    .option('--all', 'also what was superseded or erased')
    .action(async ({ patient, all }: { patient?: string; all?: true }, self: Command) => {
      const { ownIdOf } = await import('../../client/person/person-session.js')
      const { recordsOf } = await import('../../client/person/records.js')
      const { openConsentSession } = await import('../consent/session.js')
      const session = await openConsentSession(globalsOf(self))
      const { contacts } = session
      const whose = patient === undefined ? ownIdOf(session) : contacts.idOf(patient)
      const found = []
      for await (const record of recordsOf(session, whose)) if (all || record.state === 'current') found.push(record)
      const lines = found.map(({ id, at, author, class: recordClass, state }) => {
        const who = author === whose ? (patient ?? 'you') : contacts.nameOf(author)
        return printable(
          `${id}  ${recordClass}, by ${who}, ${at.slice(0, 16).replace('T', ' ')}${state === 'current' ? '' : `, ${state}`}`,
        )
      })
      await print(globalsOf(self), { document: { records: found }, text: lines.join('\n') || 'There is no record.' })
    })
  addExamples(records, [
    ['records', 'then: emrchain read ID -o .'],
    ['records --patient Ann --all', ''],
  ])
}
