import type { Command } from 'commander'
import { purposes } from '../../protocol/consent-vocabulary.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { printable } from '../text.js'

interface ShareFlags {
  readonly with: string
  readonly for: string
  readonly output: string
  readonly force?: true
}

/** `emrchain share`: what an organisation hands to those whom it has certified. */
export function registerShare(program: Command): void {
  const share = program
    .command('share')
    .argument('<record>', 'id of a record that a grant to your organisation covers')
    .description('as an organisation: seal a record that was granted to it to one of its certified people')
    .requiredOption('--with <who>', 'id, or a name of your contacts')
    .requiredOption('-o, --output <file>', 'where to write what to hand over; only they can open it')
    .option('--for <purpose>', 'TREAT, HPAYMT, ...', 'TREAT')
    .option('--force', 'replace a file that is there')
    .action(async (record: string, flags: ShareFlags, self: Command) => {
      const { shareRecord } = await import('../../client/person/share-record.js')
      const { writeMemberShare } = await import('../consent/member-share-file.js')
      const { openConsentSession } = await import('../consent/session.js')
      const { oneOf } = await import('../consent/words.js')
      const { assertFree } = await import('../write-output.js')
      oneOf('--for', flags.for, purposes)
      await assertFree(flags.output, flags)
      const session = await openConsentSession(globalsOf(self))
      const member = session.contacts.idOf(flags.with)
      const shared = await shareRecord(session, { record, member, purpose: flags.for.toUpperCase() })
      await writeMemberShare(flags.output, shared, flags)
      const text = `${flags.output} is for ${flags.with} alone, who reads the record with:\nemrchain read ${record} --share ${flags.output} -o .`
      await print(globalsOf(self), {
        document: { ...shared, path: flags.output },
        text: text.split('\n').map(printable).join('\n'),
      })
    })
  addExamples(share, [['share bafyrei... --with "Dr. Grey" -o grey.json', 'then give the file to Dr. Grey']])
}
