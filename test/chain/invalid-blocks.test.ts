import { ed25519 } from '@noble/curves/ed25519.js'
import t from 'tap'
import type { ErrorCode, Verdict } from '#emrchain/errors.js'
import { EmrError } from '#emrchain/errors.js'
import { createMempool } from '#emrchain/mempool/mempool.js'
import {
  type Block,
  blockFromSections,
  blockSections,
  hashResults,
  type Section,
  signHeader,
} from '#emrchain/protocol/block.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { decodeHeader, encodeHeader, type Header } from '#emrchain/protocol/header.js'
import { checkSignatures, decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, easyNetworkFile, openChain, rules, signerOf } from '../fixtures/block-maker.js'

/**
 * What no node may take in, one case after another, each by its own code, with its verdict on the sender
 * and the tip where it was. Numbers in names are those of the case list that the tests grew from.
 */
const maker = createBlockMaker({ ...easyNetworkFile, maxBlockTransactions: 80, maxBlockBytes: 65_536 })
const { genesis, network } = maker
const NOW = genesis.time + 1_000_000
const record = maker.record('MRI')
const other = maker.record('CT')

/** Ed25519 points of order 1, 2, 4 and 8 (the encodings that signers must not have as keys). */
const SMALL_ORDER = Uint8Array.from(Buffer.from(`01${'00'.repeat(31)}`, 'hex'))
const NON_CANONICAL = Uint8Array.from(Buffer.from(`ee${'ff'.repeat(30)}7f`, 'hex'))

const withHeader = (change: Partial<Header>, options = {}) =>
  maker.block(genesis, [record], { header: change, ...options })

/** A header whose bytes are altered after signing; only what is decoded can be checked further. */
const rawHeader = (alter: (fields: unknown[]) => unknown[]): Uint8Array => {
  const { header } = maker.block(genesis, [record])
  const fields = [
    header.version,
    Buffer.from([0, 0, 0, 1]),
    header.parent,
    header.transactions,
    header.results,
    header.bytes.subarray(124, 132),
    header.bytes.subarray(133, 137),
    header.miner,
    header.bytes.subarray(172, 180),
  ]
  return encodeCanonical(alter(fields))
}

const send = (sections: readonly Section[]): Block => blockFromSections(sections)
const section = (bytes: Uint8Array): Section => ({ cid: cidOf(bytes), bytes })
const resend = (block: Block, change: (sections: Section[]) => Section[]): Block => send(change(blockSections(block)))

interface Case {
  readonly name: string
  readonly code: ErrorCode
  readonly verdict: Verdict
  readonly make: () => Block
}

const cases: readonly Case[] = [
  { name: '1 newer version', code: 'unsupported_version', verdict: 'ignore', make: () => withHeader({ version: 2 }) },
  { name: '1 older version', code: 'header_malformed', verdict: 'penalise', make: () => withHeader({ version: 0 }) },
  {
    name: '2 unknown parent',
    code: 'header_unknown_parent',
    verdict: 'ignore',
    make: () => withHeader({ parent: cidOf(Uint8Array.of(1)) }),
  },
  {
    name: '4 height too large',
    code: 'header_wrong_height',
    verdict: 'penalise',
    make: () => withHeader({ height: 2 }),
  },
  {
    name: '4 height of the parent',
    code: 'header_wrong_height',
    verdict: 'penalise',
    make: () => withHeader({ height: 0 }),
  },
  {
    name: '5 easier target',
    code: 'header_wrong_target',
    verdict: 'penalise',
    make: () => withHeader({ target: 0x2100ffff }),
  },
  {
    name: '5 harder target',
    code: 'header_wrong_target',
    verdict: 'penalise',
    make: () => withHeader({ target: 0x203fffff }),
  },
  { name: '6 zero target', code: 'header_bad_target', verdict: 'penalise', make: () => unminable(0x20000000) },
  { name: '6 negative target', code: 'header_bad_target', verdict: 'penalise', make: () => unminable(0x20ffffff) },
  { name: '6 overflowing target', code: 'header_bad_target', verdict: 'penalise', make: () => unminable(0x22010000) },
  {
    name: '6 target not normalised',
    code: 'header_bad_target',
    verdict: 'penalise',
    make: () => unminable(0x20000fff),
  },
  {
    name: '7 hash above the target',
    code: 'header_insufficient_work',
    verdict: 'penalise',
    make: () => maker.block(genesis, [record], { unmined: true }),
  },
  {
    name: '8 time 120 s and 1 ms ahead',
    code: 'header_time_too_late',
    verdict: 'ignore',
    make: () => withHeader({ time: NOW + 120_001 }),
  },
  {
    name: '9 time of the parent',
    code: 'header_time_too_early',
    verdict: 'penalise',
    make: () => withHeader({ time: genesis.time }),
  },
  {
    name: '10 time over 2^53',
    code: 'header_malformed',
    verdict: 'penalise',
    make: () => send(signedRaw(rawHeader((fields) => fields.with(5, Uint8Array.of(0, 32, 0, 0, 0, 0, 0, 0))))),
  },
  {
    name: '10 time as a float',
    code: 'header_malformed',
    verdict: 'penalise',
    make: () => send(signedRaw(rawHeader((fields) => fields.with(5, 1.5)))),
  },
  {
    name: '11 first bytes of the nonce not zero',
    code: 'header_bad_nonce',
    verdict: 'penalise',
    make: () => send(signedRaw(rawHeader((fields) => fields.with(8, Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0))))),
  },
  {
    name: '11 nonce of 7 bytes',
    code: 'header_malformed',
    verdict: 'penalise',
    make: () => send(signedRaw(rawHeader((fields) => fields.with(8, new Uint8Array(7))))),
  },
  {
    name: '12 miner of small order',
    code: 'header_bad_miner',
    verdict: 'penalise',
    make: () => withHeader({ miner: SMALL_ORDER }),
  },
  {
    name: '12 miner not canonical',
    code: 'header_bad_miner',
    verdict: 'penalise',
    make: () => withHeader({ miner: NON_CANONICAL }),
  },
  {
    name: '14 signature by another key',
    code: 'header_bad_signature',
    verdict: 'penalise',
    make: () => ({ ...signHeader(maker.block(genesis, [record]).header, signerOf('thief')), transactions: [record] }),
  },
  {
    name: '14 one bit of the signature',
    code: 'header_bad_signature',
    verdict: 'penalise',
    make: () => {
      const block = maker.block(genesis, [record])
      return { ...block, signature: block.signature.with(3, (block.signature[3] ?? 0) ^ 1) }
    },
  },
  {
    name: '15 field missing',
    code: 'header_malformed',
    verdict: 'penalise',
    make: () => send(signedRaw(rawHeader((fields) => fields.slice(0, 8)))),
  },
  {
    name: '15 field of another type in the same length',
    code: 'header_malformed',
    verdict: 'penalise',
    make: () => send(signedRaw(swapTypes(maker.block(genesis, [record]).header.bytes))),
  },
  {
    name: '16 not canonical',
    code: 'malformed_cbor',
    verdict: 'penalise',
    make: () => send(signedRaw(maker.block(genesis, [record]).header.bytes.with(0, 0x9f))),
  },
  {
    name: '17 CID of other bytes',
    code: 'wrong_cid',
    verdict: 'penalise',
    make: () =>
      resend(maker.block(genesis, [record]), (all) => [...all.slice(0, -1), { ...last(all), cid: record.id }]),
  },
  {
    name: '18 another list than the header links',
    code: 'block_wrong_list',
    verdict: 'penalise',
    make: () =>
      resend(maker.block(genesis, [record]), ([transaction, , ...rest]) =>
        [transaction, section(encodeCanonical([other.id])), ...rest].flatMap((one) => one ?? []),
      ),
  },
  {
    name: '19 listed transaction missing',
    code: 'block_wrong_transactions',
    verdict: 'penalise',
    make: () => resend(maker.block(genesis, [record]), (all) => all.slice(1)),
  },
  {
    name: '19 listed transaction replaced',
    code: 'block_wrong_transactions',
    verdict: 'penalise',
    make: () => resend(maker.block(genesis, [record]), ([, ...rest]) => [section(other.bytes), ...rest]),
  },
  {
    name: '20 the same transaction twice',
    code: 'block_duplicate_transaction',
    verdict: 'penalise',
    make: () => maker.block(genesis, [record, record]),
  },
  {
    name: '22 bytes over the limit',
    code: 'block_too_large',
    verdict: 'penalise',
    make: () => maker.block(genesis, filling(network.maxBlockBytes + 1)),
  },
  {
    name: '23 count over the limit',
    code: 'block_too_large',
    verdict: 'penalise',
    make: () => maker.block(genesis, many(network.maxBlockTransactions + 1)),
  },
  {
    name: '25 list element that is no link',
    code: 'block_malformed',
    verdict: 'penalise',
    make: () => resend(maker.block(genesis, [record]), (all) => [section(encodeCanonical([1])), ...all.slice(2)]),
  },
  {
    name: '27b results that are not those of the transactions',
    code: 'block_wrong_results',
    verdict: 'penalise',
    make: () => withHeader({ results: hashResults(Uint8Array.of(1)) }),
  },
  {
    name: 'a transaction dated over 120 s after its block',
    code: 'block_transaction_from_future',
    verdict: 'penalise',
    make: () => maker.block(genesis, [maker.record('late', { at: genesis.time + 1_000 + 120_001 })]),
  },
]

/** Targets that are no target cannot be mined for; the form is refused before the work is looked at. */
function unminable(target: number): Block {
  const { header, transactions } = maker.block(genesis, [record])
  return { ...signHeader(decodeHeader(encodeHeader({ ...header, target })), signerOf('miner')), transactions }
}
/** A block as it is sent whose header is these bytes, whatever they are. */
function signedRaw(header: Uint8Array): Section[] {
  const id = cidOf(header)
  return [
    ...blockSections(maker.block(genesis, [record])).slice(0, 2),
    section(encodeCanonical([id, new Uint8Array(64)])),
    { cid: id, bytes: header },
  ]
}
/** The time, eight bytes, as text of eight bytes. */
const swapTypes = (header: Uint8Array): Uint8Array => header.with(123, 0x68).fill(0x61, 124, 132)
const last = (sections: readonly Section[]): Section => sections.at(-1) ?? section(Uint8Array.of())
/** Different records, this many. */
const many = (count: number): SignedTransaction[] => Array.from({ length: count }, (_, i) => maker.record(`r${i}`))
/** Different records whose bytes add up to exactly this. */
function filling(total: number): SignedTransaction[] {
  const ofLength = (i: number, length: number): SignedTransaction =>
    maker.record('x', {
      at: genesis.time + i,
      label: { user_id: 'u'.repeat(256), EHR_name: 'n'.repeat(256), file_name: 'f'.repeat(length), size: 1 },
    })
  const records: SignedTransaction[] = []
  const longest = ofLength(0, 255).bytes.length
  let rest = total
  for (; rest > 2 * longest; rest -= longest) records.push(ofLength(records.length, 255))
  for (let length = 30; length < 255; length++) {
    const [first, second] = [ofLength(1_000, length), ofLength(1_001, 255)]
    for (let shorter = 30; shorter < 255; shorter++) {
      const pair = [first, ofLength(1_001, shorter)]
      if (pair.reduce((sum, { bytes }) => sum + bytes.length, 0) === rest) return [...records, ...pair]
      if (first.bytes.length + second.bytes.length < rest) break
    }
  }
  throw new Error(`no records fill ${total} bytes`)
}

t.test('invalid headers and blocks', async (t) => {
  const { chain } = await openChain(t, maker, { now: () => NOW })
  for (const { name, code, verdict, make } of cases) {
    const error = await Promise.resolve()
      .then(() => chain.addBlock(make()))
      .then(
        (outcome) => outcome,
        (error: unknown) => error,
      )
    t.ok(error instanceof EmrError, `${name}: refused`)
    if (error instanceof EmrError) {
      t.equal(error.code, code, `${name}: ${code}`)
      t.equal(error.verdict, verdict, `${name}: ${verdict}`)
    }
    t.ok(chain.tip().header.id.equals(genesis.id), `${name}: the tip stays`)
  }
})

t.test('the valid twins at each boundary', async (t) => {
  const { chain } = await openChain(t, maker, { now: () => NOW })
  const chainTo = async (block: Block) => {
    t.equal(await chain.addBlock(block), 'connected')
    t.ok(chain.tip().header.id.equals(block.header.id))
    return block.header
  }
  const first = await chainTo(maker.block(genesis, [], { header: { time: genesis.time + 1 } }))
  const full = await chainTo(maker.block(first, filling(network.maxBlockBytes)))
  const counted = await chainTo(maker.block(full, many(network.maxBlockTransactions)))
  const dated = maker.record('dated', { at: counted.time + 1_000 + 120_000 })
  const late = await chainTo(maker.block(counted, [dated]))
  await chainTo(maker.block(late, [], { header: { time: NOW + 120_000 } }))
})

t.test('a spoiled copy does not spoil the block', async (t) => {
  const { chain } = await openChain(t, maker, { now: () => NOW })
  const block = maker.block(genesis, [record, other])
  const [a, b, list, signature, header] = blockSections(block)
  if (!a || !b || !list || !signature || !header) throw new Error('a block of two has five sections')
  for (const [code, sections] of [
    ['block_wrong_transactions', [a, b, b, list, signature, header]],
    ['block_wrong_transactions', [b, a, list, signature, header]],
    ['block_wrong_list', [a, b, b, section(encodeCanonical([record.id, other.id, other.id])), signature, header]],
  ] as const) {
    t.throws(() => send(sections), { code })
  }
  await t.rejects(chain.addBlock({ ...block, signature: new Uint8Array(64) }), { code: 'header_bad_signature' })
  t.equal(await chain.addBlock(block), 'connected')
  t.equal(await chain.addBlock(block), 'known')
})

t.test('an invalid block and all that stands on it', async (t) => {
  const { chain } = await openChain(t, maker, { now: () => NOW })
  const bad = maker.block(genesis, [record, record])
  const child = maker.block(bad.header, [other])
  await t.rejects(chain.addBlock(bad), { code: 'block_duplicate_transaction' })
  await t.rejects(chain.addBlock(bad), { code: 'header_invalid_parent' })
  await t.rejects(chain.addBlock(child), { code: 'header_invalid_parent' })
  await t.rejects(chain.addHeaders([child]), { code: 'header_invalid_parent' })
  t.same(chain.missing(), [])
  t.equal(await chain.addBlock(maker.block(genesis, [record])), 'connected')
})

t.test('a transaction enters a branch once', async (t) => {
  const { chain, store } = await openChain(t, maker, { now: () => NOW })
  const first = maker.block(genesis, [record])
  const again = maker.block(first.header, [record])
  t.equal(await chain.addBlock(first), 'connected')
  await t.rejects(chain.addBlock(again), { code: 'block_duplicate_transaction' })
  t.match(store.placeOf(record.id), { height: 1, position: 0 }, 'where it was')
})

t.test('invalid transactions', async (t) => {
  const { chain, store } = await openChain(t, maker, { now: () => NOW })
  const elsewhere = createBlockMaker({ ...easyNetworkFile, name: 'elsewhere' })
  const noLabels = createBlockMaker({ ...easyNetworkFile, clearLabels: false })
  const mempoolOf = ({ network, genesis }: typeof maker) =>
    createMempool({
      network,
      genesis: genesis.id,
      checkSignatures: async (transaction) => checkSignatures(transaction, rules),
      store: { putPending: async () => undefined, pending: () => [] },
      isOnChain: (id) => store.placeOf(id) !== undefined,
      now: () => NOW,
    })
  const mempool = mempoolOf(maker)
  const { id: _id, bytes: _bytes, ...fields } = record
  const encoded = (change: object): Uint8Array => encodeCanonical({ ...fields, ...change })
  const higherS = (): Uint8Array => {
    const s = BigInt(`0x${Buffer.from(record.sig.subarray(32)).reverse().toString('hex')}`) + ed25519.Point.Fn.ORDER
    const bytes = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()
    return Uint8Array.from([...record.sig.subarray(0, 32), ...bytes])
  }
  const nested = Uint8Array.from([...new Uint8Array(8_000).fill(0x81), 0])
  const body = { file: fields.body.file }

  const refused: [name: string, code: ErrorCode, bytes: Uint8Array][] = [
    ['28 bad signature', 'transaction_bad_signature', encoded({ sig: record.sig.with(0, (record.sig[0] ?? 0) ^ 1) })],
    ['28 other contents', 'transaction_bad_signature', encoded({ at: record.at + 1 })],
    ['29 signed by another key', 'transaction_bad_signature', encoded({ from: signerOf('thief').publicKey })],
    ['30 key of small order', 'transaction_bad_key', encoded({ from: SMALL_ORDER })],
    ['30 key not canonical', 'transaction_bad_key', encoded({ from: NON_CANONICAL })],
    ['31 signature altered so that a lax verifier takes it', 'transaction_bad_signature', encoded({ sig: higherS() })],
    ['32 other genesis', 'other_network', elsewhere.record('MRI').bytes],
    ['34 unknown kind', 'transaction_malformed', encoded({ kind: 'coin' })],
    ['34 unknown field', 'transaction_malformed', encoded({ fee: 1 })],
    ['34 missing field', 'transaction_malformed', encodeCanonical(without(fields, 'at'))],
    ['34 wrong version', 'transaction_malformed', encoded({ v: 2 })],
    ['34 time as text', 'transaction_malformed', encoded({ at: '1' })],
    ['34 time negative', 'transaction_malformed', encoded({ at: -1 })],
    ['34 time as a fraction', 'transaction_malformed', encoded({ at: 1.5 })],
    ['34 key too short', 'transaction_malformed', encoded({ from: new Uint8Array(31) })],
    ['34 label without user', 'transaction_malformed', encoded({ body: { ...body, label: { EHR_name: 'MRI' } } })],
    ['34 label text empty', 'transaction_malformed', encoded({ body: labelled({ EHR_name: '' }) })],
    ['34 label text too long', 'transaction_malformed', encoded({ body: labelled({ EHR_name: 'ü'.repeat(129) }) })],
    ['34 size negative', 'transaction_malformed', encoded({ body: labelled({ size: -1 }) })],
    ['35 over the size limit', 'transaction_too_large', new Uint8Array(network.maxTransactionBytes + 1)],
    ['40 no CID', 'malformed_cid', encoded({ body: { file: new Uint8Array(34) } })],
    ['40 CID of another codec', 'malformed_cid', encoded({ body: { file: genesis.id.bytes } })],
    ['16 trailing bytes', 'malformed_cbor', Uint8Array.from([...record.bytes, 0])],
    ['16 indefinite length', 'malformed_cbor', Uint8Array.from([0xbf, ...record.bytes.subarray(1), 0xff])],
    ['16 long integer', 'malformed_cbor', Uint8Array.of(0xa1, 0x61, 0x76, 0x18, 0x01)],
    ['16 unsorted map', 'malformed_cbor', Uint8Array.of(0xa2, 0x61, 0x62, 0x01, 0x61, 0x61, 0x01)],
    ['16 duplicate key', 'malformed_cbor', Uint8Array.of(0xa2, 0x61, 0x61, 0x01, 0x61, 0x61, 0x01)],
    ['16 half float', 'malformed_cbor', Uint8Array.of(0xf9, 0x3c, 0x00)],
    ['16 ill-formed text', 'malformed_cbor', Uint8Array.of(0x62, 0xc3, 0x28)],
    ['26 nesting bomb', 'malformed_cbor', nested],
    ['26 huge declared length', 'malformed_cbor', Uint8Array.of(0x9b, 0, 0, 0, 1, 0, 0, 0, 0)],
    ['dated over 120 s ahead', 'transaction_from_future', maker.record('late', { at: NOW + 120_001 }).bytes],
  ]
  for (const [name, code, bytes] of refused) {
    await t.rejects(mempool.add(bytes), { code }, `${name}: ${code}`)
    t.equal(mempool.size().transactions, 0)
  }
  await t.rejects(mempoolOf(noLabels).add(noLabels.record('MRI').bytes), { code: 'clear_label_forbidden' })
  t.ok(await mempoolOf(noLabels).add(noLabels.record('MRI', { label: null }).bytes), 'without a label it is taken')

  // In a block the same rules hold: they are of the block's own bytes.
  for (const [name, code, bytes] of refused) {
    if (code !== 'transaction_bad_signature' && code !== 'transaction_bad_key') continue
    await t.rejects(chain.addBlock(maker.block(genesis, [decodeTransaction(bytes)])), { code }, `${name}, in a block`)
  }
  t.ok(chain.tip().header.id.equals(genesis.id))

  await mempool.add(record.bytes)
  await t.rejects(mempool.add(record.bytes), { code: 'transaction_known' }, '33 pending already')
  await chain.addBlock(maker.block(genesis, [other]))
  await t.rejects(mempool.add(other.bytes), { code: 'transaction_known' }, '33 on the chain already')
})

t.test('signatures that were found good before are not looked at again, and nothing else is left out', async (t) => {
  const looked: Uint8Array[] = []
  const watched = {
    ...rules,
    verify(signature: Uint8Array, message: Uint8Array, key: Uint8Array) {
      looked.push(signature)
      return rules.verify(signature, message, key)
    },
  }
  const seen = new Set<string>()
  const { chain } = await openChain(t, maker, {
    now: () => NOW,
    rules: watched,
    isVerified: (id) => seen.has(id.toString()),
  })
  const { id: _id, bytes: _bytes, ...fields } = record
  const forged = decodeTransaction(encodeCanonical({ ...fields, sig: record.sig.with(0, (record.sig[0] ?? 0) ^ 1) }))
  const elsewhere = createBlockMaker({ ...easyNetworkFile, name: 'elsewhere' }).record('MRI')
  for (const { id } of [record, elsewhere]) seen.add(id.toString())

  await t.rejects(chain.addBlock(maker.block(genesis, [record, forged])), { code: 'transaction_bad_signature' })
  await t.rejects(chain.addBlock(maker.block(genesis, [elsewhere])), { code: 'other_network' })
  await t.rejects(chain.addBlock(maker.block(genesis, [record, record])), { code: 'block_duplicate_transaction' })
  const wrongResults = maker.block(genesis, [record], { header: { results: hashResults(Uint8Array.of(1)) } })
  await t.rejects(chain.addBlock(wrongResults), { code: 'block_wrong_results' })
  looked.length = 0
  const good = maker.block(genesis, [record, other])
  t.equal(await chain.addBlock(good), 'connected')
  t.same(looked, [good.signature, other.sig], 'the header, and what was not seen before')
})

const without = (fields: object, key: string): object =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key))
const labelled = (change: object) => ({ ...record.body, label: { ...record.body.label, ...change } })
