import type { Command } from 'commander'
import { collect } from '../collect.js'
import type { RegisterFlags } from '../consent/register-by-flags.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { facts, printable } from '../text.js'

/** `emrchain identity`: who this person, organisation or node is on the network. */
export function registerIdentity(program: Command): void {
  const group = program.command('identity').description('be somebody on the network: register, show, change keys')

  const register = group
    .command('register')
    .description('register the wallet, or a node, on the network; its secrets are kept in the wallet')
    .requiredOption('--role <role>', 'patient, doctor, nurse, organisation, administrator, node, ...')
    .option('--custodian <id>', 'node that keeps shares of the keys; of a patient, more than once', collect)
    .option('--data <dir>', 'of a node: its data folder, whose node.key is registered')
    .option('--recovery <file>', 'write a recovery key, to be kept offline, to this file')
    .option('--mine', 'mine a block at once')
    .action(async (flags: RegisterFlags, self: Command) => {
      const { registerByFlags } = await import('../consent/register-by-flags.js')
      const done = await registerByFlags(flags, globalsOf(self))
      const text = facts([
        ['id', done.id],
        ['role', done.role],
        ['key', done.key],
        ['transaction', done.state === 'confirmed' ? 'on the chain' : 'waits for a block'],
        ['the contract says', done.result.sentence],
        ...(flags.recovery === undefined ? [] : [['recovery key', flags.recovery] as [string, string]]),
      ])
      await print(globalsOf(self), { document: done, text })
      if (flags.recovery !== undefined) await adviseOnRecovery()
      if (done.result.code !== 0) process.exitCode = exitCodes.refused.code
    })
  addExamples(register, [
    ['identity register --role doctor', 'what others call you by is the id that it prints'],
    ['identity register --role patient --custodian bafy... --custodian bafy...', 'nodes of different organisations'],
    ['identity register --role patient --recovery /media/stick/recovery.age', 'for the day that the wallet is lost'],
    ['identity register --role node --data emrchain-data/clinic', 'the node that keeps this folder'],
  ])

  const show = group
    .command('show')
    .argument('[id]', 'id, or a name of your contacts; yourself if left out')
    .description('show an identity as the chain has it, and its certificates')
    .action(async (who: string | undefined, _flags: object, self: Command) => {
      const { showIdentity } = await import('../consent/show-identity.js')
      const { document, text } = await showIdentity(who, globalsOf(self))
      await print(globalsOf(self), { document, text })
    })
  addExamples(show, [
    ['identity show', ''],
    ['identity show "Dr. Grey"', 'a name of your contacts'],
  ])

  const custodians = group
    .command('custodians')
    .argument('<id...>', 'all nodes that are to keep shares: ids, or names of your contacts')
    .description('as a patient: choose other nodes to keep shares of your keys; those of before hand theirs over')
    .option('--mine', 'mine a block at once')
    .action(async (ids: string[], { mine }: { mine?: true }, self: Command) => {
      const { chooseCustodians } = await import('../../client/person/choose-custodians.js')
      const { openConsentSession, printSent } = await import('../consent/session.js')
      const { adviseOnCustodians } = await import('../consent/register-by-flags.js')
      const session = await openConsentSession(globalsOf(self))
      const chosen = ids.map(session.contacts.idOf)
      const sent = await chooseCustodians(session, chosen, { mine })
      await adviseOnCustodians(session, chosen)
      await printSent(globalsOf(self), 'The choice of custodians', sent)
    })
  addExamples(custodians, [['identity custodians "node of St. Mary" "node of the city"', 'of different organisations']])

  const rotate = group
    .command('rotate')
    .description('replace all keys by new ones, because the old ones may be known to others; the id stays')
    .option('--recovery <file>', 'also write a new recovery key, in the place of any other, to this file')
    .option('--mine', 'mine a block at once')
    .action(async ({ recovery, mine }: RotateFlags, self: Command) => {
      const { rotateKeys } = await import('../../client/person/rotate-keys.js')
      const { recoveryKeeper } = await import('../consent/recovery-by-flags.js')
      const { openConsentSession } = await import('../consent/session.js')
      const keepRecovery = recovery === undefined ? undefined : await recoveryKeeper(recovery)
      const { showSteps } = await import('../show-count.js')
      const session = await openConsentSession(globalsOf(self))
      const { onSent, stop } = showSteps()
      const done = await rotateKeys(session, { mine, keepRecovery, onSent }).finally(stop)
      const when = done.state === 'confirmed' ? 'They count from now on' : 'They count when a block holds them'
      const text = `The new keys of ${done.identity} are in the wallet. ${when}; what was sealed to the old ones still opens.`
      await print(globalsOf(self), { document: done, text })
      if (recovery !== undefined) await adviseOnRecovery()
    })
  addExamples(rotate, [
    ['identity rotate --mine', ''],
    ['identity rotate --recovery /media/stick/recovery.age', 'with a recovery key, which counts from then on'],
  ])

  const recover = group
    .command('recover')
    .description('when the wallet is lost or stolen: new keys by the recovery key, into this wallet; the id stays')
    .requiredOption('--recovery <file>', 'what register or rotate wrote')
    .option('--mine', 'mine a block at once')
    .action(async (flags: { recovery: string; mine?: true }, self: Command) => {
      const { recoverByFlags } = await import('../consent/recovery-by-flags.js')
      const { done, lines } = await recoverByFlags(flags, globalsOf(self))
      await print(globalsOf(self), { document: done, text: lines.map(printable).join('\n') })
      if (done.result.code !== 0) process.exitCode = exitCodes.refused.code
    })
  addExamples(recover, [
    ['wallet init', 'a new wallet, where the old one is lost'],
    ['identity recover --recovery /media/stick/recovery.age --mine', ''],
  ])
}

interface RotateFlags {
  readonly recovery?: string
  readonly mine?: true
}

async function adviseOnRecovery(): Promise<void> {
  const { RECOVERY_ADVICE } = await import('../consent/recovery-by-flags.js')
  process.stderr.write(`Note: the recovery key is written. ${RECOVERY_ADVICE}\n`)
}
