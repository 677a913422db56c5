import t from 'tap'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import type { ErrorCode } from '#emrchain/errors.js'
import { depositIdOf } from '#emrchain/node/deposit-id.js'
import { decodeHandoverReceipt, signHandoverReceipt } from '#emrchain/protocol/handover.js'
import { type HandoverBody, signPersonRequest } from '#emrchain/protocol/person-request.js'
import { sealDeposit } from '#emrchain/protocol/sealed-deposit.js'
import { chain as genesis } from '../contract/consent-world.js'
import { rules, signerOf } from '../fixtures/block-maker.js'
import { digest, sealSecretOf } from './custody-bench.js'
import { erasureOf, isIn, keyOf, name, openIt, refused, setUp } from './custody-scene.js'

// Each custodian has shares on disk: some seconds for all of it on a free core.
t.setTimeout(600_000)

t.test('new custodians get the shares, and a former one then destroys its own', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  await name(t, bench, a, b)
  const record = await bench.keepRecord('x', [a, b])
  const second = await bench.keepRecord('y', [a, b])
  const given = bench.grant()
  await bench.mine(given)
  const grant = given.id.bytes
  const oldKey = Buffer.from(keyOf(a.folder))
  await name(t, bench, b, c)
  await refused(t, bench.ask(c, 'doctor', record, { grant }), 'share_unknown')
  c.isReachable = false
  t.equal(await a.custody.handOver(), false)
  t.equal(a.troubles.length, 1, 'one that is away is not waited for again')
  t.equal(c.shares.count(), 0)
  c.isReachable = true
  t.equal(await a.custody.handOver(), false, 'all is handed over, and the block may still lose')
  t.equal(c.shares.count(), 2)
  t.equal(c.handovers.length, 2)
  t.notOk(
    c.handovers.some((bytes) => Buffer.from(bytes).includes(Buffer.from(bench.depositBody('x').share))),
    'sealed',
  )
  t.equal(await b.custody.handOver(), true, 'a present one hands over as well, and keeps what it has')
  t.equal(c.handovers.length, 4)
  const released = await openIt(await bench.ask(c, 'doctor', record, { grant }), record)
  t.same(released, { share: bench.depositBody('x').share, label: Uint8Array.from(bench.depositBody('x').label) })

  for (let blocks = 1; blocks < 5; blocks++) await bench.mine()
  t.equal(await a.custody.handOver(), false)
  t.equal(a.shares.count(), 2)
  await bench.mine()
  t.equal(await a.custody.handOver(), true)
  t.equal(a.shares.count(), 0)
  t.notOk(isIn(a.folder, oldKey), 'no key opens what is left of it')
  t.equal(c.handovers.length, 4, 'nobody is asked twice')
  t.same([b.shares.count(), c.shares.count()], [2, 2])
  for (const { custody } of bench.custodians) t.equal(await custody.handOver(), true, 'nothing is left')
  await bench.ask(b, 'patient', second)
  // Named again, it gets them back.
  await name(t, bench, a, c)
  for (const { custody } of bench.custodians) await custody.handOver()
  await bench.ask(a, 'doctor', record, { grant })
})

t.test('a custodian that restarts goes on handing over', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  await name(t, bench, a, b)
  for (const one of ['x', 'y', 'z']) await bench.keepRecord(one, [a, b])
  await name(t, bench, c)
  for (let blocks = 0; blocks < 6; blocks++) await bench.mine()
  // It comes to the second one, and is gone.
  c.answerHandover = (receipt) => {
    if (c.handovers.length === 2) c.isReachable = false
    return receipt
  }
  t.equal(await a.custody.handOver(), false)
  t.same([a.shares.count(), c.shares.count()], [3, 2])
  const again = await a.reopen()
  t.equal(await again.custody.handOver(), false, 'not before it has read the chain')
  await again.custody.start()
  c.isReachable = true
  t.equal(await again.custody.handOver(), true)
  t.same([again.shares.count(), c.shares.count()], [0, 3])
  t.equal(await b.custody.handOver(), true)
  t.equal(b.shares.count(), 0)
})

t.test('one that is named again meanwhile keeps what it has', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  await name(t, bench, a, b)
  await bench.keepRecord('x', [a, b])
  await name(t, bench, c)
  for (let blocks = 0; blocks < 6; blocks++) await bench.mine()
  const custodians = [a.id, c.id].sort(Buffer.compare)
  const version = bench.version('patient', { custodians }, a.chain.contractState())
  c.answerHandover = (receipt) => {
    const block = a.chain.mine([version])
    for (const { chain } of [b, c]) chain.take(block)
    c.answerHandover = (next) => next
    return receipt
  }
  t.equal(await a.custody.handOver(), false)
  t.equal(a.shares.count(), 1)
  for (const { custody } of bench.custodians) await custody.follow()
  t.equal(await a.custody.handOver(), true)
  t.equal(a.shares.count(), 1)
})

t.test('a deposit whose record comes after the change goes over too', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  const waiting = await bench.signRecord('x', [b, c])
  await a.custody.deposit(await bench.depositRequest('patient', a.id, bench.depositBody('x')))
  await name(t, bench, b, c)
  for (let blocks = 0; blocks < 6; blocks++) await bench.mine()
  t.equal(await a.custody.handOver(), true)
  t.equal(a.shares.count(), 1, 'it waits for its record')
  const results = await bench.mine(waiting)
  t.same(results, [0])
  t.equal(await a.custody.handOver(), true)
  t.equal(a.shares.count(), 0)
  t.equal(c.handovers.length, 1)
})

t.test('nothing is destroyed without a receipt of this handover, by the custodian', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  await name(t, bench, a, b)
  const record = await bench.keepRecord('x', [a, b])
  await name(t, bench, c)
  for (let blocks = 0; blocks < 6; blocks++) await bench.mine()
  let earlier: Uint8Array | undefined
  const fields = { chain: genesis, record, at: bench.clock.now }
  const forgeries: ((receipt: Uint8Array) => Uint8Array)[] = [
    (receipt) => {
      earlier = receipt
      return new Uint8Array(3)
    },
    () => earlier ?? new Uint8Array(0),
    (receipt) => Uint8Array.from(receipt).fill(1, receipt.length - 1),
    (receipt) => {
      const { nonce } = decodeHandoverReceipt(receipt).fields
      return signHandoverReceipt({ ...fields, nonce }, signerOf('node2'))
    },
    (receipt) => {
      const { nonce } = decodeHandoverReceipt(receipt).fields
      return signHandoverReceipt({ ...fields, record: bench.world.id('patient'), nonce }, signerOf('node3'))
    },
  ]
  for (const [at, forge] of forgeries.entries()) {
    c.answerHandover = forge
    t.equal(await a.custody.handOver(), false, `forgery ${at}`)
    t.equal(a.shares.count(), 1)
  }
  t.equal(a.troubles.length, forgeries.length)
  c.answerHandover = (receipt) => receipt
  t.equal(await a.custody.handOver(), true)
  t.equal(a.shares.count(), 0)
})

t.test('a handover is refused for what is wrong with it', async (t) => {
  const { bench, a, b, c } = await setUp(t, { maxShares: 2 })
  await name(t, bench, a, b)
  const record = await bench.keepRecord('x', [a, b])
  const second = await bench.keepRecord('y', [a, b])
  const handover = async (
    by: string,
    { to = c.id, deposit = bench.depositBody('x'), of = record, sealed = {} as Partial<HandoverBody> } = {},
  ) => {
    const keeper = { id: to, seal: await publicKeyOf(sealSecretOf('node3')) }
    const { enc, sealed: ct, label } = await sealDeposit(genesis, deposit, keeper)
    const body = { record: of, enc, sealed: ct, label, ...sealed }
    const nonce = bench.nonce()
    return signPersonRequest({ chain: genesis, to, at: bench.clock.now, nonce, kind: 'handover', body }, signerOf(by))
  }
  const { custody } = c
  const fails = async (request: Promise<Uint8Array>, code: ErrorCode, match = {}) =>
    refused(t, custody.takeOver(await request), code, match)
  await fails(handover('node1'), 'not_custodian')
  await name(t, bench, b, c)
  await fails(handover('node4'), 'not_custodian', { message: /never was one/ })
  await fails(handover('doctor'), 'not_custodian', { message: /never was one/ })
  await fails(handover('nobody'), 'request_unknown_key')
  await fails(handover('node1', { to: b.id }), 'request_wrong_node')
  await fails(handover('node1', { of: bench.world.id('patient') }), 'record_unknown')
  await fails(handover('node1', { deposit: bench.depositBody('y') }), 'share_unopened')
  await fails(handover('node1', { of: second }), 'share_unopened')
  const other = bench.depositBody('x', { share: digest('another') })
  await fails(handover('node1', { deposit: other }), 'share_wrong')
  await fails(handover('node1', { sealed: { label: new Uint8Array(5_000) } }), 'request_malformed')
  await fails(bench.depositRequest('patient', c.id, bench.depositBody('x')), 'request_malformed')
  await refused(t, custody.deposit(await handover('node1')), 'request_malformed')
  t.equal(c.shares.count(), 0)

  const request = await handover('node1')
  const { fields, claim } = decodeHandoverReceipt(await custody.takeOver(request))
  t.match(fields, { record, at: bench.clock.now, key: signerOf('node3').publicKey })
  t.ok(rules.verify(claim.signature, claim.message, claim.key))
  await refused(t, custody.takeOver(request), 'request_replayed')
  await custody.takeOver(await handover('node2', { sealed: { label: digest('another label') } }))
  const { label } = bench.depositBody('x')
  t.same(
    c.shares.get(depositIdOf(genesis, bench.depositBody('x')))?.label,
    Uint8Array.from(label),
    'it stays as it was',
  )
  t.equal(c.shares.waitingOf(signerOf('node1').publicKey, 0), 0, 'it does not wait for its record')

  const ofOther = bench.depositBody('of another', { patient: bench.world.id('other') })
  await custody.deposit(await bench.depositRequest('other', c.id, ofOther))
  await fails(handover('node1', { of: second, deposit: bench.depositBody('y') }), 'custody_full')
  await bench.mine(erasureOf(bench, record))
  await fails(handover('node1'), 'record_erased')
})
