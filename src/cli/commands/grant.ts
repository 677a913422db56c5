import type { Command } from 'commander'
import { collect } from '../collect.js'
import type { GrantFlags, RevokeFlags } from '../consent/grant-by-flags.js'
import { addScopeOptions } from '../consent/scope-options.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { groups } from '../groups.js'
import { print } from '../output.js'
import { counted, printable } from '../text.js'

/** `emrchain grant`, `grants` and `revoke`: what a patient allows, and ends. */
export function registerGrant(program: Command): void {
  const grant = addScopeOptions(
    program
      .command('grant')
      .helpGroup(groups.patients)
      .argument('<who>', 'a person or organisation: an id, or a name of your contacts; with --deny also "everybody"')
      .description('allow somebody to read records, or forbid it')
      .option('--as <role>', 'only in this role; more than once; default: the role that they have', collect)
      .option('--deny', 'forbid it instead, whatever else allows it')
      .option('--request <id>', 'the request that it answers')
      .option('--on-behalf-of <patient>', 'as a delegate: in the place of this patient, under a grant with REGRANT')
      .option('--mine', 'mine a block at once'),
  ).action(async (who: string, flags: GrantFlags, self: Command) => {
    const { grantByFlags } = await import('../consent/grant-by-flags.js')
    const { noteMoved, printSent } = await import('../consent/session.js')
    const sent = await grantByFlags(who, flags, globalsOf(self))
    const what = flags.deny ? `What is forbidden to ${who}` : `The grant to ${who}`
    const { parts = [], moved = [] } = sent
    noteMoved(moved)
    const further =
      parts.length > 0 ? ` It took ${parts.length + 1} grants to hold all keys; they are one, and end as one.` : ''
    await printSent(globalsOf(self), what, sent, `It is: ${sent.text}.${further}`)
  })
  addExamples(grant, [
    ['grant "Dr. Grey" --class lab,imaging', 'to read them for treatment, for 90 days'],
    ['grant "St. Mary" --record bafyrei... --until 2027-03-01', 'one record, to whom the hospital certifies'],
    ['grant Insurance --class claim --for HPAYMT --may LIST,READ --uses 3', ''],
    ['grant Mother --class all --may LIST,READ,DOWNLOAD,REGRANT', 'a delegate, who may give it on'],
    ['grant "Dr. Grey" --class lab --until 30d --on-behalf-of Ann', 'what the delegate then does'],
    ['grant "Dr. No" --deny --class all', 'forbids it, for ever and for every purpose'],
    ['grant "Dr. Grey" --request bafyrei...', 'as it was asked for'],
  ])

  const list = program
    .command('grants')
    .helpGroup(groups.patients)
    .description('show what you allow and forbid, and what is over with --all')
    .option('--all', 'also what is revoked, used up or over')
    .action(async ({ all }: { all?: true }, self: Command) => {
      const { listGrants } = await import('../consent/list-grants.js')
      const { document, lines } = await listGrants({ isAll: all === true }, globalsOf(self))
      const text = lines.map(printable).join('\n') || 'You allow and forbid nothing to anybody.'
      await print(globalsOf(self), { document, text })
    })
  addExamples(list, [
    ['grants', ''],
    ['grants --all --json', ''],
  ])

  const revoke = program
    .command('revoke')
    .helpGroup(groups.patients)
    .argument('[grant]', 'id of a grant or of what is forbidden, as "grants" prints it')
    .description('end consent; what is written from then on has other keys')
    .option('--to <who>', 'instead: all grants to this person or organisation')
    .option('--all', 'instead: all grants; what is forbidden stays')
    .option(
      '--on-behalf-of <patient>',
      'as a delegate: what you gave in the place of this patient; or a grant that you got',
    )
    .option('--ended', 'instead: nothing more, but move the keys on that grants have which are over')
    .option('--mine', 'mine a block at once')
    .action(async (grant: string | undefined, flags: RevokeFlags, self: Command) => {
      const { moveByFlags, revokeByFlags } = await import('../consent/grant-by-flags.js')
      const { printSent } = await import('../consent/session.js')
      if (flags.ended) {
        const { document, text } = await moveByFlags(grant, flags, globalsOf(self))
        return print(globalsOf(self), { document, text })
      }
      const done = await revokeByFlags(grant, flags, globalsOf(self))
      const further: string[] = []
      if (flags.onBehalfOf) further.push('The keys of its classes move on with the next deed of the patient.')
      else if (done.moved.length > 1)
        further.push('Grants that stay were given anew with new keys, under new ids; "grants" shows them.')
      if (done.staying > 0) {
        const others = counted(done.staying, 'other grant')
        further.push(`Whoever had it has ${others} in force: "grants" shows them, "revoke --to WHO" ends all.`)
      }
      await printSent(globalsOf(self), 'The revocation', done, further.join('\n'))
    })
  addExamples(revoke, [
    ['revoke bafyrei...', 'one grant'],
    ['revoke --to "Dr. Grey" --mine', 'all that Dr. Grey may'],
    ['revoke --to "Dr. Grey" --on-behalf-of Ann', 'all that you gave Dr. Grey in the place of Ann'],
    ['revoke --ended', 'what "grants" says that has to move'],
  ])
}
