import { spawnSync } from 'node:child_process'
import { createCipheriv, createHash, createHmac } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import { shake128 } from '@noble/hashes/sha3.js'
import t from 'tap'
import { assertShare, commitmentOf, contentKey, labelKey } from '#emrchain/crypto/content-key.js'
import { type GrantPlace, openGrantSecrets, sealGrantSecrets } from '#emrchain/crypto/grant-seal.js'
import { open, publicKeyOf, seal } from '#emrchain/crypto/hpke.js'
import { MAX_LABEL_SIZE, MAX_SEALED_LABEL_SIZE, openLabel, sealLabel } from '#emrchain/crypto/label-seal.js'
import { openMemberSeal } from '#emrchain/crypto/member-seal.js'
import { openRecordShare, type RecordPlace, sealRecordShare } from '#emrchain/crypto/record-seal.js'
import { EmrError } from '#emrchain/errors.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { openRelease, type ReleasePlace, sealRelease } from '#emrchain/protocol/sealed-release.js'
import {
  genesis,
  grantPlace,
  grantSecrets,
  idOf,
  labelPlace,
  labelText,
  makeSecretsVectors,
  memberPlace,
  named,
  recordPlace,
  releasePlace,
  shares,
} from './make-secrets-vectors.js'

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const vectorsOf = (name: string): URL => new URL(`../../test/vectors/${name}.json`, import.meta.url)

/** The code of the error that a promise ends with. */
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'it opened',
    (error) => (error instanceof EmrError ? error.code : String(error)),
  )

/** The same bytes with one bit of another value. */
function flipped(bytes: Uint8Array, at = bytes.length - 1): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

t.test('HPKE is that of RFC 9180', async (t) => {
  const vector = JSON.parse(readFileSync(vectorsOf('hpke'), 'utf8'))
  const [info, secret, ephemeral] = [unhex(vector.info), unhex(vector.ikmR), unhex(vector.ikmE)]
  const plaintext = utf8('Beauty is truth, truth beauty')
  t.equal(hex(await publicKeyOf(secret)), vector.pkRm)

  const recipient = unhex(vector.pkRm)
  const first = await seal(recipient, plaintext, { info, aad: utf8('Count-0') }, ephemeral)
  t.equal(hex(first.enc), vector.enc)
  t.same(await open(secret, first, { info, aad: utf8('Count-0') }), plaintext)

  // The digest is over many messages of one context; those of this program are each the first of theirs.
  const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
  const ekm = await suite.kem.deriveKeyPair(ephemeral)
  const recipientPublicKey = await suite.kem.deserializePublicKey(recipient)
  const context = await suite.createSenderContext({ recipientPublicKey, info, ekm })
  const source = shake128.create({})
  const drawn = (): Uint8Array => source.xof(source.xof(1)[0] ?? 0)
  const digest = shake128.create({ dkLen: 16 })
  for (let count = 0; count < vector.encryptions; count++) {
    const [aad, message] = [drawn(), drawn()]
    const ct = new Uint8Array(await context.seal(message, aad))
    if (count === 0) t.equal(hex((await seal(recipient, message, { info, aad }, ephemeral)).ct), hex(ct))
    digest.update(ct)
  }
  t.equal(hex(digest.digest()), vector.encryptionsAccumulated)
})

t.test('two shares make one key, as RFC 5869 has it', async (t) => {
  /** HKDF with one block of output, by OpenSSL. */
  const hkdf = (ikm: Uint8Array, info: string): string => {
    const prk = createHmac('sha256', new Uint8Array(32)).update(ikm).digest()
    return createHmac('sha256', prk).update(info).update(Uint8Array.of(1)).digest('hex')
  }
  t.equal(hex(contentKey(shares)), hkdf(Buffer.concat([shares.chain, shares.off]), 'emrchain/key/v1'))
  t.equal(hex(labelKey(shares.chain)), hkdf(shares.chain, 'emrchain/label/v1'))
  t.equal(hex(commitmentOf(shares.off)), createHash('sha256').update(shares.off).digest('hex'))
  t.not(hex(contentKey({ chain: shares.off, off: shares.chain })), hex(contentKey(shares)))

  assertShare(shares.off, commitmentOf(shares.off))
  for (const wrong of [flipped(shares.off), shares.off.subarray(1), new Uint8Array(0)]) {
    t.throws(() => assertShare(wrong, commitmentOf(shares.off)), { code: 'share_wrong' })
  }
  t.throws(() => contentKey({ chain: shares.chain, off: shares.off.subarray(1) }))
})

t.test('the vectors', async (t) => {
  /** EMRCHAIN_WRITE_VECTORS=1 writes them anew; whoever changes them changes the protocol. */
  const made = await makeSecretsVectors()
  const path = vectorsOf('secrets')
  if (process.env.EMRCHAIN_WRITE_VECTORS) writeFileSync(path, `${JSON.stringify(made, null, 1)}\n`)
  const frozen: typeof made = JSON.parse(readFileSync(path, 'utf8'))
  t.same(made, frozen)

  const sealedOf = ({ enc, ct }: { enc: string; ct: string }) => ({ enc: unhex(enc), ct: unhex(ct) })
  const { record, grant, release, label, member } = frozen
  t.equal(hex(await openRecordShare(unhex(record.secret), sealedOf(record), recordPlace)), record.plaintext)
  const secrets = await openGrantSecrets(unhex(grant.secret), sealedOf(grant), grantPlace)
  t.equal(secrets.map(hex).join(''), grant.plaintext)
  const released = await openRelease(unhex(release.secret), sealedOf(release), releasePlace)
  t.equal(hex(released.share), frozen.shares.off)
  t.equal(hex(released.label), label.sealed)
  t.equal(openLabel(unhex(label.chain), released.label, labelPlace).trimEnd(), label.text)
  const handed = unhex(member.sealed)
  t.equal(hex(await openMemberSeal(unhex(member.secret), handed, memberPlace)), member.plaintext)
  for (const place of ['genesis', 'record', 'grant', 'member'] as const) {
    const elsewhere = { ...memberPlace, [place]: idOf('another') }
    t.equal(await codeOf(openMemberSeal(unhex(member.secret), handed, elsewhere)), 'seal_wrong', place)
  }
  t.equal(await codeOf(openMemberSeal(unhex(member.secret), handed.subarray(1), memberPlace)), 'seal_wrong')
  t.equal(`${label.sealed.length / 2}`, `${12 + 256 + 16}`)

  // The label once more, by OpenSSL and from the words of the page alone.
  const iv = unhex(label.sealed).subarray(0, 12)
  const cipher = createCipheriv('aes-256-gcm', unhex(frozen.shares.labelKey), iv)
  cipher.setAAD(Buffer.concat([genesis, unhex(label.nonce)]))
  const padded = Buffer.alloc(256, ' ')
  padded.write(label.text)
  const sealed = Buffer.concat([iv, cipher.update(padded), cipher.final(), cipher.getAuthTag()])
  t.equal(sealed.toString('hex'), label.sealed)
})

t.test('nothing opens at another place', async (t) => {
  const secret = named('secret')
  const publicKey = await publicKeyOf(secret)

  const share = await sealRecordShare(publicKey, shares.chain, recordPlace)
  t.equal(share.ct.length, 48)
  t.same(await openRecordShare(secret, share, recordPlace), shares.chain)
  const otherRecords: Partial<RecordPlace>[] = [
    { genesis: idOf('other') },
    { patient: idOf('other') },
    { class: 8 },
    { epoch: 3 },
    { author: named('other') },
    { nonce: named('other') },
    { file: flipped(recordPlace.file) },
    { file: recordPlace.file.subarray(1) },
  ]
  for (const change of otherRecords) {
    const place = { ...recordPlace, ...change }
    t.equal(await codeOf(openRecordShare(secret, share, place)), 'seal_wrong', Object.keys(change).join())
  }

  const grant = await sealGrantSecrets(publicKey, grantSecrets, grantPlace)
  t.same(await openGrantSecrets(secret, grant, grantPlace), grantSecrets)
  const [first, second] = [idOf('record 1'), idOf('record 2')]
  const otherGrants: Partial<GrantPlace>[] = [
    { genesis: idOf('other') },
    { patient: idOf('doctor') },
    { grantee: idOf('other') },
    { patient: grantPlace.grantee, grantee: grantPlace.patient },
    { records: [second, first] },
    { records: [first] },
    { records: [first, idOf('record 3')] },
    { keys: [...grantPlace.keys].reverse() },
    { keys: [{ class: 4, epoch: 1 }] },
    { keys: [...grantPlace.keys.slice(0, 1), { class: 1024, epoch: 70_001 }] },
  ]
  for (const change of otherGrants) {
    const place = { ...grantPlace, ...change }
    t.equal(await codeOf(openGrantSecrets(secret, grant, place)), 'seal_wrong', JSON.stringify(Object.keys(change)))
  }

  const label = sealLabel(shares.chain, labelText, labelPlace)
  const release = await sealRelease(publicKey, { share: shares.off, label }, releasePlace)
  t.same(await openRelease(secret, release, releasePlace), { share: shares.off, label })
  for (const name of ['genesis', 'record', 'access', 'custodian'] as const) {
    const place: ReleasePlace = { ...releasePlace, [name]: idOf('other') }
    t.equal(await codeOf(openRelease(secret, release, place)), 'seal_wrong', name)
  }
  const info = utf8('emrchain/release/v1')
  const aad = Buffer.concat([genesis, releasePlace.record, releasePlace.access, releasePlace.custodian])
  for (const plain of [shares.off, encodeCanonical({ share: shares.off }), encodeCanonical({ share: label, label })]) {
    const other = await seal(publicKey, plain, { info, aad })
    t.equal(await codeOf(openRelease(secret, other, releasePlace)), 'seal_wrong', 'no release inside')
  }
  const swapped = { ...releasePlace, record: releasePlace.access, access: releasePlace.record }
  t.equal(await codeOf(openRelease(secret, release, swapped)), 'seal_wrong')

  t.throws(() => openLabel(shares.chain, label, { ...labelPlace, nonce: named('other') }), { code: 'seal_wrong' })
  t.throws(() => openLabel(shares.chain, label, { ...labelPlace, genesis: idOf('other') }), { code: 'seal_wrong' })
  t.throws(() => openLabel(shares.off, label, labelPlace), { code: 'seal_wrong' })
})

t.test('one format does not open as another, and no key but the right one opens', async (t) => {
  const secret = named('secret')
  const publicKey = await publicKeyOf(secret)
  const binding = { info: utf8('emrchain/record-share/v1'), aad: utf8('a') }
  const sealed = await seal(publicKey, shares.chain, binding)
  t.same(await open(secret, sealed, binding), shares.chain)
  const { enc, ct } = sealed
  for (const altered of [
    { enc: flipped(enc, 0), ct },
    { enc, ct: flipped(ct) },
    { enc, ct: flipped(ct, 0) },
    { enc, ct: ct.subarray(1) },
    { enc, ct: new Uint8Array(0) },
    { enc: new Uint8Array(32), ct },
    { enc: enc.subarray(1), ct },
    { enc: new Uint8Array(0), ct },
  ]) {
    t.equal(await codeOf(open(secret, altered, binding)), 'seal_wrong')
  }
  t.equal(await codeOf(open(named('other'), sealed, binding)), 'seal_wrong')
  t.equal(await codeOf(open(secret, sealed, { ...binding, info: utf8('emrchain/grant-seal/v1') })), 'seal_wrong')
  t.equal(await codeOf(open(secret, sealed, { info: utf8('emrchain/record-share/v1a'), aad: utf8('') })), 'seal_wrong')
  t.not(hex((await seal(publicKey, shares.chain, binding)).enc), hex(enc), 'each seal has a key of its own')
})

t.test('a key of small order takes no secret', async (t) => {
  const order8 = 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'
  for (const bad of [new Uint8Array(32), flipped(new Uint8Array(32), 0), unhex(order8), named('x').subarray(1)]) {
    t.equal(await codeOf(seal(bad, shares.chain, { info: utf8('a'), aad: utf8('b') })), 'seal_bad_key', hex(bad))
  }
})

t.test('a label has one of fifteen lengths', async (t) => {
  const lengths = new Set<number>()
  for (let length = 0; length <= MAX_LABEL_SIZE; length += 61) {
    const text = JSON.stringify('a'.repeat(Math.max(0, length - 2)))
    const sealed = sealLabel(shares.chain, text, labelPlace)
    t.equal(JSON.parse(openLabel(shares.chain, sealed, labelPlace)).length, text.length - 2)
    lengths.add(sealed.length)
  }
  t.equal(lengths.size, 15)
  t.equal(sealLabel(shares.chain, ' '.repeat(MAX_LABEL_SIZE), labelPlace).length, MAX_SEALED_LABEL_SIZE)
  t.throws(() => sealLabel(shares.chain, ' '.repeat(MAX_LABEL_SIZE + 1), labelPlace), { code: 'label_malformed' })
  const sealed = sealLabel(shares.chain, labelText, labelPlace)
  t.not(hex(sealed), hex(sealLabel(shares.chain, labelText, labelPlace)), 'each has a nonce of its own')
  for (const wrong of [flipped(sealed), flipped(sealed, 0), sealed.subarray(1), new Uint8Array(0)]) {
    t.throws(() => openLabel(shares.chain, wrong, labelPlace), { code: 'seal_wrong' })
  }
})

/** What a script writes in a process of its own, and what Node itself says there. */
function runScript(script: string): { said: string; warned: string } {
  const args = ['--trace-warnings', '--input-type=module', '-e', script]
  const cwd = new URL('../../', import.meta.url)
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return { said: stdout, warned: stderr }
}

t.test('Node says nothing about it', async (t) => {
  const script = `
    const { open, publicKeyOf, seal } = await import('#emrchain/crypto/hpke.js')
    const [secret, binding] = [new Uint8Array(32).fill(7), { info: new Uint8Array(1), aad: new Uint8Array(1) }]
    const sealed = await seal(await publicKeyOf(secret), new Uint8Array(32), binding)
    process.stdout.write(String((await open(secret, sealed, binding)).length))`
  t.same(runScript(script), { said: '32', warned: '' })
})

t.test('a platform without X25519 is named as what it is', async (t) => {
  const script = `
    const { open, publicKeyOf, seal } = await import('#emrchain/crypto/hpke.js')
    const { importKey } = SubtleCrypto.prototype
    SubtleCrypto.prototype.importKey = async function (...asked) {
      if (asked[2]?.name === 'X25519') throw new DOMException('Unrecognized name.', 'NotSupportedError')
      return importKey.apply(this, asked)
    }
    const [bytes, binding] = [new Uint8Array(32).fill(7), { info: new Uint8Array(1), aad: new Uint8Array(1) }]
    const tries = [publicKeyOf(bytes), seal(bytes, bytes, binding), open(bytes, { enc: bytes, ct: bytes }, binding)]
    const codes = (await Promise.allSettled(tries)).map(({ reason }) => reason?.code)
    process.stdout.write(codes.join(' '))`
  t.equal(runScript(script).said, 'seal_unsupported seal_unsupported seal_unsupported')
})
