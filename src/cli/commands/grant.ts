import type { Command } from 'commander'
import { collect } from '../collect.js'
import type { GrantFlags, RevokeFlags } from '../consent/grants.js'
import { addScopeOptions } from '../consent/scope-options.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { printable } from '../text.js'

/** `emrchain grant`, `grants` and `revoke`: what a patient allows, and ends. */
export function registerGrant(program: Command): void {
  const grant = addScopeOptions(
    program
      .command('grant')
      .argument('<who>', 'a person or organisation: an id, or a name of your contacts; with --deny also "everybody"')
      .description('allow somebody to read records, or forbid it')
      .option('--as <role>', 'only in this role; more than once; default: the role that they have', collect)
      .option('--deny', 'forbid it instead, whatever else allows it')
      .option('--request <id>', 'the request that it answers')
      .option('--mine', 'mine a block at once'),
  ).action(async (who: string, flags: GrantFlags, self: Command) => {
    const { giveGrant } = await import('../consent/grants.js')
    const { printSent } = await import('../consent/session.js')
    const sent = await giveGrant(who, flags, globalsOf(self))
    await printSent(globalsOf(self), flags.deny ? `What is forbidden to ${who}` : `The grant to ${who}`, sent)
  })
  addExamples(grant, [
    ['grant "Dr. Grey" --class lab,imaging', 'to read them for treatment, for 90 days'],
    ['grant "St. Mary" --record bafyrei... --until 2027-03-01', 'one record, to whom the hospital certifies'],
    ['grant Insurance --class claim --for HPAYMT --may LIST,READ --uses 3', ''],
    ['grant "Dr. No" --deny --class all --may LIST,READ,DOWNLOAD', 'forbids it'],
  ])

  const list = program
    .command('grants')
    .description('show what you allow and forbid, and what is over with --all')
    .option('--all', 'also what is revoked, used up or over')
    .action(async ({ all }: { all?: true }, self: Command) => {
      const { grantsOf, grantState } = await import('../consent/grants.js')
      const { actingOf, openConsentSession } = await import('../consent/session.js')
      const session = await openConsentSession(globalsOf(self))
      const { id } = await actingOf(session)
      const grants = []
      for await (const grant of grantsOf(session, id)) {
        const state = grantState(grant, Date.now())
        if (all || state === 'in force' || state === 'not yet in force') grants.push({ ...grant, state })
      }
      const lines = grants.map(({ id: grant, grantee, deny, text, state, used }) => {
        const who = grantee === null ? 'everybody' : session.contacts.nameOf(grantee)
        return printable(
          `${grant}  ${deny ? 'DENY ' : ''}${who}: ${text}; ${state}${used > 0 ? `, used ${used} times` : ''}`,
        )
      })
      const document = { grants: grants.map(({ body: _, ...grant }) => grant) }
      await print(globalsOf(self), { document, text: lines.join('\n') || 'You allow and forbid nothing to anybody.' })
    })
  addExamples(list, [
    ['grants', ''],
    ['grants --all --json', ''],
  ])

  const revoke = program
    .command('revoke')
    .argument('[grant]', 'id of a grant or of what is forbidden, as "grants" prints it')
    .description('end consent; what is written from then on has other keys')
    .option('--to <who>', 'instead: all grants to this person or organisation')
    .option('--all', 'instead: all grants; what is forbidden stays')
    .option('--mine', 'mine a block at once')
    .action(async (grant: string | undefined, flags: RevokeFlags, self: Command) => {
      const { revoke } = await import('../consent/grants.js')
      const { printSent } = await import('../consent/session.js')
      await printSent(globalsOf(self), 'The revocation', await revoke(grant, flags, globalsOf(self)))
    })
  addExamples(revoke, [
    ['revoke bafyrei...', 'one grant'],
    ['revoke --to "Dr. Grey" --mine', 'all that Dr. Grey may'],
  ])
}
