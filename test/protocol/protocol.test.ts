import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import t from 'tap'
import { workOf } from '#emrchain/consensus/difficulty.js'
import { EmrError } from '#emrchain/errors.js'
import { blockSections, encodeTransactionList, genesisSections } from '#emrchain/protocol/block.js'
import { decodeCanonical, encodeCanonical } from '#emrchain/protocol/canonical.js'
import { decodeBlocks, encodeBlocks, encodeCar } from '#emrchain/protocol/car.js'
import { cidOf, parseChainId, parseFileCid } from '#emrchain/protocol/cid.js'
import { compactToTarget, targetToBytes, targetToCompact } from '#emrchain/protocol/compact-target.js'
import { decodeHeader, encodeHeader, HEADER_LENGTH, NONCE_OFFSET } from '#emrchain/protocol/header.js'
import { paperNetwork, parseNetworkFile } from '#emrchain/protocol/network-parameters.js'
import { decodeTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, easyNetworkFile, signerOf } from '../fixtures/block-maker.js'

/**
 * Frozen bytes: docs/protocol.md says how they come about, test/vectors/protocol.json and chain.car hold
 * them. Whoever changes them changes the protocol. EMRCHAIN_WRITE_VECTORS=1 writes them anew.
 */
const root = fileURLToPath(new URL('../../', import.meta.url))
const vectorsPath = join(root, 'test', 'vectors', 'protocol.json')
const chainPath = join(root, 'test', 'vectors', 'chain.car')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const paper = createBlockMaker(paperNetwork)
const easy = createBlockMaker(easyNetworkFile)
const labelled = easy.record('MRI', { at: 1_767_225_600_001 })
const plain = easy.record('CT', { at: 1_767_225_600_002, label: null })
const first = easy.block(easy.genesis, [labelled, plain])
const second = easy.block(first.header, [])
const loser = easy.block(easy.genesis, [labelled], { signer: signerOf('another miner') })
const third = easy.block(second.header, [easy.record('X-ray', { at: 1_767_225_602_000 })])

const network = ({ network, genesis }: typeof paper) => ({
  parameters: hex(network.bytes),
  parametersCid: network.cid.toString(),
  genesisHeader: hex(genesis.bytes),
  genesisId: genesis.id.toString(),
})
const transaction = (signed: typeof plain) => {
  const { id: _id, bytes: _bytes, sig, ...unsigned } = signed
  return {
    id: signed.id.toString(),
    bytes: hex(signed.bytes),
    signed: hex(Buffer.concat([Buffer.from('emrchain/tx/v1'), encodeCanonical(unsigned)])),
    from: hex(signed.from),
    sig: hex(sig),
  }
}
const compacts = ['1d00ffff', '1f00ffff', '207fffff', '1b0404cb', '05009234', '03123456', '02008000', '01010000']
const made = {
  source:
    'Made by test/protocol/protocol.test.ts; frozen. Keys are Ed25519 seeds SHA-256("patient"), SHA-256("miner").',
  seeds: { patient: hex(seedOf('patient')), miner: hex(seedOf('miner')) },
  networks: { paper: network(paper), easy: network(easy) },
  transactions: { labelled: transaction(labelled), plain: transaction(plain) },
  block: {
    header: hex(first.header.bytes),
    id: first.header.id.toString(),
    list: hex(encodeTransactionList([labelled.id, plain.id])),
    results: hex(first.header.results),
    signed: hex(Buffer.concat([Buffer.from('emrchain/block/v1'), first.header.id.bytes])),
    signature: hex(first.signature),
    signatureSection: hex(blockSections(first).at(-2)?.bytes ?? new Uint8Array(0)),
    car: hex(encodeBlocks([first])),
  },
  targets: compacts.map((compact) => ({
    compact,
    target: hex(targetToBytes(compactToTarget(Number.parseInt(compact, 16)))),
    work: workOf(Number.parseInt(compact, 16)).toString(16),
  })),
}
const chain = encodeCar(
  [easy.network.cid],
  [
    { cid: easy.network.cid, bytes: easy.network.bytes },
    ...genesisSections(easy.genesis),
    ...[first, loser, second, third].flatMap(blockSections),
  ],
)
if (process.env.EMRCHAIN_WRITE_VECTORS) {
  writeFileSync(vectorsPath, `${JSON.stringify(made, null, 2)}\n`)
  writeFileSync(chainPath, chain)
}

function seedOf(name: string): Uint8Array {
  return cidOf(Buffer.from(name)).multihash.digest
}

t.test('bytes are those of the frozen vectors', async (t) => {
  t.same(made, JSON.parse(readFileSync(vectorsPath, 'utf8')))
  t.ok(readFileSync(chainPath).equals(chain), 'the chain file')
})

t.test('what was written is read back', async (t) => {
  t.same(decodeTransaction(labelled.bytes), labelled)
  t.same(decodeTransaction(plain.bytes), plain)
  t.same(decodeBlocks(encodeBlocks([first, second])), [first, second])
  t.ok(parseChainId(hex(first.header.id.multihash.digest)).equals(first.header.id), 'an id of 64 digits')
  t.ok(parseChainId(first.header.id.toString()).equals(first.header.id))
  for (const wrong of ['', 'x', 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o', 'f'.repeat(63)]) {
    t.throws(() => parseChainId(wrong), { code: 'malformed_cid' }, `not an id: ${wrong}`)
  }
  for (const wrong of ['', 'QmT78', first.header.id.toString()]) {
    t.throws(() => parseFileCid(wrong), { code: 'malformed_cid' }, `not a file: ${wrong}`)
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
  for (const compact of [
    0x00000000, 0x01000000, 0x1d000000, 0x1d800001, 0x1dffffff, 0x22010000, 0x1d0000ff, 0x04000001,
  ]) {
    t.throws(() => compactToTarget(compact), { code: 'header_bad_target' }, compact.toString(16))
  }
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: (1n << 256n) - 1n }), (target) => {
      const rounded = compactToTarget(targetToCompact(target))
      return (
        (rounded <= target &&
          targetToCompact(rounded) === targetToCompact(target) &&
          target - rounded < target >> 14n) ||
        target < 1n << 24n
      )
    }),
  )
})

t.test('network files', async (t) => {
  t.throws(() => parseNetworkFile({ ...paperNetwork, version: 2 }), { code: 'unsupported_version' })
  for (const [name, change] of Object.entries({
    'a name with spaces': { name: 'my net' },
    'a field too many': { fee: 1 },
    'a target that is none': { difficulty: { rule: 'fixed', target: '00000000' } },
    'a date that is none': { time: '2026-13-45T00:00:00.000Z' },
    'administrators before there is a contract for them': { administrators: ['k'] },
    'a limit as text': { maxBlockBytes: '65536' },
  })) {
    t.throws(() => parseNetworkFile({ ...paperNetwork, ...change }), { code: 'invalid_network' }, name)
  }
  t.throws(() => parseNetworkFile(null), { code: 'invalid_network' })
})

t.test('whatever is read has one encoding, and nothing but an EmrError comes out', async (t) => {
  const readers: [name: string, read: (bytes: Uint8Array) => unknown][] = [
    ['decodeCanonical', decodeCanonical],
    ['decodeTransaction', decodeTransaction],
    ['decodeHeader', decodeHeader],
    ['decodeBlocks', decodeBlocks],
  ]
  const seeds = [labelled.bytes, first.header.bytes, encodeBlocks([first]), easy.network.bytes]
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(3))
    .map(([seed, changes, cut]) => {
      const bytes = Uint8Array.from(seed)
      for (const [at, value] of changes) bytes[at % bytes.length] = value
      return cut === 0 ? bytes.subarray(0, bytes.length - 1) : bytes
    })
  let accepted = 0
  for (const [name, read] of readers) {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (bytes) => {
        try {
          read(bytes)
        } catch (error) {
          return error instanceof EmrError
        }
        accepted += 1
        return name === 'decodeBlocks' || hex(dagCbor.encode(dagCbor.decode(bytes))) === hex(bytes)
      }),
      { numRuns: 3_000 },
    )
  }
  t.ok(accepted > 100, `${accepted} were accepted`)
})

t.test('an independent verifier in Python agrees', async (t) => {
  const script = join(root, 'test', 'protocol', 'verify_chain.py')
  if (spawnSync('python3', ['--version']).status !== 0) {
    const reason = 'python3 is not on the PATH'
    if ((process.env.EMRCHAIN_REQUIRE ?? '').split(/[ ,]+/).includes('python')) t.fail(reason)
    else t.comment(`skipped: ${reason}`)
    return
  }
  t.ok(existsSync(script))
  const folder = t.testdir()
  const verify = (name: string, car: Uint8Array) => {
    const path = join(folder, `${name}.car`)
    writeFileSync(path, car)
    const { status, stdout } = spawnSync('python3', [script, path], { encoding: 'utf8' })
    return { status, stdout: stdout.trim() }
  }
  const tip = hex(third.header.id.multihash.digest)
  t.match(verify('good', chain), { status: 0, stdout: new RegExp(`^valid: height 3, tip ${tip}, work `) })

  const blocks = (...list: (typeof first)[]): Uint8Array =>
    encodeCar(
      [easy.network.cid],
      [
        { cid: easy.network.cid, bytes: easy.network.bytes },
        ...genesisSections(easy.genesis),
        ...list.flatMap(blockSections),
      ],
    )
  const flipped = Uint8Array.from(chain)
  flipped[chain.length - 500] = (flipped[chain.length - 500] ?? 0) ^ 1
  const refused: [name: string, car: Uint8Array, code: string][] = [
    ['one flipped bit', flipped, 'wrong_cid'],
    ['other work', blocks(easy.block(easy.genesis, [], { unmined: true })), 'header_insufficient_work'],
    ['other key', blocks({ ...first, signature: second.signature }), 'header_bad_signature'],
    ['a block left out', blocks(first, third), 'header_unknown_parent'],
    ['a record twice', blocks(first, easy.block(first.header, [labelled])), 'block_duplicate_transaction'],
    ['transactions swapped', swapped(), 'block_wrong_transactions'],
    ['a tail cut off', chain.subarray(0, chain.length - 7), 'malformed_car'],
    [
      'results of others',
      blocks(easy.block(easy.genesis, [plain], { header: { results: second.header.results } })),
      'block_wrong_results',
    ],
    [
      'a record of another network',
      blocks(easy.block(easy.genesis, [paper.record('MRI', { at: 1 })])),
      'other_network',
    ],
  ]
  for (const [name, car, code] of refused) {
    const { status, stdout } = verify(name.replaceAll(' ', '-'), car)
    t.equal(status, 1, name)
    t.ok(stdout.startsWith(`invalid: ${code}`), `${name}: ${stdout}`)
  }

  function swapped(): Uint8Array {
    const [a, b, ...rest] = blockSections(first)
    const sections = [b, a, ...rest].flatMap((section) => section ?? [])
    const start = [{ cid: easy.network.cid, bytes: easy.network.bytes }, ...genesisSections(easy.genesis)]
    return encodeCar([easy.network.cid], [...start, ...sections])
  }
})
