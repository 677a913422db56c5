import { encode } from '@ipld/dag-cbor'
import { hexToBytes } from '@noble/hashes/utils.js'
import { base64url } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import t from 'tap'
import {
  addFileKey,
  exportKey,
  type FileKey,
  findFileKey,
  importKey,
  newWallet,
  openWallet,
  sealWallet,
  type Wallet,
} from '#emrchain/client/wallet.js'
import { createSigner } from '#emrchain/crypto/ed25519.js'
import { openWithPassphrase, sealWithPassphrase } from '#emrchain/crypto/passphrase.js'
import { isEmrError } from '#emrchain/errors.js'

const passphrase = 'correct horse battery staple'
const options = { workFactor: 6 }
const paper = 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
const clinic = 'bafyreifepiu23okq5zuyvyhsoiazv2icw2van3s7ko6d3ixl5jx2yj2yhu'
const cidV0 = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn'
const cidV1 = CID.parse(cidV0).toV1().toString()
const otherCid = 'QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR'

const entry: FileKey = {
  cid: cidV0,
  key: 'ab'.repeat(32),
  name: 'Röntgen 😀',
  fileName: 'x-ray.dcm',
  size: 1_048_577,
  network: paper,
  addedAt: '2026-01-02T03:04:05.678Z',
}

/** `wallet.age` with this text inside. */
const sealText = (text: string | Uint8Array): Promise<Uint8Array> =>
  sealWithPassphrase(typeof text === 'string' ? new TextEncoder().encode(text) : text, passphrase, options)

/** The error that `run` gives; fails if it gives none, or one of another kind. */
async function errorOf(run: () => unknown) {
  try {
    await run()
  } catch (error) {
    if (isEmrError(error)) return error
    throw error
  }
  throw new Error('it should have failed')
}

t.test('a new wallet has an identity and no files', async (t) => {
  const wallet = newWallet()
  t.strictSame(Object.keys(wallet), ['version', 'seed', 'files'])
  t.strictSame(wallet.files, [])
  t.equal(createSigner(hexToBytes(wallet.seed)).publicKey.length, 32)
  t.not(wallet.seed, newWallet().seed)
})

t.test('sealed and opened, with plain JSON inside', async (t) => {
  const wallet = addFileKey(newWallet(), entry)
  const sealed = await sealWallet(wallet, passphrase, options)
  t.strictSame(await openWallet(sealed, passphrase), wallet)
  t.strictSame(JSON.parse(new TextDecoder().decode(await openWithPassphrase(sealed, passphrase))), wallet)
  t.equal((await errorOf(() => openWallet(sealed, 'wrong'))).code, 'passphrase_wrong')
  t.equal((await errorOf(() => openWallet(sealed.subarray(0, 90), passphrase))).code, 'wallet_malformed')
  t.equal((await errorOf(() => sealWallet(wallet, '', options))).code, 'passphrase_missing')
})

t.test('keys are added to a new value, one for each file and network', async (t) => {
  const empty = newWallet()
  const one = addFileKey(empty, entry)
  t.strictSame(empty.files, [], 'the old wallet is as it was')
  t.strictSame(one, { ...empty, files: [entry] })

  const elsewhere = { ...entry, network: clinic }
  const another = { ...entry, cid: otherCid }
  const three = addFileKey(addFileKey(one, elsewhere), another)
  t.strictSame(three.files, [entry, elsewhere, another])

  const again = { ...entry, cid: cidV1, name: 'new name' }
  t.strictSame(
    addFileKey(three, again).files,
    [elsewhere, another, again],
    'the CID in another version is the same file',
  )
})

t.test('found by name or CID, the newest first', async (t) => {
  const older = { ...entry, name: 'scan', cid: otherCid, addedAt: '2026-01-01T00:00:00.000Z' }
  const newer = { ...entry, name: 'scan', addedAt: '2026-03-01T00:00:00.000Z' }
  const elsewhere = { ...newer, network: clinic, addedAt: '2026-02-01T00:00:00.000Z' }
  for (const order of [
    [older, newer, elsewhere],
    [elsewhere, newer, older],
    [newer, older, elsewhere],
  ]) {
    const wallet = order.reduce(addFileKey, newWallet())
    t.strictSame(findFileKey(wallet, 'scan'), newer)
    t.strictSame(findFileKey(wallet, 'scan', clinic), elsewhere)
    t.strictSame(findFileKey(wallet, 'scan', paper), newer)
    t.strictSame(findFileKey(wallet, otherCid), older)
    t.strictSame(findFileKey(wallet, cidV0), newer)
    t.strictSame(findFileKey(wallet, cidV1, clinic), elsewhere, 'by the CID in another version')
    for (const missing of ['Scan', 'sca', '', 'x-ray.dcm', paper]) {
      t.throws(() => findFileKey(wallet, missing), { code: 'key_missing' }, missing)
    }
    t.throws(() => findFileKey(wallet, otherCid, clinic), { code: 'key_missing' }, 'not on that network')
  }

  const [first, second] = [
    { ...entry, name: 'same time' },
    { ...entry, name: 'same time', cid: otherCid },
  ]
  t.strictSame(findFileKey([first, second].reduce(addFileKey, newWallet()), 'same time'), second, 'added last')
  t.strictSame(findFileKey(addFileKey(newWallet(), entry), 'Ro\u0308ntgen 😀'), entry, 'an accent in two characters')
})

t.test('a name that looks like the CID of another file does not stand in for it', async (t) => {
  const mine = { ...entry, addedAt: '2026-01-01T00:00:00.000Z' }
  const foreign = { ...entry, cid: otherCid, name: cidV0, addedAt: '2026-09-01T00:00:00.000Z' }
  t.strictSame(findFileKey([mine, foreign].reduce(addFileKey, newWallet()), cidV0), mine)
})

const badFields: [string, Partial<Record<keyof FileKey, unknown>>][] = [
  ['cid', { cid: 'Qm' }],
  ['cid', { cid: paper }],
  ['cid', { cid: `z${cidV0}` }],
  ['cid', { cid: 7 }],
  ['key', { key: 'ab'.repeat(31) }],
  ['key', { key: 'AB'.repeat(32) }],
  ['key', { key: `${'ab'.repeat(32)}\n` }],
  ['name', { name: '' }],
  ['name', { name: 'red \u001b[31m' }],
  ['name', { name: 'two\nlines' }],
  ['name', { name: 'x'.repeat(1025) }],
  ['fileName', { fileName: '' }],
  ['fileName', { fileName: '.' }],
  ['fileName', { fileName: '..' }],
  ['fileName', { fileName: '../.ssh/authorized_keys' }],
  ['fileName', { fileName: 'C:\\autoexec.bat' }],
  ['fileName', { fileName: 'nul\u0000' }],
  ['fileName', { fileName: 'x'.repeat(256) }],
  ['size', { size: -1 }],
  ['size', { size: 1.5 }],
  ['size', { size: 2 ** 52 }],
  ['size', { size: '5' }],
  ['network', { network: cidV0 }],
  ['network', { network: 'paper' }],
  ['network', { network: 'ab'.repeat(32) }],
]

t.test('entries of a wrong form are not taken, sealed or opened', async (t) => {
  const cases: [string, Partial<Record<string, unknown>>][] = [
    ...badFields,
    ['addedAt', { addedAt: 'yesterday' }],
    ['addedAt', { addedAt: '2026-01-02T03:04:05Z' }],
    ['addedAt', { addedAt: '2026-02-30T00:00:00.000Z' }],
    ['addedAt', { addedAt: undefined }],
    ['more', { more: 1 }],
  ]
  for (const [field, change] of cases) {
    const bad = { ...entry, ...change } as FileKey
    const refused = await errorOf(() => addFileKey(newWallet(), bad))
    t.equal(refused.code, 'key_malformed', `${field}: ${JSON.stringify(change)}`)
    const wallet: Wallet = { ...newWallet(), files: [bad] }
    t.equal((await errorOf(() => sealWallet(wallet, passphrase, options))).code, 'wallet_malformed')
    const opened = await errorOf(async () => openWallet(await sealText(JSON.stringify(wallet)), passphrase))
    t.equal(opened.code, 'wallet_malformed')
    t.match(opened.message, '/files/0')
    t.notMatch(opened.message, wallet.seed)
  }
  for (const fileName of ['..a', 'a..', '.profile', 'ö 😀.pdf', 'x'.repeat(255)]) {
    const wallet = addFileKey(newWallet(), { ...entry, fileName })
    t.strictSame(await openWallet(await sealWallet(wallet, passphrase, options), passphrase), wallet)
  }
})

t.test('what is no wallet, or one of a later version', async (t) => {
  const wallet = newWallet()
  const texts: [string | Uint8Array, RegExp][] = [
    ['', /no JSON/],
    ['{"version": 1, "seed": "5ec2e7', /no JSON/],
    [Uint8Array.of(0x22, 0xff, 0x22), /no JSON/],
    ['null', /type/],
    ['[]', /type|required/],
    ['{}', /required/],
    [JSON.stringify({ ...wallet, version: 0 }), /version/],
    [JSON.stringify({ ...wallet, version: '1' }), /version/],
    [JSON.stringify({ ...wallet, seed: wallet.seed.slice(2) }), /seed/],
    [JSON.stringify({ ...wallet, files: {} }), /files/],
    [JSON.stringify({ ...wallet, note: 'hello' }), /note|additional/],
    [JSON.stringify({ version: 2, keys: {} }), /version 2; this emrchain reads version 1/],
  ]
  for (const [text, expected] of texts) {
    const error = await errorOf(async () => openWallet(await sealText(text), passphrase))
    t.equal(error.code, 'wallet_malformed', String(text))
    t.match(error.message, expected)
    t.equal(error.cause, undefined, 'the parser, which quotes what it read, is not passed on')
    t.notMatch(error.message, wallet.seed.slice(0, 8))
    t.notMatch(error.message, '5ec2e7')
  }
})

t.test('a key is handed over as one line of text', async (t) => {
  const { addedAt, ...shared } = entry
  const text = exportKey(entry)
  t.match(text, /^emrchain-key:v1:[\w-]+$/)
  t.equal(exportKey(shared), text, 'the time when it was added is not in it')
  t.strictSame(importKey(text), shared)
  t.strictSame(importKey(`  ${text}\r\n`), shared, 'space from copying does no harm')

  const wallet = addFileKey(newWallet(), { ...importKey(text), addedAt })
  t.strictSame(findFileKey(wallet, cidV0), entry)
  for (const other of [{ cid: cidV1 }, { size: 0 }, { size: 2 ** 52 - 1 }, { network: clinic }, { fileName: 'ö' }]) {
    t.strictSame(importKey(exportKey({ ...shared, ...other })), { ...shared, ...other })
  }
  // Texts that are out in the world must stay readable.
  const frozen = [
    'emrchain-key:v1:pmNjaWTYKlgjABIgWZSEOQZfKWGe9BKAy7kyvlLFbZnFlmtl4BESOfCYu-9ja2V5WCCrq6urq6urq6urq6urq6urq6urq6urq6ur',
    'q6urq6urq2RuYW1lbVLDtm50Z2VuIPCfmIBkc2l6ZRoAEAABZ25ldHdvcmvYKlglAAFxEiDH0BSJCAhYxQAGWDbGWPhHpspnxIZGGSEr5PggDku6zmhm',
    'aWxlTmFtZWl4LXJheS5kY20',
  ]
  t.equal(text, frozen.join(''))
})

t.test('key texts that are cut, altered or of another form', async (t) => {
  const text = exportKey(entry)
  const prefix = 'emrchain-key:v1:'
  const body = text.slice(prefix.length)
  const fields = {
    cid: CID.parse(cidV0),
    key: hexToBytes(entry.key),
    name: entry.name,
    fileName: entry.fileName,
    size: entry.size,
    network: CID.parse(paper),
  }
  const write = (value: unknown) => prefix + base64url.baseEncode(encode(value))
  t.equal(write(fields), text, 'the cases below differ from a good text in one thing each')

  const { name, ...nameless } = fields
  const bad: [string, string][] = [
    ['nothing', ''],
    ['a bare CID', cidV0],
    ['a later version', `emrchain-key:v2:${body}`],
    ['no body', prefix],
    ['cut', text.slice(0, -1)],
    ['cut in half', text.slice(0, 100)],
    ['one more character', `${text}A`],
    ['padding', `${text}=`],
    ['a character that base64url has not', text.replace(body, `+${body.slice(1)}`)],
    ['two lines', `${text}\n${text}`],
    ['not a map', write([1, 2])],
    ['a field too many', write({ ...fields, more: 1 })],
    ['a field too few', write(nameless)],
    ['the key as text', write({ ...fields, key: entry.key })],
    ['a short key', write({ ...fields, key: new Uint8Array(31) })],
    ['the CID as text', write({ ...fields, cid: cidV0 })],
    ['the CID of a block', write({ ...fields, cid: CID.parse(paper) })],
    ['the CID of a file as network', write({ ...fields, network: CID.parse(cidV0) })],
    ['a path for a name', write({ ...fields, fileName: '../../x' })],
    ['control characters', write({ ...fields, name: '\u001b[2J' })],
    ['a negative size', write({ ...fields, size: -1 })],
    ['a size with a fraction', write({ ...fields, size: 1.5 })],
    ['two values', prefix + base64url.baseEncode(Uint8Array.of(...encode(fields), 0))],
  ]
  for (const [what, altered] of bad) {
    const error = await errorOf(() => importKey(altered))
    t.equal(error.code, 'key_malformed', what)
    t.equal(error.cause, undefined)
    if (body.length > 0) t.notMatch(error.message, body.slice(0, 20))
  }
  for (const [field, change] of badFields) {
    const error = await errorOf(() => exportKey({ ...entry, ...change } as FileKey))
    t.equal(error.code, 'key_malformed', `${field}: ${JSON.stringify(change)}`)
    t.notMatch(error.message, entry.key)
  }
})
