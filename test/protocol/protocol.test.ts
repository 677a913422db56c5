import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import t from 'tap'
import { type DepositPlace, openDepositShare } from '#emrchain/crypto/deposit-seal.js'
import { createSigner, verifyZip215 } from '#emrchain/crypto/ed25519.js'
import { EmrError, errors } from '#emrchain/errors.js'
import { importFile } from '#emrchain/files/import-file.js'
import {
  blockSections,
  decodeTransactionList,
  encodeTransactionList,
  headerSections,
} from '#emrchain/protocol/block.js'
import { isLabelText } from '#emrchain/protocol/bodies/record.js'
import { decodeCanonical, encodeCanonical } from '#emrchain/protocol/canonical.js'
import {
  decodeBlocks,
  decodeCar,
  decodeHeaders,
  encodeBlocks,
  encodeCar,
  encodeHeaders,
} from '#emrchain/protocol/car.js'
import { cidOf, parseChainId, parseFileCid } from '#emrchain/protocol/cid.js'
import { compactToTarget, targetToCompact } from '#emrchain/protocol/compact-target.js'
import { decodeCustodianView, decodeViewQuestion, encodeViewQuestion } from '#emrchain/protocol/custodian-view.js'
import { decodeHandoverReceipt } from '#emrchain/protocol/handover.js'
import { decodeHeader, encodeHeader, HEADER_LENGTH, NONCE_OFFSET } from '#emrchain/protocol/header.js'
import { paperNetwork, parseNetworkFile } from '#emrchain/protocol/network-parameters.js'
import { decodePersonRequest } from '#emrchain/protocol/person-request.js'
import { decodeReleaseReceipt } from '#emrchain/protocol/release.js'
import { decodeTransaction } from '#emrchain/protocol/transaction.js'
import { makeCustodyVectors, seeds } from './make-custody-vectors.js'
import { first, labelled, makeChains, makeVectors, paper, paperBlocks, plain, second } from './make-vectors.js'
import { anyBytes, carBytes, headerBytes, listBytes, transactionBytes } from './mutated-items.js'

/**
 * Frozen bytes: docs/protocol.md says how they come about, test/vectors holds them. Whoever changes them
 * changes the protocol. EMRCHAIN_WRITE_VECTORS=1 writes them anew.
 */
const folder = fileURLToPath(new URL('../../test/vectors/', import.meta.url))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const made = makeVectors()
const chains = makeChains()

if (process.env.EMRCHAIN_WRITE_VECTORS) {
  writeFileSync(join(folder, 'protocol.json'), `${JSON.stringify(made, null, 2)}\n`)
  for (const [name, car] of Object.entries(chains)) writeFileSync(join(folder, name), car)
}

t.test('bytes are those of the frozen vectors', async (t) => {
  t.same(made, JSON.parse(readFileSync(join(folder, 'protocol.json'), 'utf8')))
  for (const [name, car] of Object.entries(chains)) t.ok(readFileSync(join(folder, name)).equals(car), name)
})

t.test('messages of custodians are those of their frozen vectors', async (t) => {
  const custody = await makeCustodyVectors()
  const path = join(folder, 'custody.json')
  if (process.env.EMRCHAIN_WRITE_VECTORS) writeFileSync(path, `${JSON.stringify(custody, null, 2)}\n`)
  const frozen: typeof custody = JSON.parse(readFileSync(path, 'utf8'))
  t.same(custody, frozen)

  const { messages, depositShare, seal } = frozen
  const readers = {
    ...{ deposit: decodePersonRequest, release: decodePersonRequest, handover: decodePersonRequest },
    ...{ releaseReceipt: decodeReleaseReceipt, handoverReceipt: decodeHandoverReceipt, view: decodeCustodianView },
  }
  for (const [name, { bytes, signed, sig, signer }] of Object.entries(messages)) {
    const read = readers[name as keyof typeof messages]
    const { claim } = read(unhex(bytes))
    t.same([claim.message, claim.signature, claim.key].map(hex), [
      signed,
      sig,
      hex(createSigner(seeds[signer]).publicKey),
    ])
    t.ok(verifyZip215(claim.signature, claim.message, claim.key), name)
    const fields = decodeCanonical(unhex(bytes)) as Record<string, unknown>
    const wrong = [
      { v: 2 },
      { more: 1 },
      { sig: new Uint8Array(63) },
      { at: -1 },
      { chain: 'x' },
      { nonce: 1, access: 1 },
    ]
    for (const change of wrong) {
      t.throws(() => read(encodeCanonical({ ...fields, ...change })), { code: 'request_malformed' }, name)
    }
    t.throws(() => read(unhex(bytes).subarray(1)), { code: 'request_malformed' })
  }
  const request = decodeCanonical(unhex(messages.handover.bytes)) as Record<string, unknown>
  for (const change of [{ kind: 'gift' }, { kind: 'deposit' }, { body: {} }, { to: new Uint8Array(36) }]) {
    t.throws(() => decodePersonRequest(encodeCanonical({ ...request, ...change })), { code: 'request_malformed' })
  }
  const asked = decodeViewQuestion(unhex(frozen.viewQuestion))
  t.same(hex(encodeViewQuestion(asked)), frozen.viewQuestion)
  t.throws(() => decodeViewQuestion(encodeCanonical({ v: 1, ...asked, more: 1 })), { code: 'request_malformed' })

  const { ct, enc, plaintext, custodian, patient, nonce, commitment, file } = depositShare
  const names = { genesis: frozen.genesis, custodian, patient, nonce, commitment, file }
  const bytesOf = Object.entries(names).map(([name, text]) => [name, unhex(text)])
  const place = Object.fromEntries(bytesOf) as DepositPlace
  const sealed = { enc: unhex(enc), ct: unhex(ct) }
  t.equal(hex(await openDepositShare(unhex(seal.secret), sealed, place)), plaintext)
  for (const name of Object.keys(names) as (keyof DepositPlace)[]) {
    const other = Uint8Array.from(place[name])
    const last = other.length - 1
    other[last] = (other[last] ?? 0) ^ 1
    await t.rejects(
      openDepositShare(unhex(seal.secret), sealed, { ...place, [name]: other }),
      { code: 'seal_wrong' },
      name,
    )
  }
})

t.test('the page says what the program does', async (t) => {
  const page = readFileSync(fileURLToPath(new URL('../../docs/protocol.md', import.meta.url)), 'utf8')
  const [block] = paperBlocks
  if (!block) throw new Error('There is no block.')
  const [transaction, list, signature, header] = blockSections(block).map(({ bytes }) => hex(bytes))
  const example = page.slice(page.indexOf('## Worked example'))
  const shown = [...example.matchAll(/^```\n([^`]+)^```$/gm)].map(([, lines = '']) =>
    lines.replace(/^([0-9a-f]+).*\n/gm, '$1'),
  )
  t.same(shown, [made.networks.paper.parameters, transaction, list, header, signature], 'the worked example')
  const ids = [paper.network.cid, paper.genesis.id, ...block.transactions.map(({ id }) => id), block.header.id]
  for (const id of ids) t.ok(example.includes(`\`${id}\``), `the example has ${id}`)

  const verdicts = new Map<string, string>(
    Object.entries(errors).map(([code, entry]) => [code, 'verdict' in entry ? String(entry.verdict) : 'none']),
  )
  const rows = [...page.matchAll(/^\| .* \| ((?:`\w+`(?:, )?)+) \| (ignore|penalise)\b.*\|$/gm)]
  t.ok(rows.length > 20, 'the tables of rules')
  for (const [, codes = '', verdict] of rows) {
    for (const code of codes.replaceAll('`', '').split(', ')) {
      t.equal(verdicts.get(code), verdict, `the verdict of ${code}`)
    }
  }
})

t.test('what was written is read back', async (t) => {
  t.same(decodeTransaction(labelled.bytes), labelled)
  t.same(decodeTransaction(plain.bytes), plain)
  t.same(decodeBlocks(encodeBlocks([first, second])), [first, second])
  const headers = [first, second].map(({ header, signature }) => ({ header, signature }))
  t.same(decodeHeaders(encodeHeaders(headers)), headers)
  t.ok(parseChainId(hex(first.header.id.multihash.digest)).equals(first.header.id), 'an id of 64 digits')
  t.ok(parseChainId(first.header.id.toString()).equals(first.header.id))
  for (const wrong of ['', 'x', 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o', 'f'.repeat(63)]) {
    t.throws(() => parseChainId(wrong), { code: 'malformed_cid' }, `not an id: ${wrong}`)
  }
  for (const wrong of ['', 'QmT78', first.header.id.toString()]) {
    t.throws(() => parseFileCid(wrong), { code: 'malformed_cid' }, `not a file: ${wrong}`)
  }
})

t.test('encodings that are taken, and that are not', async (t) => {
  for (const { name, bytes } of made.cbor.canonical) {
    t.equal(hex(dagCbor.encode(decodeCanonical(unhex(bytes)))), bytes, name)
  }
  for (const { name, bytes } of made.cbor.refused) {
    t.throws(() => decodeCanonical(unhex(bytes)), { code: 'malformed_cbor' }, name)
  }
  t.throws(() => decodeCanonical(new Uint8Array(1_000_000).fill(0x81)), { code: 'malformed_cbor' }, 'deep nesting')
  for (const { name, code, bytes } of made.refusedTransactions) {
    t.throws(() => decodeTransaction(unhex(bytes)), { code }, name)
  }
  for (const { name, code, bytes } of made.refusedHeaders) {
    t.throws(() => decodeHeader(unhex(bytes)), { code }, name)
  }
  t.ok(isLabelText('MRI\uFEFF'))
  t.notOk(isLabelText('\uFEFFMRI'), 'a byte order mark is no part of a text')
})

t.test('files have the CID and size that every IPFS gives them', async (t) => {
  for (const file of made.files) {
    const content = 'text' in file ? Buffer.from(file.text ?? '') : Buffer.alloc(file.zeros ?? 0)
    async function* source() {
      for (let at = 0; at < content.length; at += 1_048_576) yield content.subarray(at, at + 1_048_576)
    }
    const { cid, size } = await importFile(source(), async () => {})
    t.match({ cid: cid.toString(), size }, { cid: file.cid, size: file.size })
  }
})

t.test('every header has 180 bytes and its nonce at 172', async (t) => {
  for (const height of [1, 24, 256, 65_536, 2 ** 32 - 1]) {
    for (const nonce of [0, 23, 65_536, 2 ** 48 - 1]) {
      const bytes = encodeHeader({ ...first.header, height, nonce })
      t.equal(bytes.length, HEADER_LENGTH)
      t.equal(Buffer.from(bytes).readUIntBE(NONCE_OFFSET + 2, 6), nonce)
      t.match(decodeHeader(bytes), { height, nonce })
    }
  }
  t.throws(() => encodeHeader({ ...first.header, height: 2 ** 32 }), { code: 'header_malformed' })
  t.throws(() => encodeHeader({ ...first.header, time: -1 }), { code: 'header_malformed' })
})

t.test('compact targets', async (t) => {
  for (const compact of made.refusedTargets) {
    t.throws(() => compactToTarget(Number.parseInt(compact, 16)), { code: 'header_bad_target' }, compact)
  }
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: (1n << 256n) - 1n }), (target) => {
      const rounded = compactToTarget(targetToCompact(target))
      const lost = target - rounded
      return lost >= 0n && lost <= target >> 15n && targetToCompact(rounded) === targetToCompact(target)
    }),
    { numRuns: 1_000 },
  )
})

t.test('network files', async (t) => {
  const one = '11'.repeat(32)
  const two = '22'.repeat(32)
  t.throws(() => parseNetworkFile({ ...paperNetwork, version: 2 }), { code: 'unsupported_version' })
  for (const [name, change] of Object.entries({
    'a name with spaces': { name: 'my net' },
    'a field too many': { fee: 1 },
    'a target that is none': { difficulty: { rule: 'fixed', target: '00000000' } },
    'a target above the easiest': { difficulty: { rule: 'fixed', target: '2100ffff' } },
    'a date that is none': { time: '2026-13-45T00:00:00.000Z' },
    'a day that its month does not have': { time: '2026-02-30T00:00:00.000Z' },
    'an hour that no day has': { time: '2026-02-28T24:00:00.000Z' },
    'a time before 1970': { time: '1969-12-31T23:59:59.999Z' },
    'administrators without a threshold': { administrators: ['k'] },
    'no administrator': { clearLabels: false, administrators: { keys: [], threshold: 1 } },
    'more administrators needed than there are': { clearLabels: false, administrators: { keys: [one], threshold: 2 } },
    'no administrator needed': { clearLabels: false, administrators: { keys: [one], threshold: 0 } },
    'an administrator twice': { clearLabels: false, administrators: { keys: [one, one], threshold: 1 } },
    'administrators in another order': { clearLabels: false, administrators: { keys: [two, one], threshold: 1 } },
    'clear labels beside administrators': { administrators: { keys: [one], threshold: 1 } },
    'a limit as text': { maxBlockBytes: '65536' },
  })) {
    t.throws(() => parseNetworkFile({ ...paperNetwork, ...change }), { code: 'invalid_network' }, name)
  }
  t.throws(() => parseNetworkFile(null), { code: 'invalid_network' })
  const clinic = parseNetworkFile({
    ...paperNetwork,
    clearLabels: false,
    administrators: { keys: [one, two], threshold: 2 },
  })
  const keys = [one, two].map((key) => Uint8Array.from(Buffer.from(key, 'hex')))
  t.same(clinic.administrators, { keys, threshold: 2 })
  t.match(decodeCanonical(clinic.bytes), { administrators: { keys, threshold: 2 } })

  const asert = { rule: 'asert', target: '1e7fffff', limit: '1f7fffff', spacing: 10_000, halfLife: 600_000 }
  const { bytes } = parseNetworkFile({ ...paperNetwork, difficulty: asert })
  const unhexed = { ...asert, target: unhex('1e7fffff'), limit: unhex('1f7fffff') }
  t.same((decodeCanonical(bytes) as { difficulty: object }).difficulty, unhexed, 'targets are bytes')
  const { limit: _, ...limitless } = asert
  for (const [difficulty, message] of [
    [null, /\/difficulty:/],
    [{}, /\/difficulty\/rule: must be "fixed" or "asert"/],
    [{ ...asert, rule: 'lwma' }, /\/difficulty\/rule: must be "fixed" or "asert"/],
    [{ ...asert, rule: 'fixed' }, /\/difficulty.*limit/],
    [limitless, /\/difficulty.*limit/],
    [{ ...asert, window: 60 }, /\/difficulty.*window/],
    [{ ...asert, target: '1f7fffff00' }, /\/difficulty\/target/],
    [{ ...asert, target: '1f0000ff' }, /\/difficulty\/target: is no normalised/],
    [{ ...asert, limit: '1f800001' }, /\/difficulty\/limit: is no normalised/],
    [{ ...asert, limit: '2100ffff' }, /\/difficulty\/limit: is above the easiest, 207fffff/],
    [{ ...asert, target: '2000ffff' }, /\/difficulty\/target: is above the limit, 1f7fffff/],
    [{ ...asert, spacing: 0 }, /\/difficulty\/spacing: must be >= 100/],
    [{ ...asert, spacing: 86_400_001 }, /\/difficulty\/spacing: must be <= 86400000/],
    [{ ...asert, spacing: 10.5 }, /\/difficulty\/spacing: must be integer/],
    [{ ...asert, spacing: '10000' }, /\/difficulty\/spacing: must be integer/],
    [{ ...asert, halfLife: -1 }, /\/difficulty\/halfLife: must be >= 1000/],
    [{ ...asert, halfLife: 2 ** 40 }, /\/difficulty\/halfLife: must be <= 2592000000/],
    [{ ...asert, halfLife: 9_999 }, /\/difficulty\/halfLife: is shorter than the spacing/],
  ] as const) {
    const code = 'invalid_network'
    t.throws(() => parseNetworkFile({ ...paperNetwork, difficulty }), { code, message }, String(message))
  }
})

t.test('whatever is read has one encoding, and nothing but an EmrError comes out', async (t) => {
  const readers: [name: string, bytes: fc.Arbitrary<Uint8Array>, read: (bytes: Uint8Array) => Uint8Array][] = [
    ['decodeCanonical', anyBytes, (bytes) => encodeCanonical(decodeCanonical(bytes))],
    ['decodeHeader', headerBytes, (bytes) => encodeHeader(decodeHeader(bytes))],
    ['decodeTransactionList', listBytes, (bytes) => encodeTransactionList(decodeTransactionList(bytes))],
    [
      'decodeTransaction',
      transactionBytes,
      (bytes) => {
        const { id, bytes: _bytes, ...fields } = decodeTransaction(bytes)
        if (!id.equals(cidOf(bytes))) throw new Error('The id is not that of the bytes.')
        return encodeCanonical(fields)
      },
    ],
    [
      'decodeBlocks',
      carBytes(encodeBlocks([first])),
      (car) => encodeCar(decodeCar(car).roots, decodeBlocks(car).flatMap(blockSections)),
    ],
    [
      'decodeHeaders',
      carBytes(encodeHeaders([first, second])),
      (car) => encodeCar(decodeCar(car).roots, decodeHeaders(car).flatMap(headerSections)),
    ],
  ]
  for (const [name, bytes, read] of readers) {
    let accepted = 0
    const judge = (bytes: Uint8Array): boolean => {
      let encoded: Uint8Array
      try {
        encoded = read(bytes)
      } catch (error) {
        return error instanceof EmrError
      }
      accepted += 1
      return hex(encoded) === hex(bytes)
    }
    fc.assert(fc.property(bytes, judge), { numRuns: 2_000 })
    t.ok(accepted >= 20, `${name}: ${accepted} were accepted`)
  }
})
