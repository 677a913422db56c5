import { X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bytesToHex } from '@noble/hashes/utils.js'
import { Command } from 'commander'
import t from 'tap'
import { registerCa } from '#emrchain/cli/commands/ca.js'
import { exitCodeOf } from '#emrchain/cli/exit-codes.js'
import { addGlobalOptions } from '#emrchain/cli/globals.js'
import { openWalletFile } from '#emrchain/cli/wallet-file.js'
import { newWallet, sealWallet } from '#emrchain/client/wallet.js'
import { createNativeSigner } from '#emrchain/crypto/ed25519-node.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { isEmrError } from '#emrchain/errors.js'
import { parseChainId } from '#emrchain/protocol/cid.js'
import { type Role, revocationReasons, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import { chain, createWorld, identityBody, START, sign } from '../contract/consent-world.js'
import { signerOf } from '../fixtures/block-maker.js'
import { certificateSourceOf } from '../fixtures/certificate-source.js'
import { openssl } from '../fixtures/openssl.js'

/** `emrchain ca` on a chain of real transactions; OpenSSL is the judge. */

const DAY = 86_400_000
const passphrase = 'correct horse'
process.env.EMRCHAIN_PASSPHRASE = passphrase
// Each command listens for Ctrl-C, and all of them run in this process.
process.setMaxListeners(0)

/** What the commands wrote to stdout; all else there is of the test itself. */
const documents: Record<string, unknown>[] = []
const { write } = process.stdout
t.intercept(process.stdout, 'write', {
  value(text: string, ...rest: never[]) {
    if (typeof text !== 'string' || !text.startsWith('{"')) return write.call(process.stdout, text, ...rest)
    documents.push(JSON.parse(text))
    return true
  },
})

/** A folder with a wallet for each of these, a chain, and commands that somebody gives at some time. */
async function createScene(folder: string) {
  const world = createWorld('clinic')
  const id = (name: string) => {
    const found = world.transactions.find((transaction) => transaction.id.bytes === world.id(name))
    if (!found) throw new Error(name)
    return found.id.toString()
  }
  const file = (...path: string[]): string => join(folder, ...path)
  for (const name of ['admin1', 'hospital', 'doctor', 'mallory']) {
    const wallet = { ...newWallet(), seed: bytesToHex(sha256(new TextEncoder().encode(name))) }
    writeFileSync(file(`${name}.age`), await sealWallet(wallet, passphrase, { workFactor: 4 }))
  }
  /** Runs a command as somebody, with the wallet of the same name unless another is given. Paths are of the folder. */
  const run = async (name: string, line: string, { now = START + DAY, wallet = name, identity = name } = {}) => {
    const program = new Command('emrchain').configureOutput({ outputError: () => undefined }).exitOverride()
    addGlobalOptions(program)
    registerCa(program, async () => ({
      openSource: async () => certificateSourceOf(world),
      async openKey(globals, genesis, signal) {
        const { wallet } = await openWalletFile(globals.wallet, signal)
        if (!genesis.equals(chain)) throw new Error('This is not the network of the wallet.')
        return { id: parseChainId(id(identity)), signer: createNativeSigner(Buffer.from(wallet.seed, 'hex')) }
      },
      now: () => now,
    }))
    const words = line
      .split(' ')
      .map((word, index, all) => (/^--(out|chain)$/.test(all[index - 1] ?? '') ? file(word) : word))
    try {
      await program.parseAsync([...words, '--json', '--wallet', file(`${wallet}.age`)], { from: 'user' })
      return { code: 0, said: documents.pop() }
    } catch (error) {
      return { code: exitCodeOf(error), error: isEmrError(error) ? error.code : String(error), said: documents.pop() }
    }
  }
  const revoke = (name: string, reason: 0 | 1 | 2 | 3, at: number) => {
    const body = { certificate: world.id(name), reason, approvals: [] }
    world.add(`end of ${name}`, sign('hospital', { kind: 'certificate_revocation', body }, at))
  }
  const certifyUntil = (name: string, subject: string, role: Role, until: number) => {
    const under = world.certificate('hospital')
    const body = { subject: world.id(subject), role, capabilities: 0, from: START, until, under, approvals: [] }
    world.add(name, sign('hospital', { kind: 'certificate', body }))
  }
  const check = (at: number, ...words: string[]) =>
    openssl('verify', '-x509_strict', '-attime', String(Math.floor(at / 1000)), ...words)
  return { world, id, file, run, revoke, certifyUntil, check }
}

const failed = (code: number, error: string) => ({ code, error, said: undefined })

t.test('an administrator, a hospital and its doctor', async (t) => {
  const { id, file, run, revoke, check } = await createScene(t.testdir())

  const root = await run('admin1', 'ca init --out root')
  t.match(root, { code: 0, said: { identity: id('admin1'), path: file('root', 'authority.pem'), above: 0 } })
  t.match(
    openssl('x509', '-in', file('root', 'authority.pem'), '-noout', '-fingerprint', '-sha256').text,
    String(root.said?.fingerprint),
  )
  t.match(await run('admin1', 'ca init --out root'), failed(7, 'output_exists'))
  t.match(await run('admin1', 'ca init --out root --force --years 1'), { code: 0 })

  t.match(await run('admin1', `ca issue ${id('certificate of hospital')} --out root`), {
    code: 0,
    said: { subject: id('hospital'), path: file('root', `${id('certificate of hospital')}.pem`) },
  })
  t.match(await run('admin1', `ca export ${id('hospital')} --out root`), { code: 0, said: { certificates: 2 } })
  const handed = `root/${id('hospital')}.chain.pem`
  t.match(await run('hospital', `ca init --out pki --chain ${handed}`), { code: 0, said: { above: 1 } })
  t.same(readFileSync(file('pki', 'authority.pem')), readFileSync(file(handed)))

  const certificate = id('certificate of doctor')
  t.match(await run('hospital', `ca issue ${certificate} --out pki`), { code: 0, said: { subject: id('doctor') } })
  const issued = readFileSync(file('pki', `${certificate}.pem`))
  t.match(await run('hospital', `ca issue ${certificate} --out pki`), failed(7, 'output_exists'))
  t.match(await run('hospital', `ca issue ${certificate} --out pki --force`), { code: 0 })
  t.same(readFileSync(file('pki', `${certificate}.pem`)), issued, 'the same again')

  t.match(await run('hospital', 'ca revoke --out pki --days 2'), {
    code: 0,
    said: { revoked: 0, path: file('pki', 'revoked.crl'), nextUpdate: new Date(START + 3 * DAY).toISOString() },
  })
  const exported = await run('hospital', `ca export ${id('doctor')} --out pki`, { wallet: 'none' })
  t.match(exported, { code: 0, said: { certificates: 3 } }, 'without a key')
  const chainFile = file('pki', `${id('doctor')}.chain.pem`)
  t.equal(exported.said?.path, chainFile)
  const trust = ['-CAfile', file('root', 'authority.pem'), '-untrusted', chainFile]
  const lists = ['-crl_check', '-CRLfile', file('pki', 'revoked.crl')]
  t.match(check(START + DAY, ...trust, ...lists, chainFile), { code: 0, text: /: OK\n$/ })
  t.match(check(START + 4 * DAY, ...trust, ...lists, chainFile), { code: 2, text: /CRL has expired/ })

  revoke('certificate of doctor', revocationReasons.left, START + 2 * DAY)
  const later = { now: START + 3 * DAY }
  t.match(await run('hospital', 'ca revoke --out pki', later), { code: 0, said: { revoked: 1 } })
  t.match(check(START + 4 * DAY, ...trust, ...lists, chainFile), { code: 2, text: /certificate revoked/ })
  t.match(await run('hospital', `ca issue ${certificate} --out pki --force`, later), failed(5, 'certificate_revoked'))
  t.match(await run('hospital', `ca export ${id('doctor')} --out pki --force`, later), failed(5, 'certificate_revoked'))
  t.same(readFileSync(file('pki', `${certificate}.pem`)), issued, 'what was refused changed nothing')
})

t.test('what the chain does not say is not written', async (t) => {
  const { id, file, run, certifyUntil } = await createScene(t.testdir())
  certifyUntil('for a day', 'nurse', roles.nurse, START + DAY)
  const issue = (name: string) => `ca issue ${id(name)} --out pki`
  t.match(await run('hospital', issue('doctor')), failed(4, 'certificate_unknown'), 'an identity is no certificate')
  t.match(await run('hospital', issue('for a day')), failed(5, 'certificate_expired'))
  t.match(await run('hospital', issue('for a day'), { now: START + DAY - 1 }), { code: 0 })
  t.match(await run('admin1', issue('certificate of doctor')), failed(5, 'certificate_foreign'))
  t.match(await run('doctor', issue('certificate of doctor')), failed(5, 'not_an_authority'))
  t.match(await run('hospital', issue('certificate of doctor'), { wallet: 'mallory' }), failed(6, 'identity_key_wrong'))
  t.match(
    await run('hospital', issue('certificate of doctor'), { identity: 'certificate of nurse' }),
    failed(4, 'identity_unknown'),
  )
  t.match(await run('hospital', issue('certificate of doctor'), { wallet: 'none' }), failed(6, 'wallet_missing'))
  t.match(await run('hospital', 'ca issue nonsense --out pki'), failed(5, 'malformed_cid'))
  t.match(await run('hospital', `ca issue ${id('certificate of doctor')}`), { code: 2 })
  t.match(await run('hospital', 'ca revoke --out pki --days 0'), { code: 2 })
  t.match(await run('hospital', 'ca init --out pki --years 1.5'), { code: 2 })
  t.notOk(existsSync(file('pki', `${id('certificate of doctor')}.pem`)))
  t.notOk(existsSync(file('pki', 'authority.pem')))
})

t.test('files are not believed', async (t) => {
  const { world, id, file, run } = await createScene(t.testdir())
  const certificate = id('certificate of doctor')
  const name = `${certificate}.pem`
  const exportDoctor = () => run('hospital', `ca export ${id('doctor')} --out pki --force`)
  t.match(await exportDoctor(), failed(4, 'input_unreadable'), 'no authority yet')
  t.match(await run('hospital', 'ca init --out pki'), { code: 0, said: { above: 0 } }, 'a root of its own')
  t.match(await exportDoctor(), failed(4, 'input_unreadable'), 'not issued yet')
  t.match(await run('hospital', `ca issue ${certificate} --out pki`), { code: 0 })
  t.match(await exportDoctor(), { code: 0, said: { certificates: 2 } })
  t.match(await run('hospital', `ca export ${id('admin1')} --out pki`), failed(4, 'certificate_unknown'))

  // Somebody else's certificate under the name of the doctor's.
  const issued = readFileSync(file('pki', name))
  t.match(await run('hospital', `ca issue ${id('certificate of nurse')} --out pki`), { code: 0 })
  writeFileSync(file('pki', name), readFileSync(file('pki', `${id('certificate of nurse')}.pem`)))
  t.match(await exportDoctor(), failed(5, 'certificate_stale'))
  writeFileSync(file('pki', name), 'nothing')
  t.match(await exportDoctor(), failed(5, 'certificate_chain_broken'))
  const der = Buffer.from(new X509Certificate(issued).raw)
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1
  const forged = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
  writeFileSync(file('pki', name), forged)
  t.match(await exportDoctor(), failed(5, 'certificate_stale'), 'its signature does not hold')
  writeFileSync(file('pki', name), issued)

  // Chains that are none, or not of this organisation, are not taken in.
  const own = readFileSync(file('pki', 'authority.pem'), 'utf8')
  t.match(await run('admin1', 'ca init --out root'), { code: 0 })
  const root = readFileSync(file('root', 'authority.pem'), 'utf8')
  mkdirSync(file('in'))
  const take = (text: string) => {
    writeFileSync(file('in', 'chain.pem'), text)
    return run('hospital', 'ca init --out taken --chain in/chain.pem')
  }
  t.match(await take(own), { code: 0 })
  t.match(await take(root), failed(7, 'output_exists'))
  const refuse = (text: string) => {
    writeFileSync(file('in', 'chain.pem'), text)
    return run('hospital', 'ca init --out refused --chain in/chain.pem')
  }
  t.match(await refuse(''), failed(5, 'certificate_chain_broken'))
  t.match(await refuse(root), failed(5, 'certificate_stale'), 'of the administrator')
  t.match(await refuse(own + root), failed(5, 'certificate_chain_broken'), 'not signed by the one above')
  t.match(await refuse(String(issued) + own), failed(5, 'certificate_stale'), 'of a doctor')
  t.match(await refuse(own.repeat(4)), failed(5, 'certificate_chain_broken'), 'too many')
  t.match(await run('hospital', 'ca init --out refused --chain in/none.pem'), failed(4, 'input_unreadable'))
  t.notOk(existsSync(file('refused')))

  // With a new key of the doctor, the file is of the past; with a new key of the hospital, all are.
  const change = (who: string, role: Role) => {
    const { publicKey: key, sign: prove } = signerOf(`${who}, again`)
    const keyProof = prove(possessionMessage(chain, signerOf(who).publicKey, key))
    const body = identityBody(who, role, { key, keyProof, previous: world.id(who) })
    world.add(`${who}, again`, sign(who, { kind: 'identity', body }, START + DAY))
  }
  change('doctor', roles.doctor)
  t.match(await exportDoctor(), failed(5, 'certificate_stale'))
  t.match(await run('hospital', 'ca revoke --out pki'), { code: 0, said: { revoked: 1 } }, 'the old key is on the list')
  t.match(await run('hospital', `ca issue ${certificate} --out pki --force`), { code: 0 })
  t.match(await exportDoctor(), { code: 0 })
  change('hospital', roles.organisation)
  t.match(await exportDoctor(), failed(5, 'certificate_stale'))
  t.match(await run('hospital', 'ca revoke --out pki'), failed(6, 'identity_key_wrong'))
})
