import type { Command } from 'commander'
import type { Draft } from '../../client/consent/draft.js'
import { EmrError } from '../../errors.js'
import { capabilities, revocationReasons } from '../../protocol/consent-vocabulary.js'
import { collect } from '../collect.js'
import { addExamples } from '../examples.js'
import { type Globals, globalsOf } from '../globals.js'
import { print } from '../output.js'

interface CertifyFlags {
  can?: string[]
  from?: string
  until?: string
  mine?: true
  draft?: string
}

/** `emrchain certify` and `decertify`: who acts in which role. */
export function registerCertify(program: Command): void {
  const certify = program
    .command('certify')
    .argument('<id>', 'whom: an id, or a name of your contacts')
    .description('certify somebody in the role of their identity, as an administrator or an organisation')
    .option('--can <what>', 'of a node: mine, custody; more than once, or with commas', collect)
    .option('--from <time>', 'from this date on; default: now')
    .option('--until <time>', 'up to this date, or so long from now: 90d, 1y; default: without end')
    .option('--mine', 'mine a block at once')
    .option('--draft <file>', 'send nothing, and write it for other administrators to approve')
    .action(async (who: string, flags: CertifyFlags, self: Command) => {
      const { certify } = await import('../../client/person/certify.js')
      const { openConsentSession, printSent } = await import('../consent/session.js')
      const { bitsOf, timeOf } = await import('../consent/words.js')
      const terms = {
        capabilities: bitsOf('--can', flags.can ?? [], capabilities),
        from: flags.from === undefined ? undefined : timeOf('--from', flags.from),
        until: flags.until === undefined ? undefined : timeOf('--until', flags.until),
      }
      const session = await openConsentSession(globalsOf(self))
      const subject = session.contacts.idOf(who)
      if (flags.draft !== undefined) {
        assertUnsent(flags)
        const { draftCertify } = await import('../../client/person/approve-draft.js')
        return printDraft(globalsOf(self), flags.draft, await draftCertify(session, { subject, ...terms }))
      }
      const done = await certify(session, { subject, ...terms }, flags)
      await printSent(globalsOf(self), `The certificate of ${who} as ${done.role}`, done)
    })
  addExamples(certify, [
    ['certify bafyrei... --until 1y', 'a doctor, for a year'],
    ['certify "node 1" --can mine,custody', 'as an organisation: a node that mines and keeps shares'],
  ])

  const decertify = program
    .command('decertify')
    .argument('<certificate>', 'id of the certificate, as "identity show" prints it')
    .description('end a certificate, and so what was issued under it')
    .option('--reason <reason>', 'unspecified, key_compromised, left, superseded', 'unspecified')
    .option('--mine', 'mine a block at once')
    .option('--draft <file>', 'send nothing, and write it for other administrators to approve')
    .action(async (certificate: string, flags: { reason: string; mine?: true; draft?: string }, self: Command) => {
      const { decertify } = await import('../../client/person/certify.js')
      const { openConsentSession, printSent } = await import('../consent/session.js')
      const { oneOf } = await import('../consent/words.js')
      const reason = oneOf('--reason', flags.reason.replaceAll('-', '_'), revocationReasons)
      const session = await openConsentSession(globalsOf(self))
      if (flags.draft !== undefined) {
        assertUnsent(flags)
        const { draftDecertify } = await import('../../client/person/approve-draft.js')
        return printDraft(globalsOf(self), flags.draft, await draftDecertify(session, { certificate, reason }))
      }
      const done = await decertify(session, { certificate, reason }, flags)
      await printSent(globalsOf(self), 'The end of the certificate', done)
    })
  addExamples(decertify, [['decertify bafyrei... --reason left', '']])
}

function assertUnsent({ mine }: { mine?: true }): void {
  if (mine) throw new EmrError('usage', 'A draft is not sent, so there is nothing to mine.')
}

async function printDraft(globals: Globals, path: string, draft: Draft): Promise<void> {
  const { writeDraft } = await import('../consent/draft-file.js')
  await writeDraft(path, draft)
  const text = `${path} waits for other administrators: "emrchain approve ${path} --sign". Then send it with --send.`
  await print(globals, { document: { draft: path, kind: draft.kind }, text })
}
