import { resolve } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import type { CaDependencies } from '../ca/ca-dependencies.js'
import { addExamples } from '../examples.js'
import { globalsOf } from '../globals.js'
import { print } from '../output.js'
import { counted } from '../text.js'

const DAY = 86_400_000

interface FolderFlags {
  readonly out: string
  readonly force?: true
}

/**
 * `emrchain ca`: certificates of the chain as X.509 files, for programs that know nothing of the chain.
 *
 * @param load where the chain and the key come from, asked for when a command runs
 */
export function registerCa(program: Command, load: () => Promise<CaDependencies>): void {
  const group = program
    .command('ca')
    .description('write certificates that are on the chain as X.509 files')
    .addHelpText('after', '\nThe chain decides; the files repeat what it says. None of them is secret.')
  const add = (name: string, description: string): Command =>
    group.command(name).description(description).requiredOption('--out <dir>', 'folder of the files')

  const init = add('init', 'write the certificate of the organisation or administrator in the wallet')
    .option('--chain <file>', 'its certificate by an administrator, from "ca export" there; else it signs for itself')
    .option('--years <count>', 'how long it signs for itself', whole(1, 100), 10)
    .option('--force', 'replace a certificate that is there')
    .action((flags: FolderFlags & { chain?: string; years: number }, self: Command) => initialise(load, flags, self))
  addExamples(init, [
    ['ca init --out pki', 'a root'],
    ['ca init --out pki --chain hospital.chain.pem', 'an organisation below one'],
  ])

  const issue = add('issue', 'write a certificate that is on the chain, by the issuer in the wallet')
    .argument('<certificate-id>', 'id of the transaction "certificate"')
    .option('--force', 'replace a file that is there')
    .action((id: string, flags: FolderFlags, self: Command) => issueOne(load, id, flags, self))
  addExamples(issue, [['ca issue bafyrei... --out pki', 'as pki/bafyrei....pem']])

  const revoke = add('revoke', 'write the list of certificates that the chain has revoked (CRL)')
    .option('--days <count>', 'when the next list will come, at the latest', whole(1, 365), 7)
    .addHelpText(
      'after',
      '\nThis revokes nothing: the transaction "certificate_revocation" does. Run it again after one, and in time.',
    )
    .action((flags: FolderFlags & { days: number }, self: Command) => writeList(load, flags, self))
  addExamples(revoke, [['ca revoke --out pki --days 2', 'as pki/revoked.crl']])

  const exporting = add('export', 'write the certificate of an identity with those above it, up to the root')
    .argument('<identity-id>', 'id of the first transaction "identity"')
    .option('--force', 'replace a file that is there')
    .action((id: string, flags: FolderFlags, self: Command) => exportOne(load, id, flags, self))
  addExamples(exporting, [['ca export bafyrei... --out pki', 'as pki/bafyrei....chain.pem']])
}

/** Reads a whole number from the command line. */
function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`)
    }
    return value
  }
}

type Load = () => Promise<CaDependencies>

/** The chain, and who certifies: the wallet is asked for its passphrase here. */
async function open(load: Load, self: Command) {
  const globals = globalsOf(self)
  const dependencies = await load()
  const { interruption } = await import('../interruption.js')
  const { openAuthority } = await import('../ca/ca-dependencies.js')
  const source = await dependencies.openSource(globals)
  const authority = await openAuthority(dependencies, source, globals, interruption())
  return { globals, source, authority, now: dependencies.now() }
}

async function initialise(
  load: Load,
  { out, force, chain, years }: FolderFlags & { chain?: string; years: number },
  self: Command,
): Promise<void> {
  const { caFolder } = await import('../ca/ca-folder.js')
  const { initAuthority } = await import('../ca/init-authority.js')
  const { assertFree } = await import('../write-output.js')
  const folder = caFolder(out)
  await assertFree(folder.authority, { force })
  const { globals, source, authority, now } = await open(load, self)
  const [own, ...above] = await initAuthority(source, authority, folder, { force, chain, years, now })
  const path = resolve(folder.authority)
  const document = { identity: authority.id.toString(), path, fingerprint: own.fingerprint256, above: above.length }
  const root = above.length === 0 ? 'It is a root: give others its fingerprint on a way that they trust.' : ''
  const text = `The certificate of ${authority.id} is in ${folder.authority}.\nSHA-256 fingerprint ${own.fingerprint256}\n${root}`
  await print(globals, { document, text: text.trimEnd() })
}

async function issueOne(load: Load, text: string, { out, force }: FolderFlags, self: Command): Promise<void> {
  const { parseChainId } = await import('../../protocol/cid.js')
  const { caFolder } = await import('../ca/ca-folder.js')
  const { assertFree } = await import('../write-output.js')
  const { findIssuable } = await import('../../client/x509/find-issuable.js')
  const { issueCertificate } = await import('../../client/x509/issue-certificate.js')
  const { toPem } = await import('../../client/x509/pem.js')
  const id = parseChainId(text)
  const folder = caFolder(out)
  const file = folder.certificate(id)
  await assertFree(file, { force })
  const { globals, source, authority, now } = await open(load, self)
  const { certificate, subject } = await findIssuable(source, authority, id, now)
  await folder.write(file, toPem('CERTIFICATE', issueCertificate(authority, subject, certificate)), { force })
  const document = { certificate: id.toString(), subject: subject.id.toString(), path: resolve(file) }
  await print(globals, { document, text: `The certificate of ${subject.id} is in ${file}.` })
}

async function writeList(load: Load, { out, days }: FolderFlags & { days: number }, self: Command): Promise<void> {
  const { caFolder } = await import('../ca/ca-folder.js')
  const { writeRevocationList } = await import('../ca/write-revocation-list.js')
  const folder = caFolder(out)
  const { globals, source, authority, now } = await open(load, self)
  const nextUpdate = now + days * DAY
  const revoked = await writeRevocationList(source, authority, folder, { thisUpdate: now, nextUpdate })
  const before = new Date(nextUpdate).toISOString()
  const document = { path: resolve(folder.list), revoked, nextUpdate: before }
  const text = `The list is in ${folder.list}, with ${counted(revoked, 'number')}. Write the next one before ${before}.`
  await print(globals, { document, text })
}

async function exportOne(load: Load, text: string, { out, force }: FolderFlags, self: Command): Promise<void> {
  const { parseChainId } = await import('../../protocol/cid.js')
  const { caFolder } = await import('../ca/ca-folder.js')
  const { exportChain } = await import('../ca/export-chain.js')
  const identity = parseChainId(text)
  const globals = globalsOf(self)
  const dependencies = await load()
  const source = await dependencies.openSource(globals)
  const now = dependencies.now()
  const { path, certificates } = await exportChain(source, caFolder(out), identity, { now, force })
  const document = { identity: identity.toString(), path: resolve(path), certificates }
  await print(globals, { document, text: `${counted(certificates, 'certificate')} of ${identity} in ${path}.` })
}
