import { readFileSync } from 'node:fs'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import t from 'tap'
import { sha256 } from '#emrchain/crypto/hash.js'
import { openWithPassphrase, sealWithPassphrase } from '#emrchain/crypto/passphrase.js'

interface Vector {
  name: string
  expect: 'success' | 'no match' | 'header failure'
  passphrase: string[]
  payload?: string
  file: string
}

const vectors: { cases: Vector[] } = JSON.parse(
  readFileSync(new URL('../../test/vectors/age-scrypt.json', import.meta.url), 'utf8'),
)
const plaintext = new TextEncoder().encode('{"seed": "of a wallet"}')
const passphrase = 'correct horse battery staple'
const workFactor = 8

t.test('round trip', async (t) => {
  const sealed = await sealWithPassphrase(plaintext, passphrase, { workFactor })
  t.match(new TextDecoder('latin1').decode(sealed), /^age-encryption\.org\/v1\n-> scrypt [\w+/]{22} 8\n/)
  t.notOk(Buffer.from(sealed).includes(Buffer.from('wallet')))
  t.same(await openWithPassphrase(sealed, passphrase), plaintext)
  t.same(
    await openWithPassphrase(await sealWithPassphrase(new Uint8Array(0), 'p', { workFactor }), 'p'),
    new Uint8Array(0),
  )
  const large = new Uint8Array(200_000).fill(7)
  t.same(await openWithPassphrase(await sealWithPassphrase(large, 'ö 😀', { workFactor }), 'ö 😀'), large)
})

t.test('the work factor is 17 unless told otherwise', async (t) => {
  const sealed = await sealWithPassphrase(plaintext, passphrase)
  t.match(new TextDecoder('latin1').decode(sealed), /\n-> scrypt [\w+/]{22} 17\n/)
  t.same(await openWithPassphrase(sealed, passphrase), plaintext)
})

t.test('a wrong passphrase', async (t) => {
  const sealed = await sealWithPassphrase(plaintext, passphrase, { workFactor })
  for (const wrong of ['', 'correct horse battery stapl', `${passphrase} `]) {
    await t.rejects(openWithPassphrase(sealed, wrong), { code: 'passphrase_wrong' })
  }
})

t.test('what is written can be read', async (t) => {
  await t.rejects(sealWithPassphrase(plaintext, '', { workFactor }), { code: 'passphrase_missing' })
  for (const workFactor of [0, 21, 1.5, -1, Number.NaN]) {
    await t.rejects(sealWithPassphrase(plaintext, passphrase, { workFactor }), RangeError)
  }
})

t.test('files of other kinds, cut or altered', async (t) => {
  const sealed = await sealWithPassphrase(plaintext, passphrase, { workFactor })
  const headerEnd = Buffer.from(sealed).indexOf('\n---') + 4
  const malformed: [string, Uint8Array][] = [
    ['nothing', new Uint8Array(0)],
    ['a line of text', new TextEncoder().encode('{"version": 1}\n')],
    ['bytes', new Uint8Array(500).fill(200)],
    ['cut in the header', sealed.subarray(0, 40)],
    ['cut behind the header', sealed.subarray(0, Buffer.from(sealed).indexOf('\n', headerEnd) + 1)],
    ['cut in the payload', sealed.subarray(0, -1)],
    ['a byte behind the end', Uint8Array.of(...sealed, 0)],
    ['a bit of the payload', sealed.map((byte, i) => (i === sealed.length - 20 ? byte ^ 1 : byte))],
    ['the version', sealed.map((byte, i) => (i === 20 ? 0x32 : byte))],
  ]
  for (const [name, bytes] of malformed) {
    await t.rejects(openWithPassphrase(bytes, passphrase), { code: 'wallet_malformed' }, name)
  }
  for (const asked of ['21', '30', '99']) {
    const text = Buffer.from(sealed).toString('latin1').replace(' 8\n', ` ${asked}\n`)
    const error = await openWithPassphrase(Buffer.from(text, 'latin1'), passphrase).catch((error) => error)
    t.equal(error.code, 'wallet_malformed')
    t.match(error.message, /work factor is over 20/, 'refused before any work')
  }

  const encrypter = new Encrypter()
  encrypter.addRecipient(await identityToRecipient(await generateX25519Identity()))
  await t.rejects(openWithPassphrase(await encrypter.encrypt(plaintext), passphrase), { code: 'wallet_malformed' })
})

t.test('age test vectors for passphrase files', async (t) => {
  for (const { name, expect, passphrase, payload, file } of vectors.cases) {
    const open = openWithPassphrase(hexToBytes(file), passphrase[0] ?? '')
    if (expect === 'success') t.equal(bytesToHex(sha256(await open)), payload, name)
    // A stanza of another kind matches no passphrase either, but then no passphrase is wrong.
    else if (expect === 'no match' && name !== 'scrypt_uppercase')
      await t.rejects(open, { code: 'passphrase_wrong' }, name)
    else await t.rejects(open, { code: 'wallet_malformed' }, name)
  }
  t.equal(vectors.cases.length, 25)
})
