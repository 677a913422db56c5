import { spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, verify, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { bytesToHex } from '@noble/hashes/utils.js'
import { build } from 'esbuild'
import t from 'tap'
import type { Authority } from '#emrchain/client/x509/authority.js'
import { makeAuthorityCertificate } from '#emrchain/client/x509/authority-certificate.js'
import type { ChainCertificate } from '#emrchain/client/x509/certificate-source.js'
import { findIssuable } from '#emrchain/client/x509/find-issuable.js'
import { serialNumberOf } from '#emrchain/client/x509/identifiers.js'
import { issueCertificate } from '#emrchain/client/x509/issue-certificate.js'
import { toPem } from '#emrchain/client/x509/pem.js'
import { makeRevocationList, revokedOf } from '#emrchain/client/x509/revocation-list.js'
import { type Subject, signCertificate } from '#emrchain/client/x509/sign-certificate.js'
import { wholeSeconds } from '#emrchain/client/x509/validity.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { NO_END, type Role, revocationReasons, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import { chain, createWorld, identityBody, START, sign, type World } from '../contract/consent-world.js'
import { signerOf } from '../fixtures/block-maker.js'
import { certificateSourceOf } from '../fixtures/certificate-source.js'
import { createAuthority } from '../fixtures/certificates.js'
import { openssl } from '../fixtures/openssl.js'

/** X.509 that is written from a chain, judged by OpenSSL. All dates are fixed. */

const DAY = 86_400_000
const YEAR = 365 * DAY
const seconds = (ms: number): string => String(Math.floor(ms / 1000))
const hash = (bytes: Uint8Array): string => bytesToHex(sha256(bytes))

const world = createWorld('clinic')
const source = certificateSourceOf(world)
const idOf = (name: string, { transactions, id }: World = world) => {
  const found = transactions.find((transaction) => transaction.id.bytes === id(name))
  if (!found) throw new Error(name)
  return found.id
}
const authorityOf = (name: string, role: Role): Authority => ({
  genesis: chain,
  id: idOf(name),
  role,
  signer: signerOf(name),
})
const admin = authorityOf('admin1', roles.administrator)
const hospital = authorityOf('hospital', roles.organisation)
const term = { from: START, until: START + YEAR }

/** The hospital certifies somebody on the chain. */
const certificateFor = (
  name: string,
  subject: string,
  role: Role,
  change: { capabilities?: number; until?: number },
) => {
  const body = {
    subject: world.id(subject),
    role,
    capabilities: 0,
    under: world.certificate('hospital'),
    approvals: [],
  }
  return world.add(name, sign('hospital', { kind: 'certificate', body: { ...body, ...term, ...change } }))
}
certificateFor('short term', 'doctor', roles.doctor, { capabilities: 4, until: START + 30 * DAY })
certificateFor('for the node', 'node1', roles.node, { capabilities: 3 })
certificateFor('taken back', 'nurse', roles.nurse, {})

async function issue(issuer: Authority, name: string): Promise<Uint8Array> {
  const { certificate, subject } = await findIssuable(source, issuer, idOf(name), START)
  return issueCertificate(issuer, subject, certificate)
}

// Kept until the end of the file, for OpenSSL reads them by name.
const folder = t.testdir()
const file = (name: string): string => join(folder, name)
function keep(name: string, ...ders: readonly Uint8Array[]): string {
  const label = name.endsWith('.crl') ? 'X509 CRL' : 'CERTIFICATE'
  writeFileSync(file(name), ders.map((der) => toPem(label, der)).join(''))
  return file(name)
}
const verifyAt = (at: number, ...words: string[]) => openssl('verify', '-x509_strict', '-attime', seconds(at), ...words)
const accepted = { code: 0, text: /: OK\n$/ }
const refused = (reason: RegExp) => ({ code: 2, text: reason })

const root = makeAuthorityCertificate(admin, { from: START, until: NO_END })
const rootFile = keep('root.pem', root)
const organisation = await issue(admin, 'certificate of hospital')
const organisationFile = keep('organisation.pem', organisation)
const doctor = await issue(hospital, 'short term')
const doctorFile = keep('doctor.pem', doctor)
const nurse = await issue(hospital, 'taken back')
const nurseFile = keep('nurse.pem', nurse)
const trust = ['-CAfile', rootFile, '-untrusted', organisationFile]

t.test('OpenSSL accepts the chain of an administrator, an organisation and a doctor', async (t) => {
  t.match(openssl('version'), { code: 0, text: /^OpenSSL / })
  t.match(verifyAt(START, ...trust, doctorFile), accepted)
  t.match(verifyAt(START, ...trust, '-purpose', 'sslclient', doctorFile), accepted, 'as a client of TLS')
  t.match(verifyAt(START, '-CAfile', rootFile, organisationFile), accepted)
  t.match(verifyAt(START, '-CAfile', rootFile, rootFile), accepted)

  const own = keep('own-root.pem', makeAuthorityCertificate(hospital, term))
  t.match(verifyAt(START, '-CAfile', own, doctorFile), accepted, 'or of the organisation alone')
  t.match(verifyAt(START, '-CAfile', own, organisationFile), refused(/error 20|error 2 /), 'which vouches for no other')
})

t.test('the key in it is the one that signs on the chain', async (t) => {
  const message = new TextEncoder().encode('ward 7')
  const key = createPublicKey(readFileSync(doctorFile))
  t.equal(key.asymmetricKeyType, 'ed25519')
  t.ok(verify(null, message, key, signerOf('doctor').sign(message)))
})

t.test('it says who, in which role, and for how long', async (t) => {
  const { text } = openssl('x509', '-in', doctorFile, '-noout', '-text', '-nameopt', 'RFC2253')
  t.match(text, `URI:urn:emrchain:${chain}:identity:${idOf('doctor')}`)
  t.match(text, `Subject: CN=${idOf('doctor')},OU=capability emergency,OU=doctor`)
  t.match(text, `Issuer: CN=${idOf('hospital')},OU=organisation`)
  t.match(text, 'Not Before: Jan  1 00:00:00 2026 GMT')
  t.match(text, 'Not After : Jan 30 23:59:59 2026 GMT', 'the last whole second before `until`')
  t.match(text, /X509v3 Extended Key Usage: \n\s+TLS Web Client Authentication\n/)
  t.match(text, /X509v3 Basic Constraints: critical\n\s+CA:FALSE\n/)
  t.match(text, /X509v3 Key Usage: critical\n\s+Digital Signature\n/)
  t.match(text, 'Signature Algorithm: ED25519')

  const authority = openssl('x509', '-in', organisationFile, '-noout', '-text').text
  t.match(authority, /CA:TRUE, pathlen:0\n/)
  t.match(authority, /X509v3 Key Usage: critical\n\s+Certificate Sign, CRL Sign\n/)
  const top = openssl('x509', '-in', rootFile, '-noout', '-text').text
  t.match(top, /CA:TRUE, pathlen:1\n/)
  t.match(top, 'Not After : Dec 31 23:59:59 9999 GMT', 'no end')
  t.match(top, 'OU = administrator')

  const node = new X509Certificate(await issue(hospital, 'for the node'))
  t.equal(
    node.subject,
    `OU=node
OU=capability mine
OU=capability custody
CN=${idOf('node1')}`,
  )
  for (const name of ['lab', 'insurer', 'patient']) {
    const { subject } = new X509Certificate(await issue(hospital, `certificate of ${name}`))
    const role = { lab: 'laboratory technician', insurer: 'insurance agent' }[name] ?? name
    t.equal(subject, `OU=${role}\nCN=${idOf(name)}`)
  }
})

t.test('the serial number leads back to the transaction', async (t) => {
  const { serialNumber } = new X509Certificate(doctor)
  const digest = bytesToHex(idOf('short term').multihash.digest).toUpperCase()
  t.ok(serialNumber.padStart(38, '0').startsWith(digest.slice(0, 32)))

  // Every beginning that DER treats in its own way.
  for (const start of [[0x00, 0x00, 0x7f], [0x00, 0x80], [0x7f], [0x80], [0xff]]) {
    const bytes = Uint8Array.from({ length: 32 }, (_, index) => start[index] ?? 1)
    const id = cidOf(new Uint8Array(0))
    const serial = serialNumberOf({ ...id, multihash: { ...id.multihash, digest: bytes } } as typeof id, bytes)
    t.ok(serial.length <= 20, 'as long as RFC 5280 allows')
    t.ok((serial[0] ?? 0x80) < 0x80, 'positive')
    t.notOk(serial[0] === 0 && (serial[1] ?? 0) < 0x80, 'no byte too many')
    t.ok(BigInt(`0x${bytesToHex(serial)}`) >> 24n === BigInt(`0x${bytesToHex(bytes.subarray(0, 16))}`))
  }
})

t.test('OpenSSL refuses what is forged', async (t) => {
  const subject: Subject = { id: idOf('doctor'), role: roles.doctor, key: signerOf('doctor').publicKey }
  const terms = { id: idOf('short term'), capabilities: 0, ...term }
  const forger = { ...hospital, signer: signerOf('mallory') }
  const forged = keep('forged.pem', issueCertificate(forger, subject, terms))
  t.match(verifyAt(START, ...trust, forged), refused(/error 20 /), 'by another key in the name of the hospital')

  // The same, but it claims the key identifier of the hospital: then the signature has to tell.
  const claims = { ...hospital.signer, sign: signerOf('mallory').sign }
  const better = keep('better.pem', issueCertificate({ ...hospital, signer: claims }, subject, terms))
  t.match(verifyAt(START, ...trust, better), refused(/certificate signature failure/))

  for (const at of [20, Math.floor(doctor.length / 2), doctor.length - 1]) {
    const changed = Uint8Array.from(doctor, (byte, index) => (index === at ? byte ^ 1 : byte))
    t.not(verifyAt(START, ...trust, keep('changed.pem', changed)).code, 0, `byte ${at} changed`)
  }

  // A doctor who issues: neither as what they are, nor under a name of theirs as an organisation.
  const asDoctor = { ...hospital, id: idOf('doctor'), role: roles.doctor, signer: signerOf('doctor') }
  t.throws(() => issueCertificate(asDoctor, subject, terms), { code: 'not_an_authority' })
  t.throws(() => makeAuthorityCertificate(asDoctor, term), { code: 'not_an_authority' })
  t.throws(() => makeRevocationList(asDoctor, [], { thisUpdate: START, nextUpdate: START }), {
    code: 'not_an_authority',
  })
  const own = { serialNumber: Uint8Array.of(1), period: term, own: [] }
  const byDoctor = keep('by-doctor.pem', signCertificate(asDoctor, { ...subject, id: idOf('other') }, own))
  const through = keep('through.pem', organisation, await issue(hospital, 'certificate of doctor'))
  t.match(verifyAt(START, '-CAfile', rootFile, '-untrusted', through, byDoctor), refused(/invalid CA certificate/))

  // An organisation that makes another one: the path is too long.
  const second: Subject = { id: idOf('insurer'), role: roles.organisation, key: signerOf('insurer').publicKey }
  const clinic = issueCertificate(hospital, second, terms)
  const below = { ...hospital, id: second.id, signer: signerOf('insurer') }
  const ofClinic = keep('of-clinic.pem', issueCertificate(below, subject, terms))
  const both = keep('both.pem', organisation, clinic)
  t.match(
    verifyAt(START, '-CAfile', rootFile, '-untrusted', both, ofClinic),
    refused(/path length constraint exceeded/),
  )
})

t.test('OpenSSL refuses what is out of its time', async (t) => {
  t.match(verifyAt(START - 1000, ...trust, doctorFile), refused(/not yet valid/))
  t.match(verifyAt(START + 30 * DAY - 2000, ...trust, doctorFile), accepted)
  t.match(verifyAt(START + 30 * DAY, ...trust, doctorFile), refused(/has expired/))

  t.same(wholeSeconds({ from: 1, until: 2001 }), { notBefore: new Date(1000), notAfter: new Date(1000) })
  t.same(wholeSeconds({ from: 0, until: 2000 }), { notBefore: new Date(0), notAfter: new Date(1000) })
  for (const period of [
    { from: 1, until: 1999 },
    { from: 0, until: 999 },
    { from: Date.UTC(9999, 11, 31, 23, 59, 59) + 1, until: NO_END },
  ]) {
    t.throws(() => wholeSeconds(period), { code: 'certificate_unfit' })
  }
})

t.test('OpenSSL refuses what the chain revokes', async (t) => {
  const update = { thisUpdate: START + DAY, nextUpdate: START + 8 * DAY }
  const listOf = async (issuer: Authority): Promise<Uint8Array> => {
    const all = await source.certificatesOf(issuer.id)
    const entries = await Promise.all(
      all.map(async (one) => {
        const subject = await source.identity(one.subject)
        return subject ? revokedOf(one, subject) : []
      }),
    )
    return makeRevocationList(issuer, entries.flat(), update)
  }
  const check = (at: number, list: string, ...words: string[]) =>
    verifyAt(at, ...trust, '-crl_check', '-CRLfile', list, ...words)

  const empty = keep('empty.crl', await listOf(hospital))
  t.match(openssl('crl', '-in', empty, '-noout', '-text').text, 'No Revoked Certificates')
  t.match(check(START + 2 * DAY, empty, nurseFile), accepted)

  const revoke = (name: string, reason: 0 | 1 | 2 | 3, at: number) => {
    const body = { certificate: world.id(name), reason, approvals: [] }
    world.add(`end of ${name}`, sign('hospital', { kind: 'certificate_revocation', body }, at))
  }
  revoke('taken back', revocationReasons.left, START + DAY / 2)
  revoke('certificate of lab', revocationReasons.key_compromised, START + DAY / 2 + 1)
  revoke('certificate of pharmacist', revocationReasons.unspecified, START + DAY / 2 + 2)
  revoke('certificate of auditor', revocationReasons.superseded, START + DAY / 2 + 3)
  const der = await listOf(hospital)
  const list = keep('hospital.crl', der)
  t.match(openssl('crl', '-in', list, '-noout', '-CAfile', organisationFile), { code: 0, text: /verify OK/ })
  t.match(check(START + 2 * DAY, list, nurseFile), refused(/certificate revoked/))
  t.match(check(START + 2 * DAY, list, doctorFile), accepted)
  t.match(check(START + 9 * DAY, list, doctorFile), refused(/CRL has expired/))
  t.match(
    check(
      START + 2 * DAY,
      keep('forged.crl', makeRevocationList({ ...hospital, signer: signerOf('mallory') }, [], update)),
      nurseFile,
    ),
    {
      code: 2,
    },
  )
  const { text } = openssl('crl', '-in', list, '-noout', '-text')
  for (const reason of ['Affiliation Changed', 'Key Compromise', 'Superseded']) t.match(text, reason)
  t.equal(text.match(/Serial Number: /g)?.length, 4)
  t.equal(text.match(/X509v3 CRL Reason Code/g)?.length, 3, 'no reason is none')
  t.match(text, 'Last Update: Jan  2 00:00:00 2026 GMT')
  t.match(text, 'Next Update: Jan  9 00:00:00 2026 GMT')
  t.match(text, /X509v3 CRL Number: \n\s+1767312000\n/)
  t.equal(hash(der), 'd8d034332351303d3d9b66bc429668aa74199c9f37b0581bce7758b999ac7649')

  // Of the whole chain, the list of the administrator too.
  const both = keep('both.crl', await listOf(admin), der)
  const whole = (name: string) => verifyAt(START + 2 * DAY, ...trust, '-crl_check_all', '-CRLfile', both, name)
  t.match(whole(doctorFile), accepted)
  const [certificate] = await source.certificatesOf(admin.id)
  const subject = await source.identity(idOf('hospital'))
  if (!certificate || !subject) throw new Error('The hospital is certified.')
  const ended: ChainCertificate = { ...certificate, revoked: { reason: revocationReasons.key_compromised, at: START } }
  keep('both.crl', makeRevocationList(admin, revokedOf(ended, subject), update), der)
  t.match(whole(doctorFile), refused(/certificate revoked/), 'with the organisation goes the doctor')
  t.match(openssl('crl', '-in', both, '-noout', '-text').text, 'CA Compromise')
})

t.test('a key that was replaced ends what was written for it', async (t) => {
  const world = createWorld('clinic')
  const source = certificateSourceOf(world)
  const id = idOf('doctor', world)
  const certificate = idOf('certificate of doctor', world)
  const before = await findIssuable(source, hospital, certificate, START)
  const first = issueCertificate(hospital, before.subject, before.certificate)
  const old = before.subject.key

  const { publicKey: key } = signerOf('doctor, second key')
  const keyProof = signerOf('doctor, second key').sign(possessionMessage(chain, old, key))
  const body = identityBody('doctor', roles.doctor, { key, keyProof, previous: id.bytes })
  world.add('doctor again', sign('doctor', { kind: 'identity', body }, START + DAY))
  const after = await findIssuable(source, hospital, certificate, START)
  t.same(after.subject.key, key)
  const second = issueCertificate(hospital, after.subject, after.certificate)
  t.not(new X509Certificate(first).serialNumber, new X509Certificate(second).serialNumber)

  const subject = await source.identity(id)
  if (!subject) throw new Error('The doctor is on the chain.')
  const update = { thisUpdate: START + DAY, nextUpdate: START + 8 * DAY }
  const list = keep('keys.crl', makeRevocationList(hospital, revokedOf(after.certificate, subject), update))
  const check = (der: Uint8Array) =>
    verifyAt(START + 2 * DAY, ...trust, '-crl_check', '-CRLfile', list, keep('one.pem', der))
  t.match(check(first), refused(/certificate revoked/))
  t.match(check(second), accepted)

  // Revoked as a whole, both end; the older one keeps the earlier date.
  const revoked = { ...after.certificate, revoked: { reason: revocationReasons.left, at: START + 3 * DAY } }
  t.same(
    revokedOf(revoked, subject)
      .map(({ at }) => at)
      .sort(),
    [START + DAY, START + 3 * DAY],
  )
  // A key that took turns with the recovery key and is the current one again is good.
  t.same(revokedOf(after.certificate, { ...subject, formerKeys: [{ key, replacedAt: START }] }), [])
})

t.test('only what the chain has, and the issuer itself, makes a certificate', async (t) => {
  const find = (issuer: Authority, name: string, now = START) => findIssuable(source, issuer, idOf(name), now)
  await t.rejects(findIssuable(source, hospital, cidOf(new Uint8Array(1)), START), { code: 'certificate_unknown' })
  await t.rejects(find(hospital, 'doctor'), { code: 'certificate_unknown' }, 'an identity is none')
  await t.rejects(find(admin, 'short term'), { code: 'certificate_foreign' })
  await t.rejects(find(hospital, 'taken back'), { code: 'certificate_revoked' })
  await t.rejects(find(hospital, 'short term', START + 30 * DAY), { code: 'certificate_expired' })
  t.ok(await find(hospital, 'short term', START + 30 * DAY - 1))
  t.ok(await find(hospital, 'short term', START - DAY), 'before its time it can be written')

  const above = await source.certificate(idOf('certificate of hospital'))
  if (!above) throw new Error('The hospital is certified.')
  for (const [change, code] of [
    [{ revoked: { reason: 0, at: START } }, 'certificate_revoked'],
    [{ until: START }, 'certificate_expired'],
  ] as const) {
    const changed = {
      ...source,
      certificate: async (id: typeof above.id) =>
        id.equals(above.id) ? { ...above, ...change } : source.certificate(id),
    }
    await t.rejects(findIssuable(changed, hospital, idOf('short term'), START), { code }, 'it falls with the one above')
  }
  const nobody = { ...source, identity: async () => undefined }
  await t.rejects(findIssuable(nobody, hospital, idOf('short term'), START), { code: 'identity_unknown' })
})

t.test('the same chain gives the same bytes', async (t) => {
  t.equal(hash(root), '976ef5e0b9d97a88fb2bfc966c42defe13480915f8e306cb7c5b15a827227417')
  t.equal(hash(organisation), '63831d58893d4764e1355347a33efafa1bda8cc53cef8a3b228c9e76cf53863e')
  t.equal(hash(doctor), '5f2d035580909ace457b45527cfbc20d27e5218f67af7ed5daf5a6c4fa02e349')
  t.same(await issue(hospital, 'short term'), doctor)
})

t.test('a doctor shows it as a client of TLS', async (t) => {
  const scene = t.testdir()
  const { ca, issue: issueForServer } = createAuthority(scene)
  const { tlsCert, tlsKey } = issueForServer('DNS:localhost')
  const chain =
    toPem('CERTIFICATE', await issue(hospital, 'certificate of doctor')) + toPem('CERTIFICATE', organisation)
  const seed = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), sha256(Buffer.from('doctor'))])
  const key = createPrivateKey({ key: seed, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' })
  const update = { thisUpdate: Date.now() - DAY, nextUpdate: Date.now() + DAY }
  const subject = await source.identity(idOf('doctor'))
  const certificate = await source.certificate(idOf('certificate of doctor'))
  if (!subject || !certificate) throw new Error('The doctor is certified.')
  const ended = revokedOf({ ...certificate, revoked: { reason: revocationReasons.left, at: START } }, subject)

  for (const [entries, authorized] of [
    [[], true],
    [ended, false],
  ] as const) {
    const crl = [makeRevocationList(admin, [], update), makeRevocationList(hospital, entries, update)]
    const server = createServer({
      cert: readFileSync(tlsCert),
      key: readFileSync(tlsKey),
      ca: toPem('CERTIFICATE', root),
      crl: crl.map((der) => toPem('X509 CRL', der)),
      requestCert: true,
      rejectUnauthorized: false,
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(ca), cert: chain, key })
    const [connection]: TLSSocket[] = await once(server, 'secureConnection')
    t.equal(connection?.authorized, authorized)
    t.equal(
      connection?.getPeerX509Certificate()?.subjectAltName,
      `URI:urn:emrchain:${admin.genesis}:identity:${idOf('doctor')}`,
    )
    client.destroy()
    server.close()
    await once(server, 'close')
  }
})

t.test('the commands of the page do what it says', async (t) => {
  const update = { thisUpdate: Date.now() - DAY, nextUpdate: Date.now() + DAY }
  const subject = await source.identity(idOf('doctor'))
  const certificate = await source.certificate(idOf('certificate of doctor'))
  if (!subject || !certificate) throw new Error('The doctor is certified.')
  const note = new TextEncoder().encode('No penicillin.')
  const scene = t.testdir({ 'note.txt': Buffer.from(note), 'note.sig': Buffer.from(signerOf('doctor').sign(note)) })
  const put = (name: string, text: string): void => writeFileSync(join(scene, name), text)
  put('root.pem', toPem('CERTIFICATE', root))
  put('hospital.pem', toPem('CERTIFICATE', organisation))
  put('doctor.pem', toPem('CERTIFICATE', await issue(hospital, 'certificate of doctor')))
  put('root.crl', toPem('X509 CRL', makeRevocationList(admin, [], update)))
  put('hospital.crl', toPem('X509 CRL', makeRevocationList(hospital, [], update)))

  const whole = readFileSync(new URL('../../docs/consent-x509.md', import.meta.url), 'utf8')
  const page = whole.slice(whole.indexOf('## Check them with OpenSSL'))
  const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block)
  const run = (block = '') => {
    const { status, stdout, stderr } = spawnSync('sh', ['-ec', block], { cwd: scene, encoding: 'utf8' })
    return { code: status, text: `${stdout}${stderr}` }
  }
  t.equal(blocks.length, 5)
  const [show, fingerprint, check, list, signature] = blocks
  t.match(run(show), { code: 0, text: `identity:${idOf('doctor')}` })
  t.match(run(fingerprint), { code: 0, text: /Fingerprint=([0-9A-F]{2}:){31}[0-9A-F]{2}\n/ })
  t.match(run(check), { code: 0, text: /^doctor.pem: OK\n$/ })
  t.match(run(list), { code: 0, text: /verify OK/ })
  t.match(run(signature), { code: 0, text: /Verified Successfully/ })

  put('note.txt', 'Penicillin.')
  t.match(run(signature), { code: 1, text: /Verification Failure/ })
  const ended: ChainCertificate = { ...certificate, revoked: { reason: revocationReasons.left, at: START } }
  put('hospital.crl', toPem('X509 CRL', makeRevocationList(hospital, revokedOf(ended, subject), update)))
  t.match(run(check), { code: 2, text: /certificate revoked/ })
  const late = { thisUpdate: START, nextUpdate: START + DAY }
  put('hospital.crl', toPem('X509 CRL', makeRevocationList(hospital, [], late)))
  t.match(run(check), { code: 2, text: /CRL has expired/ })
})

t.test('it runs in a browser', async (t) => {
  const entry = (name: string) => new URL(`../../dist/client/x509/${name}.js`, import.meta.url).pathname
  const { outputFiles, warnings } = await build({
    entryPoints: [entry('issue-certificate'), entry('revocation-list'), entry('find-issuable'), entry('pem')],
    outdir: '.',
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    logLevel: 'silent',
  })
  t.same(warnings, [])
  t.equal(outputFiles.length, 4)
})
