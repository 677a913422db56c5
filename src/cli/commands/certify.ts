import type { Command } from 'commander'
import { collect } from '../collect.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'

interface CertifyFlags {
  can?: string[]
  from?: string
  until?: string
  mine?: true
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
    .action(async (who: string, flags: CertifyFlags, self: Command) => {
      const { certify } = await import('../consent/certify.js')
      const { printSent } = await import('../consent/session.js')
      const done = await certify(who, flags, globalsOf(self))
      await printSent(globalsOf(self), `The certificate of ${who} as ${done.role}`, done)
    })
  addExamples(certify, [
    ['certify bafyrei... --until 1y', 'a doctor, for a year'],
    ['certify "node 1" --can mine,custody', 'a node that mines and keeps shares'],
  ])

  const decertify = program
    .command('decertify')
    .argument('<certificate>', 'id of the certificate, as "identity show" prints it')
    .description('end a certificate, and so what was issued under it')
    .option('--reason <reason>', 'unspecified, key_compromised, left, superseded', 'unspecified')
    .option('--mine', 'mine a block at once')
    .action(async (certificate: string, flags: { reason: string; mine?: true }, self: Command) => {
      const { decertify } = await import('../consent/certify.js')
      const { printSent } = await import('../consent/session.js')
      const done = await decertify(certificate, flags, globalsOf(self))
      await printSent(globalsOf(self), 'The end of the certificate', done)
    })
  addExamples(decertify, [['decertify bafyrei... --reason left', '']])
}
