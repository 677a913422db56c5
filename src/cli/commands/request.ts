import type { Command } from 'commander'
import { collect } from '../collect.js'
import type { ExplainFlags } from '../consent/explain.js'
import { addScopeOptions, type ScopeFlags } from '../consent/scope-options.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { groups } from '../groups.js'
import { print, write } from '../output.js'
import { printable } from '../text.js'

interface RequestFlags extends ScopeFlags {
  readonly organisation?: true
  readonly mine?: true
}

/** `emrchain request`, `requests`, `explain` and `audit`: asking for consent, and looking at it. */
export function registerRequest(program: Command): void {
  const request = addScopeOptions(
    program
      .command('request')
      .helpGroup(groups.providers)
      .argument('<patient>', 'id, or a name of your contacts')
      .description('ask a patient for a grant')
      .option('--organisation', 'to whom certified you, in the place of yourself')
      .option('--mine', 'mine a block at once'),
  ).action(async (patient: string, flags: RequestFlags, self: Command) => {
    const { sendRequest } = await import('../../client/person/requests.js')
    const { scopeOfFlags } = await import('../consent/scope-flags.js')
    const { openConsentSession, printSent } = await import('../consent/session.js')
    const session = await openConsentSession(globalsOf(self))
    const scope = scopeOfFlags(flags, session.now())
    const asked = { patient: session.contacts.idOf(patient), forOrganisation: flags.organisation, ...scope }
    await printSent(globalsOf(self), `The request to ${patient}`, await sendRequest(session, asked, flags))
  })
  addExamples(request, [['request bafyrei... --class lab --for TREAT --until 30d', '']])

  const requests = program
    .command('requests')
    .helpGroup(groups.patients)
    .description('show what you were asked for')
    .option('--all', 'also what you answered with a grant, or declined')
    .option(
      '--decline <id>',
      'set a request aside; a request allows nothing, and nobody is told; more than once',
      collect,
    )
    .action(async ({ all = false, decline = [] }: { all?: boolean; decline?: string[] }, self: Command) => {
      const { listRequests } = await import('../consent/list-requests.js')
      const { document, lines } = await listRequests({ isAll: all, decline }, globalsOf(self))
      await print(globalsOf(self), {
        document,
        text: lines.map(printable).join('\n') || 'Nobody waits for an answer.',
      })
    })
  addExamples(requests, [
    ['requests', 'then: emrchain grant WHO --request ID ...'],
    ['requests --decline bafyrei...', 'only --all shows it from then on'],
  ])

  const explain = program
    .command('explain')
    .helpGroup(groups.patients)
    .argument('<record>', 'id of a record')
    .description('say whether somebody may read a record, by which grant, or why not')
    .requiredOption('--who <id>', 'id, or a name of your contacts')
    .option('--for <purpose>', 'TREAT, HPAYMT, HRESCH, ...', 'TREAT')
    .option('--may <action>', 'LIST, READ, DOWNLOAD, APPEND, ...', 'READ')
    .action(async (record: string, flags: ExplainFlags, self: Command) => {
      const { explain } = await import('../consent/explain.js')
      const { lines, permission } = await explain(record, flags, globalsOf(self))
      const { allowed, grant, ending, tried } = permission
      const document = { allowed, grant: grant?.id ?? null, ending, tried }
      await print(globalsOf(self), { document, text: lines.map(printable).join('\n') })
      if (!allowed) process.exitCode = exitCodes.refused.code
    })
  addExamples(explain, [
    ['explain bafyrei... --who "Dr. Grey"', ''],
    ['explain bafyrei... --who bafyrei... --for HPAYMT', ''],
  ])

  const audit = program
    .command('audit')
    .helpGroup(groups.patients)
    .description('show who did what with your records: each access, refusal, grant and end of one')
    .option('--csv', 'as a table for spreadsheets')
    .action(async ({ csv }: { csv?: true }, self: Command) => {
      const { auditCsv, auditOf } = await import('../../client/person/audit.js')
      const { ownIdOf } = await import('../../client/person/person-session.js')
      const { openConsentSession } = await import('../consent/session.js')
      const session = await openConsentSession(globalsOf(self))
      const id = ownIdOf(session)
      const entries = await auditOf(session, id)
      if (csv) return write(auditCsv(entries))
      const { contacts } = session
      const lines = entries.map(({ time, who, what, record, grant, result, state }) => {
        const about = record ? `, record ${record}` : ''
        const under = grant ? `, under ${grant}` : ''
        const refused = result === 'accepted' ? '' : `; REFUSED: ${result}`
        const outcome = `${refused}${state === 'pending' ? '; waits for a block' : ''}`
        return printable(
          `${time}  ${who === id ? 'you' : contacts.nameOf(who)}: ${contacts.inText(what).replaceAll(id, 'you')}${about}${under}${outcome}`,
        )
      })
      await print(globalsOf(self), { document: { entries }, text: lines.join('\n') || 'Nothing has happened yet.' })
    })
  addExamples(audit, [
    ['audit', ''],
    ['audit --csv > audit.csv', ''],
  ])
}
