import type { Command } from 'commander'
import { EmrError } from '../../errors.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'

interface ApproveFlags {
  sign?: true
  send?: true
  mine?: true
}

/** `emrchain approve`: what takes more than one: administrators, or a doctor beside who amends. */
export function registerApprove(program: Command): void {
  const approve = program
    .command('approve')
    .argument('<draft>', 'file that "certify --draft", "decertify --draft" or "record --draft" wrote')
    .description(
      'look at what another administrator decided, or at an amendment; sign it, or send what others have signed',
    )
    .option('--sign', 'put your signature into the file')
    .option('--send', 'of its author: sign it and hand it in')
    .option('--mine', 'with --send: mine a block at once')
    .action(async (path: string, { sign, send, mine }: ApproveFlags, self: Command) => {
      if (sign && send) throw new EmrError('usage', 'Others sign; the author sends.')
      if (mine && !send) throw new EmrError('usage', '--mine goes with --send.')
      const { readDraftFile, writeDraft } = await import('../consent/draft-file.js')
      const { openDraft } = await import('../consent/approve-by-flags.js')
      const { openConsentSession, printSent } = await import('../consent/session.js')
      const globals = globalsOf(self)
      const draft = await readDraftFile(path)
      const session = await openConsentSession(globals)
      const opened = await openDraft(session, draft)
      if (send) {
        await printSent(globals, 'What you decided together', await opened.send({ mine }))
        return
      }
      const signed = sign ? await opened.sign() : undefined
      if (signed) await writeDraft(path, signed, { force: true })
      const shown = signed ? await openDraft(session, signed) : opened
      const next = sign
        ? `Your signature is in ${path}. Give it to the next who has to sign, or back to its author.`
        : 'Nothing was signed. --sign puts your signature into the file.'
      const text = `${shown.text(session.contacts.nameOf)}\n${next}`
      await print(globals, { document: { ...shown.document, signed: sign === true }, text })
    })
  addExamples(approve, [
    ['certify "St. Mary" --draft mary.draft', 'what the first administrator does, and sends the file to the second'],
    ['approve mary.draft', 'the second looks at it'],
    ['approve mary.draft --sign', 'and signs; the file goes back'],
    ['approve mary.draft --send', 'the first hands it in'],
    ['approve blood.draft --sign', 'a doctor, of what a laboratory technician amends'],
  ])
}
