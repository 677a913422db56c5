import t from 'tap'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import { EmrError, errors, isEmrError } from '#emrchain/errors.js'
import { DEFAULT_CUSTODY_OPTIONS } from '#emrchain/node/custody-options.js'
import { depositIdOf } from '#emrchain/node/deposit-id.js'
import { firstRound } from '#emrchain/node/first-round.js'
import { createReleaseSlots } from '#emrchain/node/release-slots.js'
import { createSignerNonces } from '#emrchain/node/signer-nonces.js'
import { chainCidAt } from '#emrchain/protocol/cid.js'
import { capabilities, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { decodeCustodianView, encodeViewQuestion } from '#emrchain/protocol/custodian-view.js'
import type { DepositBody } from '#emrchain/protocol/person-request.js'
import { decodeReleaseReceipt, signReleaseReceipt } from '#emrchain/protocol/release.js'
import { sealDeposit } from '#emrchain/protocol/sealed-deposit.js'
import { depositMessage, possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import { signRecord } from '#emrchain/protocol/transaction.js'
import { certify, filler, chain as genesis, sign } from '../contract/consent-world.js'
import { rules, signerOf } from '../fixtures/block-maker.js'
import { type Bench, digest, sealSecretOf, type TestCustodian } from './custody-bench.js'
import { erasureOf, isIn, keyOf, name, openIt, refused, setUp, withRecord } from './custody-scene.js'

const HOUR = 3_600_000

// Each custodian has shares on disk: some seconds for all of it on a free core.
t.setTimeout(600_000)
const textOf = (id: Uint8Array): string => chainCidAt(id, 0).toString()

/** What one custodian answers to another about the doctor. */
async function viewOf(
  { world, nonce }: Bench,
  of: TestCustodian,
  record: Uint8Array,
  { from = 'node1', patient = 'patient' } = {},
) {
  const concern = { record, patient: world.id(patient), asker: world.id('doctor') }
  const question = encodeViewQuestion({ chain: genesis, nonce: nonce(), ...concern })
  return decodeCustodianView(await of.custody.view(question, signerOf(from).publicKey)).fields
}

t.test('a deposit is kept, and its receipt is what a record carries', async (t) => {
  const { bench, a } = await setUp(t)
  const body = bench.depositBody('x')
  const receipt = await a.custody.deposit(await bench.depositRequest('patient', a.id, body))
  t.same(receipt.node, a.id)
  t.same(receipt.key, signerOf('node1').publicKey)
  t.ok(rules.verify(receipt.sig, depositMessage(genesis, body), receipt.key))
  t.same(await a.custody.deposit(await bench.depositRequest('patient', a.id, body)), receipt, 'again, the same')
  t.same(await a.custody.deposit(await bench.depositRequest('doctor', a.id, body)), receipt, 'also for another author')
  const record = await bench.keepRecord('y', bench.custodians)
  t.equal(record.length, 36, 'the contract takes the receipts')
})

t.test('a deposit is refused for what is wrong with it', async (t) => {
  const { bench, a, b } = await setUp(t)
  const { custody } = a
  const body = bench.depositBody('x')
  const request = (change: object = {}, by = 'patient') => bench.depositRequest(by, a.id, { ...body, ...change })
  await refused(t, custody.deposit(await request({ share: digest('another') })), 'share_wrong')
  await refused(t, custody.deposit(await request({ patient: bench.world.id('doctor') })), 'not_custodian')
  await refused(t, custody.deposit(await bench.depositRequest('patient', b.id, body)), 'request_wrong_node')
  await refused(t, custody.deposit(await request({}, 'nobody')), 'request_unknown_key')
  await refused(t, custody.deposit(new Uint8Array(3)), 'request_malformed')
  await refused(t, custody.deposit(new Uint8Array(20_000)), 'request_malformed')
  await refused(t, custody.deposit(await request({ label: new Uint8Array(5_000) })), 'request_malformed')
  const sealed = (change: Partial<DepositBody>) => bench.depositRequest('patient', a.id, body, { sealed: change })
  await refused(t, custody.deposit(await sealed({ nonce: filler(1, 31) })), 'request_malformed')
  await refused(t, custody.deposit(await sealed({ sealed: filler(1, 47) })), 'request_malformed')
  const access = bench.access('doctor', a.id)
  await refused(t, custody.deposit(bench.releaseRequest('doctor', a.id, access)), 'request_malformed')
  const chain = chainCidAt(a.id, 0)
  await refused(t, custody.deposit(await bench.depositRequest('patient', a.id, body, { chain })), 'other_network')

  const at = (ms: number) => bench.depositRequest('patient', a.id, body, { at: bench.clock.now + ms })
  bench.clock.now += 500_000
  await refused(t, custody.deposit(await at(-120_001)), 'request_out_of_time')
  await refused(t, custody.deposit(await at(30_001)), 'request_out_of_time')
  const changed = Uint8Array.from(await request())
  const last = changed.length - 1
  changed[last] = (changed[last] ?? 0) ^ 1
  await t.rejects(custody.deposit(changed))
  const forged = Buffer.from(await request())
  const place = forged.indexOf(Buffer.from(body.label))
  forged[place] = (forged[place] ?? 0) ^ 1
  await refused(t, custody.deposit(forged), 'request_bad_signature')

  const once = await at(-120_000)
  await custody.deposit(once)
  await refused(t, custody.deposit(once), 'request_replayed')
  const ahead = await at(30_000)
  await custody.deposit(ahead)
  bench.clock.now += 100_000
  await refused(t, custody.deposit(ahead), 'request_replayed')
})

t.test('a share is sealed to one custodian and one deposit', async (t) => {
  const { bench, a, b } = await setUp(t)
  const body = bench.depositBody('x')
  const asked = await bench.depositRequest('patient', a.id, body)
  t.equal(Buffer.from(asked).includes(Buffer.from(body.share)), false, 'it does not cross in clear')
  const ofA = { id: a.id, seal: await publicKeyOf(sealSecretOf('node1')) }
  const { enc, sealed } = await sealDeposit(genesis, body, ofA)
  const unopened = async (change: object, to = a) => {
    const request = await bench.depositRequest('patient', to.id, body, { sealed: { enc, sealed, ...change } })
    return refused(t, to.custody.deposit(request), 'share_unopened', { message: errors.share_unopened.sentence })
  }
  await unopened({}, b)
  await unopened({ nonce: filler(1) })
  await unopened({ commitment: filler(1) })
  await unopened({ file: bench.depositBody('y').file })
  await unopened({ patient: bench.world.id('other') })
  await unopened({ enc: filler(9) })
  await unopened({ sealed: Uint8Array.from(sealed).fill(1, 47) })
  await a.custody.deposit(await bench.depositRequest('patient', a.id, body, { sealed: { enc, sealed } }))

  // Its identity names a key that the node does not have: nobody can deposit, and the operator reads why.
  const version = bench.version('node1', { seal: bench.sealKey }, a.chain.contractState())
  t.same(await bench.mine(version), [0])
  const toOther = await sealDeposit(genesis, bench.depositBody('z'), { ...ofA, seal: bench.sealKey })
  const asSealed = await bench.depositRequest('patient', a.id, bench.depositBody('z'), { sealed: toOther })
  await refused(t, a.custody.deposit(asSealed), 'share_unopened', { message: /names another key/ })
})

t.test('a request from before the start is refused: no nonces are known from then', async (t) => {
  const { bench, a } = await setUp(t)
  const request = await bench.depositRequest('patient', a.id, bench.depositBody('x'))
  await a.custody.deposit(request)
  bench.clock.now += 1
  const again = await a.reopen()
  await refused(t, again.custody.deposit(request), 'request_out_of_time')
})

t.test('only the patient replaces a label', async (t) => {
  const { bench, a } = await setUp(t)
  const body = bench.depositBody('x')
  const other = { ...body, label: digest('other label') }
  await a.custody.deposit(await bench.depositRequest('doctor', a.id, body))
  await refused(t, a.custody.deposit(await bench.depositRequest('doctor', a.id, other)), 'share_differs')
  await a.custody.deposit(await bench.depositRequest('patient', a.id, other))
  await refused(t, a.custody.deposit(await bench.depositRequest('doctor', a.id, body)), 'share_differs')
})

t.test('quotas: of one author, and of all', async (t) => {
  const { bench, a } = await setUp(t, { maxShares: 8, maxWaiting: 3 })
  const keep = async (name: string, by = 'patient') =>
    a.custody.deposit(await bench.depositRequest(by, a.id, bench.depositBody(name)))
  await Promise.all(['1', '2', '3'].map((name) => keep(name)))
  await refused(t, keep('4'), 'custody_author_full')
  await keep('3')
  await keep('5', 'doctor')
  bench.clock.now += 24 * HOUR + 1
  await keep('4')
  const settings = ['6', '7', '8']
  for (const [at, name] of settings.entries()) await keep(name, ['doctor', 'doctor', 'nurse'][at])
  await refused(t, keep('9', 'nurse'), 'custody_full')
})

t.test('a deposit whose record is on the chain waits no longer', async (t) => {
  const { bench, a, b, c } = await setUp(t, { maxWaiting: 2 })
  for (const name of ['1', '2', '3', '4']) await bench.keepRecord(name, [a, b, c])
  const keep = async (name: string) =>
    a.custody.deposit(await bench.depositRequest('patient', a.id, bench.depositBody(name)))
  await keep('5')
  await keep('6')
  await refused(t, keep('7'), 'custody_author_full')
})

t.test('a deposit without a record goes after seven days', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  const keep = async (name: string) =>
    a.custody.deposit(await bench.depositRequest('patient', a.id, bench.depositBody(name)))
  const idOf = (name: string) => depositIdOf(genesis, bench.depositBody(name))
  await keep('alone')
  await keep('late')
  const late = await bench.signRecord('late', [b, c])
  // Its record is on the chain before this node has it, as where a patient brings it again.
  await bench.keepRecord('again', [b, c])
  await keep('again')
  const begun = bench.clock.now
  bench.clock.now = begun + 48 * HOUR
  await keep('young')
  const oldKey = Buffer.from(keyOf(a.folder))

  bench.clock.now = begun + 7 * 24 * HOUR
  a.chain.mine([])
  await a.custody.follow()
  t.equal(a.shares.count(), 4, 'it is just as old as it may become')
  bench.clock.now = begun + 8 * 24 * HOUR
  await a.custody.follow()
  t.equal(a.shares.count(), 4, 'a clock that is ahead of the chain is no proof')
  a.chain.waiting.push(late)
  a.chain.mine([])
  await a.custody.follow()
  t.equal(a.shares.count(), 4, 'it is looked at once a day')
  bench.clock.now = begun + 9 * 24 * HOUR
  await a.custody.follow()
  t.equal(a.shares.get(idOf('alone')), undefined)
  t.notOk(isIn(a.folder, oldKey), 'no key opens what is left of it')
  for (const name of ['late', 'again', 'young']) t.ok(a.shares.get(idOf(name)), name)
  const patient = signerOf('patient').publicKey
  t.equal(a.shares.waitingOf(patient, 0), 2, 'one has its record')
  // Its record is dropped from what waits; at the start a node looks at once.
  a.chain.waiting.splice(0)
  const again = await a.reopen()
  bench.clock.now += 1
  a.chain.mine([])
  await again.custody.start()
  t.equal(again.shares.get(idOf('late')), undefined)
  t.equal(again.shares.get(idOf('young')), undefined)
  t.ok(again.shares.get(idOf('again')))
  bench.clock.now += 1
  await again.custody.deposit(await bench.depositRequest('patient', again.id, bench.depositBody('alone')))
})

t.test('a release: sealed to the asker, logged and told before it is answered', async (t) => {
  const { bench, a, b, record, grant } = await withRecord(t)
  const access = bench.access('doctor', record, { grant })
  const release = await a.custody.release(bench.releaseRequest('doctor', a.id, access))
  const { share, label } = bench.depositBody('x')
  t.same(await openIt(release, record), { share, label: Uint8Array.from(label) })
  await t.rejects(openIt(release, grant), { code: 'seal_wrong' }, 'it fits no other record')
  t.same(release.access, access.id.bytes)
  const ids = { record, access: access.id.bytes, custodian: a.id }
  t.match(a.sealed, [{ publicKey: bench.sealKey, place: { genesis: genesis.bytes, ...ids } }])
  t.same(a.log, ['durable', 'told after the log'])
  t.ok(a.chain.isKnown(access.id), 'the access waits for its block')

  const [receipt = new Uint8Array(0)] = a.receipts
  const { fields, claim } = decodeReleaseReceipt(receipt)
  t.match(fields, { ...ids, asker: bench.world.id('doctor'), key: signerOf('node1').publicKey, at: bench.clock.now })
  t.ok(rules.verify(claim.signature, claim.message, claim.key))
  const logOf = ({ custody }: Pick<TestCustodian, 'custody'>) => custody.releasesOf(record).map(({ fields }) => fields)
  t.same(logOf(a), [fields])

  // Another custodian takes the receipt once it knows the access.
  await refused(t, b.custody.takeReceipt(receipt), 'transaction_unknown')
  await b.chain.submitTransaction(access.bytes)
  const forged = Buffer.from(receipt)
  const place = forged.indexOf(Buffer.from(bench.world.id('doctor')))
  forged[place + 10] = (forged[place + 10] ?? 0) ^ 1
  await refused(t, b.custody.takeReceipt(forged), 'request_bad_signature')
  await refused(t, b.custody.takeReceipt(new Uint8Array(2)), 'request_malformed')
  // Whoever is a node may sign anything: it has to be a custodian of the patient, and an access of who asked, to this record.
  const receiptBy = (by: string, change: Partial<typeof fields> = {}): Uint8Array =>
    signReleaseReceipt({ ...fields, custodian: bench.world.id(by), ...change }, signerOf(by))
  const kept = await bench.keepRecord('y', bench.custodians)
  const granted = { access: grant }
  await refused(t, b.custody.takeReceipt(receiptBy('node4')), 'not_custodian')
  await refused(t, b.custody.takeReceipt(receiptBy('doctor')), 'not_custodian')
  await refused(t, b.custody.takeReceipt(receiptBy('node3', granted)), 'access_unfit')
  await refused(t, b.custody.takeReceipt(receiptBy('node3', { asker: bench.world.id('nurse') })), 'access_unfit')
  await refused(t, b.custody.takeReceipt(receiptBy('node3', { record: kept })), 'access_unfit')
  t.same(b.custody.releasesOf(kept), [])
  t.equal(await b.custody.takeReceipt(receipt), true)
  t.equal(await b.custody.takeReceipt(receipt), false)
  t.same(logOf(b), [fields])
  const again = await b.reopen()
  t.same(logOf(again), [fields], 'also after a restart')
})

t.test('the patient reads its own, and another custodian gives out under the same access', async (t) => {
  const { bench, a, b, record, grant } = await withRecord(t)
  await bench.ask(a, 'patient', record, { purpose: 512 })
  const access = bench.access('doctor', record, { grant })
  await a.custody.release(bench.releaseRequest('doctor', a.id, access))
  await b.custody.release(bench.releaseRequest('doctor', b.id, access))
  t.equal(a.custody.releasesOf(record).length, 2)
  t.equal(b.custody.releasesOf(record).length, 1)
})

t.test('what is not there is not given out', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  await refused(t, bench.ask(a, 'doctor', grant, { grant }), 'record_unknown')
  const elsewhere = await bench.keepRecord('y', [b, c])
  await refused(t, bench.ask(a, 'patient', elsewhere), 'share_unknown')

  // A commitment is there for all to read: a record that copies it finds no share.
  const { commitment, nonce, file } = bench.depositBody('x')
  const thief = { patient: bench.world.id('other'), commitment, nonce, file }
  const message = depositMessage(genesis, thief)
  const receipts = [b, c].map(({ id, name }) => ({
    ...{ node: id, key: signerOf(name).publicKey, sig: signerOf(name).sign(message) },
  }))
  receipts.sort((x, y) => Buffer.compare(x.node, y.node))
  const copy = sign('other', { kind: 'record', body: bench.world.recordBody({ ...thief, receipts }) }, bench.clock.now)
  t.same(await bench.mine(copy), [0])
  await refused(t, bench.ask(a, 'other', copy.id.bytes), 'share_unknown')
  // A record that the contract refuses is none.
  const bad = sign('doctor', { kind: 'record', body: bench.world.recordBody({ nonce }) }, bench.clock.now)
  t.not((await bench.mine(bad))[0], 0)
  await refused(t, bench.ask(a, 'patient', bad.id.bytes), 'record_unknown')
  await bench.ask(a, 'doctor', record, { grant })
})

t.test('an access that does not stand for the request is refused', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  await refused(t, bench.ask(a, 'doctor', record, { grant, commitment: filler(1) }), 'access_unfit')
  const access = bench.access('doctor', record, { grant })
  await refused(t, a.custody.release(bench.releaseRequest('nurse', a.id, access)), 'access_unfit')
  const revocation = sign('doctor', {
    kind: 'revocation',
    body: { patient: bench.world.id('patient'), grant, grantee: null },
  })
  await refused(t, a.custody.release(bench.releaseRequest('doctor', a.id, revocation)), 'access_unfit')
  const old = bench.access('doctor', record, { grant })
  bench.clock.now += 24 * HOUR + 1
  await refused(t, a.custody.release(bench.releaseRequest('doctor', a.id, old)), 'access_expired')
  t.same(a.receipts, [])
})

t.test('without consent nothing is given out, and the reason is named', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  const denied = (promise: Promise<unknown>, reason: string) =>
    refused(t, promise, 'release_denied', { facts: { reason } })
  await denied(bench.ask(a, 'doctor', record), 'no_grant')
  await denied(bench.ask(a, 'nurse', record, { grant }), 'no_grant')
  await denied(bench.ask(a, 'doctor', record, { grant, purpose: 8 }), 'above_ceiling')
  const tried = a.chain.waiting.map(({ kind, from }) => [kind, from])
  const [doctor, nurse] = [signerOf('doctor').publicKey, signerOf('nurse').publicKey]
  t.same(
    tried,
    [
      ['access', doctor],
      ['access', nurse],
      ['access', doctor],
    ],
    'who tried is on record',
  )
  t.same(a.lost, [])
  const submitTransaction = () => Promise.reject(new EmrError('mempool_full'))
  Object.assign(a.chain, { submitTransaction })
  await denied(bench.ask(a, 'doctor', record, { grant, purpose: 16 }), 'above_ceiling')
  t.match(a.lost, [[{ code: 'mempool_full' }, /denied access/]])
  t.same(a.troubles, [], 'it is not tried again')
})

t.test('consent is in force at the later of tip time and clock', async (t) => {
  const { bench, a, b, c } = await setUp(t)
  const record = await bench.keepRecord('x', [a, b, c])
  const given = bench.grant({ until: bench.clock.now + 1_000 })
  await bench.mine(given)
  const grant = given.id.bytes
  await bench.ask(a, 'doctor', record, { grant })
  const begun = bench.clock.now
  bench.clock.now = begun + 1_000
  const late = { facts: { reason: 'out_of_time' } }
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'release_denied', late)
  bench.clock.now = begun + 2_000
  await bench.mine()
  bench.clock.now = begun + 500
  await refused(t, bench.ask(b, 'doctor', record, { grant }), 'release_denied', late)
})

t.test('what withdraws consent counts while it waits for its block', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  const { world, clock } = bench
  const patient = world.id('patient')
  const revocation = (by: string, change: object = {}) =>
    sign(by, { kind: 'revocation', body: { patient, grant, grantee: null, ...change } }, clock.now)
  const deny = bench.grant({ deny: 1, grantee: null })
  const frozen = [
    revocation('patient'),
    revocation('doctor'),
    revocation('patient', { grant: null, grantee: world.id('doctor') }),
    revocation('patient', { grant: null }),
    deny,
    sign('patient', { kind: 'erasure', body: { record, ground: 1 } }, clock.now),
  ]
  for (const transaction of frozen) {
    a.chain.waiting.push(transaction)
    await refused(t, bench.ask(a, 'doctor', record, { grant }), 'release_frozen', {
      message: new RegExp(transaction.id.toString()),
    })
    a.chain.waiting.pop()
  }
  const harmless = [
    revocation('nurse'),
    revocation('patient', { grant: null, grantee: world.id('nurse') }),
    sign('doctor', { kind: 'erasure', body: { record, ground: 1 } }, clock.now),
    sign('nurse', { kind: 'grant', body: world.grantBody({ deny: 1, grantee: null }) }, clock.now),
  ]
  a.chain.waiting.push(...harmless)
  for (const one of [...bench.custodians]) if (one !== a) one.chain.waiting.push(...harmless)
  await bench.ask(a, 'doctor', record, { grant })
  t.equal(a.receipts.length, 1, 'a stranger takes nothing away')
})

t.test('what the contract refuses stops no release and no handover', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  const { world, clock } = bench
  const patient = world.id('patient')
  const junk = Array.from({ length: 260 }, (_, at) => {
    const time = clock.now - at
    const of = { patient, grant, grantee: null }
    return [
      sign('nobody', { kind: 'certificate_revocation', body: { certificate: record, reason: 1, approvals: [] } }, time),
      sign('nobody', { kind: 'revocation', body: of }, time),
      sign('nobody', { kind: 'erasure', body: { record, ground: 1 } }, time),
      sign('nobody', { kind: 'grant', body: world.grantBody({ deny: 1, grantee: null }) }, time),
    ]
  }).flat()
  for (const { chain } of [b, c]) chain.waiting.push(...junk)
  await bench.ask(a, 'doctor', record, { grant })
  // What the patient revokes counts among them, also where a new key of his came before it.
  const next = signerOf('next key of patient')
  const keyProof = next.sign(possessionMessage(genesis, signerOf('patient').publicKey, next.publicKey))
  const moved = bench.version('patient', {
    key: next.publicKey,
    keyProof,
    custodians: [a.id, b.id, c.id].sort(Buffer.compare),
  })
  const revocation = sign('patient', { kind: 'revocation', body: { patient, grant, grantee: null } }, clock.now)
  b.chain.waiting.push(moved, revocation)
  const { withdrawals } = await viewOf(bench, b, record)
  t.same(withdrawals, [moved, revocation].map(({ id }) => id.bytes).sort(Buffer.compare))
  await refused(t, bench.ask(b, 'doctor', record, { grant }), 'release_frozen')

  for (const one of bench.custodians) one.chain.waiting.splice(0)
  await name(t, bench, b, c)
  await bench.keepRecord('y', [b, c])
  await name(t, bench, a, b)
  const erasure = junk.find(({ kind }) => kind === 'erasure')
  if (erasure) b.chain.waiting.push(erasure)
  t.equal(await b.custody.handOver(), true)
  b.chain.waiting.splice(0)
  t.equal(a.shares.count(), 2)
})

t.test('whoever sends many requests shuts out nobody but himself', async (t) => {
  const { take } = createSignerNonces({ ofSigner: 4, inAll: 12 })
  t.ok(take('a', 'first', 100, 0))
  t.notOk(take('a', 'first', 100, 0))
  t.ok(take('b', 'first', 100, 0), 'of another signer it is another')
  for (let n = 0; n < 100; n++) take('flood', `${n}`, 101 + n, 0)
  t.notOk(take('flood', '0', 101, 0), 'what is forgotten never passes twice')
  t.notOk(take('flood', 'new', 101, 0))
  t.ok(take('flood', 'new', 201, 0))
  for (const [signer, nonce] of [
    ['a', 'second'],
    ['b', 'second'],
  ] as const)
    t.ok(take(signer, nonce, 100, 0), 'others are as they were')
  t.notOk(take('a', 'first', 100, 0))

  // Together they are too many: those who have most lose some, and those who have fewer nothing.
  for (const signer of ['c', 'd', 'e']) for (let n = 0; n < 4; n++) t.ok(take(signer, `${n}`, 300 + n, 0))
  t.notOk(take('a', 'first', 100, 0))
  t.notOk(take('b', 'second', 100, 0))
  t.ok(take('a', 'third', 100, 0))
  for (const signer of ['c', 'd', 'e']) t.notOk(take(signer, '0', 300, 0))
  t.ok(take('a', 'first', 500, 400), 'after its time it would be refused for that')
})

t.test('a key that is about to be replaced asks in vain', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  const next = signerOf('next key of doctor')
  const doctor = signerOf('doctor')
  const keyProof = next.sign(possessionMessage(genesis, doctor.publicKey, next.publicKey))
  a.chain.waiting.push(bench.version('doctor', { key: next.publicKey, keyProof }))
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'release_frozen')
  await bench.mine()
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'request_unknown_key')
})

t.test('the access has to be on another node', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  a.isAcknowledged = false
  const access = bench.access('doctor', record, { grant })
  await refused(t, a.custody.release(bench.releaseRequest('doctor', a.id, access)), 'access_unacknowledged')
  t.same(a.log, ['durable'])
  t.same(a.receipts, [])
  a.isAcknowledged = true
  await a.custody.release(bench.releaseRequest('doctor', a.id, access))
})

t.test('a custodian that was cut off gives nothing out', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  const patient = bench.world.id('patient')
  const revocation = sign('patient', { kind: 'revocation', body: { patient, grant, grantee: null } }, bench.clock.now)

  // The others know of a revocation that waits; it does not.
  for (const one of [b, c]) one.chain.waiting.push(revocation)
  const begun = bench.clock.now
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'custodians_disagree')
  t.ok(bench.clock.now - begun >= 30_000 && bench.clock.now - begun < 31_000, 'it tries for 30 s')
  // It hears of it in time: then the revocation counts.
  a.onPause = () => a.chain.waiting.some(({ id }) => id.equals(revocation.id)) || a.chain.waiting.push(revocation)
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'release_frozen')
  a.onPause = () => undefined
  a.chain.waiting.splice(0)

  // The revocation is in a block that it does not have.
  await bench.mineAt([b, c])
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'custodians_disagree')
  t.same(a.receipts, [])
  t.same(a.sealed, [])
})

t.test('most of the custodians have to agree, and all count', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  c.isReachable = false
  await bench.ask(a, 'doctor', record, { grant })
  b.isReachable = false
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'custodians_disagree')
  // One that comes back in time counts.
  let rounds = 0
  a.onPause = () => {
    if (++rounds === 5) b.isReachable = true
  }
  await bench.ask(a, 'doctor', record, { grant })
  t.equal(rounds, 5)
  a.isReachable = false
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'custodians_disagree')
})

t.test('only a custodian of the patient is told what this node sees', async (t) => {
  const { bench, a, b, c, record } = await withRecord(t)
  t.match(await viewOf(bench, b, record), { withdrawals: [], tip: b.chain.tip().id, key: signerOf('node2').publicKey })
  await refused(t, viewOf(bench, b, record, { from: 'nobody' }), 'request_unknown_key')
  await refused(t, viewOf(bench, b, record, { from: 'node4' }), 'not_custodian')
  await refused(t, viewOf(bench, b, record, { from: 'doctor' }), 'not_custodian')
  await refused(t, viewOf(bench, b, record, { patient: 'other' }), 'record_unknown')
  await name(t, bench, b, c)
  await refused(t, viewOf(bench, b, record, { from: a.name }), 'not_custodian')
})

t.test('a lone custodian agrees with itself; one that is named no longer gives nothing out', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  await name(t, bench, a)
  for (const one of [b, c]) one.isReachable = false
  await bench.ask(a, 'doctor', record, { grant })
  await name(t, bench, b, c)
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'not_custodian')
  await refused(t, bench.ask(a, 'patient', record), 'not_custodian')
  const body = bench.depositBody('x')
  await refused(t, a.custody.deposit(await bench.depositRequest('patient', a.id, body)), 'not_custodian')
  await b.custody.deposit(await bench.depositRequest('patient', b.id, body))
})

t.test('where there are administrators a custodian is certified to keep shares', async (t) => {
  const { bench, a, b, c } = await setUp(t, { kind: 'clinic' })
  const { world, clock } = bench
  const uncertified = 'custodian_not_certified'
  const certified = (name: string, change: object = {}) => {
    const terms = { capabilities: capabilities.custody, at: clock.now++, ...change }
    return certify('hospital', world.id(name), roles.node, world.certificate('hospital'), terms)
  }
  const given = bench.grant()
  await bench.mine(given)
  await refused(t, bench.keepRecord('x', [a]), uncertified)
  await bench.mine(certified('node1', { capabilities: capabilities.mine }))
  await refused(t, bench.keepRecord('x', [a]), uncertified)

  const ofFirst = certified('node1')
  const [from, until] = [clock.now, clock.now + HOUR]
  t.same((await bench.mine(ofFirst, certified('node2', { from, until }))).slice(-2), [0, 0])
  await refused(t, bench.keepRecord('y', [a, b, c]), uncertified)
  const record = await bench.keepRecord('x', [a, b])
  const ask = (one: TestCustodian) => bench.ask(one, 'doctor', record, { grant: given.id.bytes })
  await ask(a)
  await ask(b)

  // Its other certificates stand, and do not speak of shares.
  const end = { certificate: ofFirst.id.bytes, reason: 0 as const, approvals: [] }
  t.equal((await bench.mine(sign('hospital', { kind: 'certificate_revocation', body: end }, clock.now))).at(-1), 0)
  await refused(t, ask(a), uncertified)
  await refused(t, bench.keepRecord('z', [a]), uncertified)
  await ask(b)
  clock.now = until
  await refused(t, ask(b), uncertified)

  // A former one hands over, whatever it is by now; the new one takes nothing before it is certified.
  await name(t, bench, c)
  t.equal(await a.custody.handOver(), false)
  t.match(a.troubles.at(-1), { code: uncertified })
  await bench.mine(certified('node3'))
  await a.custody.handOver()
  t.equal(c.shares.count(), 1)
  await ask(c)
})

t.test('a node that was down hears its peers first', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  await name(t, bench, a)
  await a.close()
  const patient = bench.world.id('patient')
  await bench.mineAt(
    [b, c],
    sign('patient', { kind: 'revocation', body: { patient, grant, grantee: null } }, bench.clock.now),
  )
  const newest = await b.chain.blockAt(b.chain.tip().height)
  const again = await bench.open('node1', a.chain, false, async () => {
    if (newest && a.chain.tip().height < b.chain.tip().height) a.chain.take(newest)
  })
  const revoked = { facts: { reason: 'revoked' } }
  await refused(t, bench.ask(again, 'doctor', record, { grant }), 'release_denied', revoked)
  // No peer holds that up for ever, and one that fails not at all.
  const alive = setInterval(() => undefined, 1_000)
  await firstRound(new Promise(() => undefined), 1)
  clearInterval(alive)
  await firstRound(Promise.reject(new Error('no peer')), 600_000)
  await firstRound(Promise.resolve(), 600_000)
})

t.test('what is closed begins nothing', async (t) => {
  const { bench, a, record } = await withRecord(t)
  const asked = [a.custody.follow(), a.custody.handOver()]
  const closing = a.close()
  a.chain.mine([])
  a.chain.reads = 0
  const late = a.custody.follow()
  await Promise.all([...asked, closing, late, a.custody.start()])
  t.equal(a.chain.reads, 0)
  t.equal(await a.custody.handOver(), false)
  const again = await bench.open('node1', a.chain, false)
  await again.close()
  await refused(t, bench.ask(again, 'patient', record), 'cancelled')
})

t.test('where uses are limited the access is on the chain first', async (t) => {
  const { bench, a, b, record, grant } = await withRecord(t, { uses: 1 })
  const access = bench.access('doctor', record, { grant })
  const ask = (one: TestCustodian, of = access) => one.custody.release(bench.releaseRequest('doctor', one.id, of))
  await refused(t, ask(a), 'access_not_included')
  t.same(a.sealed, [])
  const second = bench.access('doctor', record, { grant }, bench.clock.now + 1)
  t.same(await bench.mine(second), [0, 37], 'the first one counts')
  await ask(a)
  await ask(b)
  await refused(t, ask(a, second), 'release_denied', { facts: { reason: 'used_up' } })
  const third = bench.access('doctor', record, { grant }, bench.clock.now + 2)
  await refused(t, ask(a, third), 'release_denied', { facts: { reason: 'used_up' } })
})

t.test('so many releases at a time, and no more of one key or patient', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  const own = await Promise.allSettled([
    ...[1, 2].map(() => bench.ask(a, 'doctor', record, { grant })),
    ...[1, 2].map(() => bench.ask(a, 'patient', record)),
  ])
  t.same(
    own.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', 'rejected'],
  )
  t.match(own.at(-1), { reason: { code: 'custody_busy' } })
  const asked = [1, 2, 3].map(() => bench.ask(a, 'doctor', record, { grant }))
  const settled = await Promise.allSettled(asked)
  t.same(settled.map(({ status }) => status).sort(), ['fulfilled', 'fulfilled', 'rejected'])
  t.match(
    settled.find(({ status }) => status === 'rejected'),
    { reason: { code: 'custody_busy' } },
  )
  await bench.ask(a, 'doctor', record, { grant })
})

t.test('few keys and patients leave room for others', async (t) => {
  const { maxReleases, maxReleasesOfKey, maxReleasesOfPatient } = DEFAULT_CUSTODY_OPTIONS
  const busy = { code: 'custody_busy' }
  /** As many as these keys get at once, each for another patient's records than its own. */
  const fill = (slots: ReturnType<typeof createReleaseSlots>, keys: number, patients: number): number => {
    let got = 0
    for (let n = 0; n < keys * maxReleasesOfKey; n++) {
      try {
        const slot = slots.take(digest(`key ${n % keys}`))
        try {
          slot.ofPatient(digest(`patient ${n % patients}`))
          got++
        } catch (error) {
          slot.free()
          throw error
        }
      } catch (error) {
        if (!isEmrError(error, 'custody_busy')) throw error
      }
    }
    return got
  }
  for (const [keys, patients] of [
    [16, 8],
    [39, 1_000],
    [1_000, 35],
  ] as const) {
    const slots = createReleaseSlots(DEFAULT_CUSTODY_OPTIONS)
    const got = fill(slots, keys, patients)
    t.ok(got < maxReleases, `${keys} keys and ${patients} patients get ${got}`)
    const slot = slots.take(digest('another key'))
    slot.ofPatient(digest('another patient'))
    t.throws(() => slots.take(digest('another key')), busy, 'one is enough while many ask')
    slot.free()
    slots.take(digest('another key')).free()
  }
  const alone = createReleaseSlots(DEFAULT_CUSTODY_OPTIONS)
  const own = Array.from({ length: maxReleasesOfKey }, () => alone.take(digest('one')))
  t.throws(() => alone.take(digest('one')), busy)
  for (const slot of own) slot.ofPatient(digest('of one'))
  t.equal(maxReleasesOfPatient, 2 * maxReleasesOfKey)
  for (const slot of own) slot.free()
  t.equal(fill(alone, 1_000, 1_000), maxReleases, 'what is freed is there again')
})

t.test('who has no consent holds nothing of a patient up', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  a.isAcknowledged = false
  const asked = [1, 2].flatMap(() => ['nurse', 'doctor2'].map((by) => bench.ask(a, by, record)))
  const refusals = await Promise.allSettled(asked)
  for (const one of refusals) t.match(one, { reason: { code: /release_denied|custody_busy/ } })
  t.same(a.log, [], 'nobody waits until another node has heard of it')
  t.ok(a.chain.waiting.length > 0, 'and the patient will see it')
  a.isAcknowledged = true
  await bench.ask(a, 'doctor', record, { grant })
})

t.test('an erasure destroys share, label and ciphertext, and says so on the chain', async (t) => {
  const { bench, a, b, record, grant } = await withRecord(t)
  const other = await bench.keepRecord('kept', bench.custodians)
  const { share, label, file } = bench.depositBody('x')
  a.files.set(Buffer.from(file).toString('hex'), 'here')
  const erasure = erasureOf(bench, record)
  const oldKey = Buffer.from(keyOf(a.folder))
  t.same(await bench.mine(erasure), [0])
  const gone = { facts: { erasure: erasure.id.toString() }, message: new RegExp(textOf(erasure.id.bytes)) }
  for (let height = 1; height < 5; height++) await bench.mine()
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'record_erased', gone)
  await a.custody.assertNotErased(file)
  t.ok(isIn(a.folder, oldKey), 'five confirmations are not enough')
  await bench.mine()
  t.notOk(isIn(a.folder, oldKey), 'no key opens what is left of it')
  for (const bytes of [share, label.subarray(0, 32), label.subarray(32)]) t.notOk(isIn(a.folder, bytes))
  t.same([...a.files.values()], ['destroyed'])
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'record_erased', gone)
  await refused(
    t,
    a.custody.deposit(await bench.depositRequest('patient', a.id, bench.depositBody('x'))),
    'record_erased',
    gone,
  )
  t.match(
    bench.custodians.map(({ chain }) => chain.waiting),
    [
      [{ kind: 'erasure_receipt', body: { erasure: erasure.id.bytes, parts: 7 } }],
      [{ kind: 'erasure_receipt', body: { parts: 3 } }],
      [{ kind: 'erasure_receipt', body: { parts: 3 } }],
    ],
  )
  await a.custody.follow()
  t.equal(a.chain.waiting.length, 1, 'one receipt')
  const receipts = bench.custodians.flatMap(({ chain }) => chain.waiting)
  for (const one of bench.custodians) one.chain.waiting.splice(0)
  t.same(await bench.mine(...receipts), [0, 0, 0])
  await bench.mine()
  t.same(
    bench.custodians.flatMap(({ chain }) => chain.waiting),
    [],
  )
  await bench.ask(b, 'patient', other)
  await refused(t, a.custody.assertNotErased(file), 'record_erased', gone)
  await a.custody.assertNotErased(bench.depositBody('kept').file)
  const again = await a.reopen()
  await refused(t, again.custody.assertNotErased(file), 'record_erased', gone)
  await again.custody.start()
  await bench.keepRecord('same file', bench.custodians, { file })
  await again.custody.assertNotErased(file)
  await bench.ask(again, 'patient', other)
  await refused(t, bench.ask(again, 'doctor', record, { grant }), 'record_erased', gone)
  t.same(
    again.chain.waiting.filter(({ kind }) => kind === 'erasure_receipt'),
    [],
  )
  t.same(again.troubles, [])
})

t.test('a file that is fetched while it is erased goes too', async (t) => {
  const { bench, a, record } = await withRecord(t)
  const name = Buffer.from(bench.depositBody('x').file).toString('hex')
  const { erasures } = a.shares
  const { put } = erasures
  // The fetch ends just before the note that forbids it is on disk.
  const late = async (note: Parameters<typeof put>[0]): Promise<void> => {
    if (note.step === 'destroying' && note.parts !== 7) a.files.set(name, 'here')
    await put(note)
  }
  Object.assign(erasures, { put: late })
  await bench.mine(erasureOf(bench, record))
  for (let blocks = 1; blocks < 6; blocks++) await bench.mine()
  t.same([...a.files.values()], ['destroyed'])
  t.match(a.chain.waiting, [{ kind: 'erasure_receipt', body: { parts: 7 } }])

  // One that ended still later is found by the next sweep, or after a restart; not one that a new record brings.
  a.files.set(name, 'here')
  await bench.mine()
  t.same([...a.files.values()], ['destroyed'])
  const file = bench.depositBody('x').file
  for (const [waiting, found] of [
    [[signRecord({ chain: genesis, at: bench.clock.now, body: { file } }, signerOf('stranger'))], 'here'],
    [[], 'destroyed'],
  ] as const) {
    const again = await (bench.custodians.find((one) => one.name === a.name) ?? a).reopen()
    again.files.set(name, 'here')
    again.chain.waiting.push(...waiting)
    await again.custody.start()
    t.same([...again.files.values()], [found])
    again.chain.waiting.splice(0)
  }
})

t.test('nobody has the file of another erased, and no bare record keeps one', async (t) => {
  const { bench, a } = await setUp(t)
  const [theirs, own] = ['theirs', 'own'].map((name) => bench.depositBody(name).file)
  if (!theirs || !own) throw new Error('no files')
  const bare = (by: string, file: Uint8Array) =>
    signRecord({ chain: genesis, at: bench.clock.now, body: { file } }, signerOf(by))
  await bench.mine(bare('stranger', theirs))
  const records = [await bench.keepRecord('theirs', bench.custodians), await bench.keepRecord('own', bench.custodians)]
  await bench.mine(bare('stranger', own))
  for (const file of [theirs, own]) a.files.set(Buffer.from(file).toString('hex'), 'here')
  await bench.mine(...records.map((record) => erasureOf(bench, record)))
  for (let blocks = 1; blocks < 6; blocks++) await bench.mine()
  t.same([...a.files.values()], ['here', 'destroyed'])
  await a.custody.assertNotErased(theirs)
  await refused(t, a.custody.assertNotErased(own), 'record_erased')
})

t.test('an erasure is carried out after a day, however few the blocks', async (t) => {
  const { bench, a, record } = await withRecord(t)
  await bench.mine(erasureOf(bench, record))
  const { header } = (await a.chain.blockAt(a.chain.tip().height)) ?? a.chain.mine()
  bench.clock.now = header.time + 24 * HOUR - 1
  await a.custody.follow()
  t.same(a.chain.waiting, [])
  bench.clock.now += 1
  await a.custody.follow()
  t.match(a.chain.waiting, [{ kind: 'erasure_receipt', body: { parts: 3 } }])
})

t.test('after a start the erasures of the chain come before the first answer', async (t) => {
  const { bench, a, b, c, record, grant } = await withRecord(t)
  const erasure = erasureOf(bench, record)
  const oldKey = Buffer.from(keyOf(a.folder))
  await a.close()
  const before = b.chain.tip().height
  await bench.mineAt([b, c], erasure)
  for (let height = 1; height < 6; height++) await bench.mineAt([b, c])
  for (let height = before + 1; height <= b.chain.tip().height; height++) {
    const one = await b.chain.blockAt(height)
    if (one) a.chain.take(one)
  }
  const again = await bench.open('node1', a.chain, false)
  const asked = [
    bench.ask(again, 'doctor', record, { grant }),
    again.custody.assertNotErased(bench.depositBody('x').file),
  ]
  for (const one of asked) await refused(t, one, 'record_erased')
  t.notOk(isIn(again.folder, oldKey))
})

t.test('an erasure whose block lost is not carried out, and freezes', async (t) => {
  const { bench, a, record, grant } = await withRecord(t)
  const erasure = erasureOf(bench, record)
  await bench.mine(erasure)
  await bench.mine()
  for (const { chain } of bench.custodians) {
    chain.drop(2)
  }
  for (let height = 0; height < 8; height++) {
    const block = a.chain.mine([])
    for (const one of bench.custodians) if (one !== a) one.chain.take(block)
  }
  for (const { custody } of bench.custodians) await custody.follow()
  await refused(t, bench.ask(a, 'doctor', record, { grant }), 'release_frozen')
  const oldKey = Buffer.from(keyOf(a.folder))
  t.same(
    a.chain.waiting.map(({ kind }) => kind),
    ['erasure'],
  )
  for (const one of bench.custodians) if (one !== a) one.chain.waiting.splice(0)
  await bench.mine()
  for (let height = 1; height < 6; height++) await bench.mine()
  t.notOk(isIn(a.folder, oldKey))
})

t.test('a node reads each block once, also over a restart', async (t) => {
  const { bench, a } = await withRecord(t)
  for (let height = 0; height < 100; height++) a.chain.mine([])
  a.chain.reads = 0
  await a.custody.follow()
  t.equal(a.chain.reads, 100)
  await a.custody.follow()
  t.equal(a.chain.reads, 100)
  const again = await a.reopen()
  await again.custody.start()
  t.equal(again.chain.reads, 100)
  // Another branch: it goes back to a block that both have, and not to the first.
  again.chain.drop(40)
  bench.clock.now += 1_000
  again.chain.mine([])
  again.chain.reads = 0
  await again.custody.follow()
  t.ok(again.chain.reads > 0 && again.chain.reads < 60, `${again.chain.reads} blocks`)
})
