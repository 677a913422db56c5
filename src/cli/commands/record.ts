import type { Command } from 'commander'
import { collect } from '../collect.js'
import type { ReadFlags, RecordFlags } from '../consent/record-by-flags.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { groups } from '../groups.js'
import { print } from '../output.js'
import { bytesText, printable } from '../text.js'

/** `emrchain record` and `read`: files under consent. */
export function registerRecord(program: Command): void {
  const record = program
    .command('record')
    .helpGroup(groups.patients)
    .argument('<file>', 'file to encrypt and store; it is only read')
    .description('put a file under consent: encrypted, its key shared with custodians, nothing of it in clear')
    .requiredOption('--name <name>', 'what it is called, for those who may read it')
    .requiredOption('--class <class>', 'note, lab, imaging, medication, allergy, immunisation, claim, ...')
    .option('--patient <id>', 'whose record it is, with a grant to append; default: your own')
    .option('--grant <id>', 'the grant; default: the newest that allows it')
    .option('--for <purpose>', 'TREAT, ...; of your own: PATRQT')
    .option('--confidentiality <level>', 'low, normal, restricted, very_restricted', 'normal')
    .option('--sensitive <matter>', 'PSY, HIV, SDV, ETH; more than once', collect)
    .option('--supersedes <record>', 'the record that it replaces')
    .option('--draft <file>', 'with --supersedes: write it to this file for a doctor to approve, and send nothing')
    .option('--mine', 'mine a block at once')
    .action(async (path: string, flags: RecordFlags, self: Command) => {
      const { recordByFlags } = await import('../consent/record-by-flags.js')
      const { noteMoved, printSent } = await import('../consent/session.js')
      const done = await recordByFlags(path, flags, globalsOf(self))
      noteMoved(done.moved)
      for (const failure of done.failures) process.stderr.write(`${printable(failure)}\n`)
      if ('draft' in done) {
        const text = `It is stored, kept by ${done.custodians}, and written to ${done.draft}. A doctor looks at it and signs: emrchain approve ${done.draft} --sign\nThen you send it, within seven days: emrchain approve ${done.draft} --send`
        await print(globalsOf(self), { document: done, text: text.split('\n').map(printable).join('\n') })
        return
      }
      await printSent(
        globalsOf(self),
        `The record of ${flags.name} (${bytesText(done.size)}, kept by ${done.custodians})`,
        done,
      )
    })
  addExamples(record, [
    ['record MRI.dcm --name MRI --class imaging', 'your own'],
    ['record blood.pdf --name "Blood count" --class lab --patient Ann', 'of a patient who lets you append'],
    [
      'record blood.pdf --name "Blood count" --class lab --patient Ann --supersedes bafyrei... --draft blood.draft',
      'of a laboratory technician: a doctor has to approve what amends',
    ],
  ])

  const read = program
    .command('read')
    .helpGroup(groups.providers)
    .argument('<record>', 'id of a record')
    .description('read a record under consent; that you do is on the chain, for the patient to see')
    .requiredOption('-o, --output <file>', 'where to write it; in a folder it gets its own name')
    .option('--for <purpose>', 'TREAT, HPAYMT, ...; of your own: PATRQT')
    .option('--grant <id>', 'the grant; default: the newest that allows it')
    .option('--share <file>', 'what your organisation gave you of it with "emrchain share"')
    .option('--mine', 'mine a block at once, where the grant counts its uses')
    .option('--force', 'replace a file that is there')
    .action(async (id: string, flags: ReadFlags, self: Command) => {
      const { readByFlags } = await import('../consent/record-by-flags.js')
      const done = await readByFlags(id, flags, globalsOf(self))
      const text = printable(`${done.name} is in ${done.path} (${bytesText(done.size)}), decrypted and checked.`)
      await print(globalsOf(self), { document: done, text })
    })
  addExamples(read, [
    ['read bafyrei... -o .', ''],
    ['read bafyrei... -o claim.pdf --for HPAYMT', ''],
    ['read bafyrei... -o . --share grey.json', 'under a grant to your hospital'],
  ])
}
