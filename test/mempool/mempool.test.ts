import t from 'tap'
import { createMempool, DEFAULT_MEMPOOL_LIMITS } from '#emrchain/mempool/mempool.js'
import { DEFAULT_RECENT_LIMITS } from '#emrchain/mempool/recent.js'
import { createTally } from '#emrchain/node/tally.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { checkSignatures, decodeTransaction, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, rules, signerOf } from '../fixtures/block-maker.js'

/** A mempool on a disk of this test's own, of which one write can be made to fail, and whose look at signatures can be held. */
function setUp(
  limits: Partial<typeof DEFAULT_MEMPOOL_LIMITS>,
  before: readonly SignedTransaction[] = [],
  recentLimits = DEFAULT_RECENT_LIMITS,
) {
  const maker = createBlockMaker()
  const disk = before.map(({ bytes }) => bytes)
  const state = { fails: false, looked: 0, held: Promise.resolve() }
  let onPut: () => void = () => undefined
  // As a node has it, which counts what goes in.
  const mempool = createTally().ofMempool(
    createMempool(
      {
        network: maker.network,
        genesis: maker.genesis.id,
        async checkSignatures(transaction) {
          state.looked++
          await state.held
          checkSignatures(transaction, rules)
        },
        isOnChain: () => false,
        now: () => maker.genesis.time + 1_000,
        store: {
          async putPending(_, bytes) {
            onPut()
            if (state.fails) throw new Error('the disk failed')
            disk.push(bytes)
          },
          pending: () => disk,
        },
      },
      { ...DEFAULT_MEMPOOL_LIMITS, ...limits },
      recentLimits,
    ),
  )
  const record = (name: string, author: string) => maker.record(name, { signer: signerOf(author) })
  /** Resolves when the next one is on its way to the disk. */
  const put = (): Promise<void> =>
    new Promise((resolve) => {
      onPut = resolve
    })
  /** Holds the looks at signatures until the function that it gives is called. */
  const hold = (): (() => void) => {
    let letGo: () => void = () => undefined
    state.held = new Promise((resolve) => {
      letGo = resolve
    })
    return letGo
  }
  const forged = (name: string, author: string): SignedTransaction => {
    const { id: _id, bytes: _bytes, ...fields } = record(name, author)
    return decodeTransaction(encodeCanonical({ ...fields, sig: record(`not ${name}`, author).sig }))
  }
  return { mempool, record, forged, state, put, hold }
}

t.test('an author has a share, and leaves the rest to others', async (t) => {
  const { mempool, record } = setUp({ ofKey: 2 })
  const [first, second, third] = ['1', '2', '3'].map((name) => record(name, 'patient'))
  if (!first || !second || !third) throw new Error('unreachable')
  await mempool.add(first.bytes, 'http://a')
  await mempool.add(second.bytes)
  await t.rejects(mempool.add(third.bytes, 'http://b'), { code: 'mempool_key_full' })
  await mempool.add(record('4', 'doctor').bytes, 'http://a')
  mempool.follow({ taken: [first.id], returned: [] })
  await mempool.add(third.bytes, 'http://b')
  t.equal(mempool.size().transactions, 3)
})

t.test('a source has a share, whoever the authors are; what is no peer is one source', async (t) => {
  const { mempool, record } = setUp({ ofSource: 1 })
  const first = record('1', 'patient')
  await mempool.add(first.bytes, 'http://a')
  await t.rejects(mempool.add(record('2', 'doctor').bytes, 'http://a'), { code: 'mempool_source_full' })
  await mempool.add(record('2', 'doctor').bytes, 'http://b')
  await mempool.add(record('3', 'doctor').bytes)
  await t.rejects(mempool.add(record('4', 'doctor').bytes), { code: 'mempool_source_full' })
  mempool.follow({ taken: [first.id], returned: [] })
  await mempool.add(record('4', 'doctor').bytes, 'http://a')
})

t.test('at the same time no more are taken than one after another', async (t) => {
  const { mempool, record } = setUp({ ofKey: 3 })
  const names = Array.from({ length: 10 }, (_, n) => record(String(n), 'patient'))
  const results = await Promise.allSettled(names.map(({ bytes }) => mempool.add(bytes)))
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 3)
})

t.test('what the disk refused takes no room', async (t) => {
  const { mempool, record, state } = setUp({ ofKey: 1 })
  state.fails = true
  await t.rejects(mempool.add(record('1', 'patient').bytes), { message: 'the disk failed' })
  state.fails = false
  await mempool.add(record('1', 'patient').bytes)
  await t.rejects(mempool.add(record('2', 'patient').bytes), { code: 'mempool_key_full' })
})

t.test('what was acknowledged stays, however much comes back', async (t) => {
  const { record } = setUp({})
  const [first, second, third] = ['1', '2', '3'].map((name) => record(name, 'patient'))
  if (!first || !second || !third) throw new Error('unreachable')
  const { mempool } = setUp({ ofKey: 1, ofSource: 1 }, [first, second])
  mempool.follow({ taken: [], returned: [third] })
  t.equal(mempool.size().transactions, 3)
  await t.rejects(mempool.add(record('4', 'patient').bytes), { code: 'mempool_key_full' })
  mempool.follow({ taken: [first.id, second.id, third.id], returned: [] })
  await mempool.add(record('4', 'patient').bytes)
})

t.test('what the node signed itself is under every rule but that of its signature', async (t) => {
  const { mempool, record } = setUp({ ofKey: 2 })
  const first = record('1', 'node')
  t.equal(await mempool.addOwn(first), first)
  await t.rejects(mempool.addOwn(first), { code: 'transaction_known' })
  await t.rejects(mempool.add(first.bytes), { code: 'transaction_known' })
  await t.rejects(mempool.addOwn({ ...record('2', 'node'), at: Number.MAX_SAFE_INTEGER }), {
    code: 'transaction_from_future',
  })
  await t.rejects(mempool.addOwn({ ...record('2', 'node'), bytes: new Uint8Array(65_537) }), {
    code: 'transaction_too_large',
  })
  await mempool.addOwn(record('2', 'node'))
  await t.rejects(mempool.addOwn(record('3', 'node')), { code: 'mempool_key_full' })
  t.same([...mempool.all()].length, 2)
})

t.test('what was checked here is known to be; what disk and lost blocks give back is not', async (t) => {
  const { record } = setUp({})
  const [kept, returned, submitted] = [record('1', 'patient'), record('2', 'patient'), record('3', 'patient')]
  const { mempool, put, hold } = setUp({}, [kept])
  mempool.follow({ taken: [], returned: [returned] })
  t.notOk(mempool.isVerified(submitted.id))
  const [onItsWay, letGo] = [put(), hold()]
  const adding = mempool.add(submitted.bytes)
  t.notOk(mempool.isVerified(submitted.id), 'its signature is still looked at')
  letGo()
  await onItsWay
  t.ok(mempool.isVerified(submitted.id), 'a block may hold it before it is on this disk')
  await adding
  t.same(
    [kept, returned, submitted].map(({ id }) => mempool.isVerified(id)),
    [false, false, true],
  )
  const forged = { ...submitted, sig: submitted.sig.with(0, (submitted.sig[0] ?? 0) ^ 1) }
  const { id: _id, bytes: _bytes, ...fields } = forged
  await t.rejects(mempool.add(encodeCanonical(fields)), { code: 'transaction_bad_signature' })
  t.notOk(mempool.isVerified(cidOf(encodeCanonical(fields))), 'another signature is another id')
})

t.test('what was decoded already is not decoded again, and is under every rule', async (t) => {
  const { mempool, record } = setUp({})
  const first = record('1', 'patient')
  t.equal(await mempool.add(first, 'http://a'), first)
  t.equal(mempool.get(first.id), first)
  const { id: _id, bytes: _bytes, ...fields } = record('2', 'patient')
  const forged = decodeTransaction(encodeCanonical({ ...fields, sig: first.sig }))
  await t.rejects(mempool.add(forged, 'http://a'), { code: 'transaction_bad_signature' })
  await t.rejects(mempool.add({ ...first, bytes: new Uint8Array(65_537) }), { code: 'transaction_too_large' })
})

t.test('what a block took in is recalled for a while, within bounds, and waits no more', async (t) => {
  const { record } = setUp({})
  const [first, second, third] = ['1', '2', '3'].map((name) => record(name, 'patient'))
  if (!first || !second || !third) throw new Error('unreachable')
  for (const limits of [
    { transactions: 2.5, bytes: 10_000 },
    { transactions: 9, bytes: (second.bytes.length + third.bytes.length) * 1.25 },
  ]) {
    const { mempool, put } = setUp({}, [], limits)
    for (const { bytes } of [first, second]) await mempool.add(bytes)
    const onItsWay = put()
    const adding = mempool.add(third)
    await onItsWay
    t.equal(mempool.known(third.id), third, 'a block may hold it already')
    t.equal(mempool.recall(third.id), undefined, 'it is not on disk, and no other node may count on it')
    mempool.follow({ taken: [first.id, second.id, third.id], returned: [] })
    await adding
    t.same(mempool.size(), { transactions: 0, bytes: 0 }, 'what a block took before it was on disk waits for none')
    t.same(
      [first, second, third].map(({ id }) => mempool.recall(id)?.id.toString()),
      [undefined, second.id.toString(), third.id.toString()],
    )
    t.same(
      [first, second, third].map(({ id }) => [mempool.has(id), mempool.get(id), mempool.isVerified(id)]),
      [
        [false, undefined, false],
        [false, undefined, true],
        [false, undefined, true],
      ],
    )
    mempool.follow({ taken: [], returned: [second] })
    t.equal(mempool.get(second.id), second)
    t.equal(mempool.recall(second.id), second)
    mempool.follow({ taken: [second.id], returned: [] })
    t.ok(mempool.recall(third.id), 'the same again takes no more room')
  }
})

t.test('what is still looked at is promised to nobody and takes no room', async (t) => {
  const { mempool, record, forged, hold } = setUp({ transactions: 2, ofKey: 1, ofSource: 2 })
  const letGo = hold()
  const [first, wrong] = [record('1', 'patient'), forged('2', 'patient')]
  const refused = [mempool.add(wrong, 'http://a'), mempool.add(wrong.bytes, 'http://b')]
  const adding = mempool.add(first, 'http://a')
  for (const { id } of [first, wrong]) {
    t.same(
      [mempool.has(id), mempool.get(id), mempool.recall(id), mempool.isVerified(id)],
      [false, undefined, undefined, false],
    )
    t.same(mempool.known(id)?.id, id, 'it need not be asked for')
  }
  t.same([...mempool.all()], [])
  await mempool.addOwn(record('3', 'node'))
  letGo()
  for (const one of refused) await t.rejects(one, { code: 'transaction_bad_signature' })
  await adding
  t.equal(mempool.known(wrong.id), undefined)
  await t.rejects(mempool.add(record('4', 'doctor')), { code: 'mempool_full' })
})

t.test('copies that come at one time are looked at once, and one of them is taken', async (t) => {
  const { mempool, record, state, hold } = setUp({})
  const letGo = hold()
  const [first, second] = [record('1', 'patient'), record('2', 'patient')]
  const copies = [mempool.add(first, 'http://a'), mempool.add(first.bytes, 'http://b'), mempool.add(first.bytes)]
  const both = [mempool.add(second), mempool.addOwn(second)]
  letGo()
  const codes = (await Promise.allSettled([...copies, ...both])).map((one) =>
    one.status === 'fulfilled' ? 'taken' : one.reason.code,
  )
  t.same(codes, ['taken', 'transaction_known', 'transaction_known', 'transaction_known', 'taken'])
  t.equal(state.looked, 2)
})

t.test('what a block takes while it is looked at is known then, and does not wait', async (t) => {
  const { mempool, record, hold } = setUp({})
  const letGo = hold()
  const first = record('1', 'patient')
  const adding = mempool.add(first)
  mempool.follow({ taken: [first.id], returned: [] })
  t.notOk(mempool.isVerified(first.id))
  letGo()
  await t.rejects(adding, { code: 'transaction_known' })
  t.same(mempool.size(), { transactions: 0, bytes: 0 })
})
