import { Command } from 'commander'
import { VERSION } from '../node/version.js'
import { registerAdd } from './commands/add.js'
import { registerApprove } from './commands/approve.js'
import { registerBackup } from './commands/backup.js'
import { registerCa } from './commands/ca.js'
import { registerCertify } from './commands/certify.js'
import { registerChain } from './commands/chain.js'
import { registerConnect } from './commands/connect.js'
import { registerContacts } from './commands/contacts.js'
import { registerDecrypt } from './commands/decrypt.js'
import { registerEncrypt } from './commands/encrypt.js'
import { registerErase } from './commands/erase.js'
import { registerFiles } from './commands/files.js'
import { registerFound } from './commands/found.js'
import { registerGet } from './commands/get.js'
import { registerGrant } from './commands/grant.js'
import { registerIdentity } from './commands/identity.js'
import { registerKey } from './commands/key.js'
import { registerList } from './commands/list.js'
import { registerMine } from './commands/mine.js'
import { registerPeers } from './commands/peers.js'
import { registerPin } from './commands/pin.js'
import { registerPrototype } from './commands/prototype.js'
import { registerRecord } from './commands/record.js'
import { registerRecords } from './commands/records.js'
import { registerRepair } from './commands/repair.js'
import { registerRequest } from './commands/request.js'
import { registerShare } from './commands/share.js'
import { registerStart } from './commands/start.js'
import { registerStatus } from './commands/status.js'
import { registerVerify } from './commands/verify.js'
import { registerWallet } from './commands/wallet.js'
import { registerDemo } from './demo/register-demo.js'
import { exitCodes } from './exit-codes.js'
import { addGlobalOptions } from './globals.js'
import { groups } from './groups.js'
import { registerNetwork } from './network/register-network.js'

/**
 * The command line with all its commands. Nothing heavy is loaded before a command runs.
 *
 * @param words what was typed, to see which options are needed
 */
export async function createProgram(words: readonly string[]): Promise<Command> {
  const program = new Command('emrchain')
    .description('Medical records: encrypted files in IPFS, signed records on a proof-of-work chain.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
  addGlobalOptions(program)

  program.commandsGroup(groups.everybody)
  for (const register of [registerWallet, registerIdentity, registerContacts, registerKey]) register(program)
  for (const register of [registerEncrypt, registerDecrypt]) register(program)
  // These have commands of patients and of those who treat them, and say so of each.
  for (const register of [registerRecord, registerRecords, registerErase, registerGrant, registerRequest])
    register(program)
  program.commandsGroup(groups.organisations)
  for (const register of [registerCertify, registerApprove, registerShare, registerFound]) register(program)
  registerCa(program, async () => (await import('./ca/open-ca.js')).caDependencies)
  program.commandsGroup(groups.clearLabels)
  for (const register of [registerAdd, registerList, registerGet]) register(program)
  program.commandsGroup(groups.operators)
  await registerStart(program, words)
  for (const register of [registerNetwork, registerDemo, registerConnect, registerPeers]) register(program)
  for (const register of [registerFiles, registerPin]) register(program)
  for (const register of [registerBackup, registerRepair]) register(program)
  program.commandsGroup('Chain:')
  for (const register of [registerStatus, registerMine, registerChain, registerVerify, registerPrototype]) {
    register(program)
  }
  return program
    .commandsGroup('Help:')
    .helpCommand('help [command]', 'show help for a command')
    .addHelpText('after', () => `\n${firstSteps}\n\n${exitCodeTable()}\n`)
}

const firstSteps = `First steps:
  $ emrchain start                      a node, in a terminal of its own
  $ emrchain wallet init                a wallet, once
  $ emrchain add MRI.pdf --name MRI --mine
  $ emrchain get MRI -o copy.pdf

Under consent, on a network without clear labels (docs/consent.md):
  $ emrchain identity register --role patient --custodian NODE --custodian NODE --mine
  $ emrchain record MRI.pdf --name MRI --class imaging --mine
  $ emrchain grant DOCTOR --class imaging
  $ emrchain audit

The passphrase of the wallet comes from EMRCHAIN_PASSPHRASE or is asked for.`

function exitCodeTable(): string {
  const lines = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`)
  return `Exit codes:\n${lines.join('\n')}`
}
