import type { Command } from 'commander'
import type { ExplainFlags } from '../consent/explain.js'
import type { RequestFlags } from '../consent/requests.js'
import { addScopeOptions } from '../consent/scope-options.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print, write } from '../output.js'
import { printable } from '../text.js'

/** `emrchain request`, `requests`, `explain` and `audit`: asking for consent, and looking at it. */
export function registerRequest(program: Command): void {
  const request = addScopeOptions(
    program
      .command('request')
      .argument('<patient>', 'id, or a name of your contacts')
      .description('ask a patient for a grant')
      .option('--organisation', 'to whom certified you, in the place of yourself')
      .option('--mine', 'mine a block at once'),
  ).action(async (patient: string, flags: RequestFlags, self: Command) => {
    const { sendRequest } = await import('../consent/requests.js')
    const { printSent } = await import('../consent/session.js')
    await printSent(globalsOf(self), `The request to ${patient}`, await sendRequest(patient, flags, globalsOf(self)))
  })
  addExamples(request, [['request bafyrei... --class lab --for TREAT --until 30d', '']])

  const requests = program
    .command('requests')
    .description('show what you were asked for')
    .option('--all', 'also what you answered with a grant')
    .action(async ({ all }: { all?: true }, self: Command) => {
      const { requestsOf } = await import('../consent/requests.js')
      const { actingOf, openConsentSession } = await import('../consent/session.js')
      const session = await openConsentSession(globalsOf(self))
      const { id } = await actingOf(session)
      const found = (await requestsOf(session, id)).filter(({ answers }) => all || answers.length === 0)
      const lines = found.map(({ id: request, author, grantee, text, answers }) => {
        const to = grantee === author ? '' : ` to ${session.contacts.nameOf(grantee)}`
        const answer = answers.length > 0 ? `; answered by ${answers.join(', ')}` : ''
        return printable(`${request}  ${session.contacts.nameOf(author)} asks for a grant${to}: ${text}${answer}`)
      })
      await print(globalsOf(self), {
        document: { requests: found },
        text: lines.join('\n') || 'Nobody waits for an answer.',
      })
    })
  addExamples(requests, [['requests', 'then: emrchain grant WHO --request ID ...']])

  const explain = program
    .command('explain')
    .argument('<record>', 'id of a record')
    .description('say whether somebody may read a record, by which grant, or why not')
    .requiredOption('--who <id>', 'id, or a name of your contacts')
    .option('--for <purpose>', 'TREAT, HPAYMT, HRESCH, ...', 'TREAT')
    .option('--may <action>', 'LIST, READ, DOWNLOAD, APPEND, ...', 'READ')
    .action(async (record: string, flags: ExplainFlags, self: Command) => {
      const { explain } = await import('../consent/explain.js')
      const { lines, ...document } = await explain(record, flags, globalsOf(self))
      await print(globalsOf(self), { document, text: printableLines(lines) })
      if (!document.allowed) process.exitCode = exitCodes.refused.code
    })
  addExamples(explain, [
    ['explain bafyrei... --who "Dr. Grey"', ''],
    ['explain bafyrei... --who bafyrei... --for HPAYMT', ''],
  ])

  const audit = program
    .command('audit')
    .description('show who did what with your records: each access, refusal, grant and end of one')
    .option('--csv', 'as a table for spreadsheets')
    .action(async ({ csv }: { csv?: true }, self: Command) => {
      const { auditCsv, auditOf } = await import('../consent/audit.js')
      const { actingOf, openConsentSession } = await import('../consent/session.js')
      const session = await openConsentSession(globalsOf(self))
      const { id } = await actingOf(session)
      const entries = await auditOf(session, id)
      if (csv) return write(auditCsv(entries))
      const { contacts } = session
      const lines = entries.map(({ time, who, what, record, grant, result }) => {
        const about = record ? ` of ${record}` : ''
        const under = grant ? `, under ${grant}` : ''
        const outcome = result === 'accepted' ? '' : `; REFUSED: ${result}`
        return printable(
          `${time}  ${who === id ? 'you' : contacts.nameOf(who)}: ${contacts.inText(what)}${about}${under}${outcome}`,
        )
      })
      await print(globalsOf(self), { document: { entries }, text: lines.join('\n') || 'Nothing has happened yet.' })
    })
  addExamples(audit, [
    ['audit', ''],
    ['audit --csv > audit.csv', ''],
  ])
}

const printableLines = (lines: readonly string[]): string =>
  lines
    .flatMap((line) => line.split('\n'))
    .map(printable)
    .join('\n')
