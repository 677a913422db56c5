import type { Command } from 'commander'
import { collect } from '../collect.js'
import { addExamples } from '../examples.js'
import { exitCodes } from '../exit-codes.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { facts } from '../text.js'

interface RegisterFlags {
  role: string
  custodian?: string[]
  data?: string
  mine?: true
}

/** `emrchain identity`: who this person, organisation or node is on the network. */
export function registerIdentity(program: Command): void {
  const group = program.command('identity').description('be somebody on the network: register, show, change keys')

  const register = group
    .command('register')
    .description('register the wallet, or a node, on the network; its secrets are kept in the wallet')
    .requiredOption('--role <role>', 'patient, doctor, nurse, organisation, administrator, node, ...')
    .option('--custodian <id>', 'node that keeps shares of the keys; of a patient, more than once', collect)
    .option('--data <dir>', 'of a node: its data folder, whose node.key is registered')
    .option('--mine', 'mine a block at once')
    .action(async (flags: RegisterFlags, self: Command) => {
      const { registerIdentity: run } = await import('../consent/register-identity.js')
      const done = await run(flags, globalsOf(self))
      const text = facts([
        ['id', done.id],
        ['role', done.role],
        ['key', done.key],
        ['transaction', done.state === 'confirmed' ? 'on the chain' : 'waits for a block'],
        ['the contract says', done.result.sentence],
      ])
      await print(globalsOf(self), { document: done, text })
      if (done.result.code !== 0) process.exitCode = exitCodes.refused.code
    })
  addExamples(register, [
    ['identity register --role doctor', 'what others call you by is the id that it prints'],
    ['identity register --role patient --custodian bafy... --custodian bafy...', 'nodes of different organisations'],
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

  const rotate = group
    .command('rotate')
    .description('replace all keys by new ones, because the old ones may be known to others; the id stays')
    .option('--mine', 'mine a block at once')
    .action(async ({ mine }: { mine?: true }, self: Command) => {
      const { rotateKeys } = await import('../consent/rotate-keys.js')
      const done = await rotateKeys(globalsOf(self), { mine })
      const when = done.state === 'confirmed' ? 'They count from now on' : 'They count when a block holds them'
      const text = `The new keys of ${done.identity} are in the wallet. ${when}; what was sealed to the old ones still opens.`
      await print(globalsOf(self), { document: done, text })
    })
  addExamples(rotate, [['identity rotate --mine', '']])
}
