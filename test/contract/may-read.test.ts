import t from 'tap'
import { apply, beginState } from '#emrchain/contract/apply.js'
import { mayRead, ownerOfKey } from '#emrchain/contract/may-read.js'
import { createMemoryState } from '#emrchain/contract/state.js'
import { NO_END, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { approvalMessage, possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { certify, chain, createWorld, identityBody, START, sign, type World } from '../contract/consent-world.js'
import { signerOf } from '../fixtures/block-maker.js'

/** Who may read in a network with administrators: by certificates in force, and by the current key. */

const keyOf = (name: string): Uint8Array => signerOf(name).publicKey
const reads = ({ state }: World, name: string, time = START + 1): boolean => mayRead(state, keyOf(name), time)
const add = ({ state }: World, transaction: SignedTransaction, time = START): number =>
  apply(state, transaction, { height: 2, time })

/** The end of a certificate, by both administrators. */
function revoked(certificate: Uint8Array): SignedTransaction {
  const fields = { certificate, reason: 0 as const, approvals: [] }
  const [from, second] = [keyOf('admin1'), signerOf('admin2')]
  const message = approvalMessage({ chain, at: START, from, kind: 'certificate_revocation', body: fields })
  const approvals = [{ key: second.publicKey, sig: second.sign(message) }]
  return sign('admin1', { kind: 'certificate_revocation', body: { ...fields, approvals } })
}

/** The next version of an identity, which replaces the key of `name` by that of `next`. */
function rotated(world: World, name: string, role: 0 | 2 | 12, next: string): SignedTransaction {
  const change = { key: keyOf(next), previous: world.id(name) }
  const body = identityBody(name, role, change)
  const keyProof = signerOf(next).sign(possessionMessage(chain, keyOf(name), keyOf(next)))
  return sign(name, { kind: 'identity', body: { ...body, keyProof } })
}

t.test('where there are no administrators everybody reads', async (t) => {
  const open = createWorld('open')
  t.same([reads(open, 'doctor'), reads(open, 'nobody')], [true, true])
})

t.test('whoever is certified reads, and nobody else', async (t) => {
  const clinic = createWorld('clinic')
  for (const name of ['admin1', 'admin2', 'hospital', 'node1', 'patient', 'doctor', 'auditor']) {
    t.ok(reads(clinic, name), name)
  }
  t.notOk(reads(clinic, 'nobody'))
  const guest = sign('guest', { kind: 'identity', body: identityBody('guest', roles.doctor) })
  t.equal(add(clinic, guest), 0)
  t.notOk(reads(clinic, 'guest'), 'known, and not certified')
  t.same(ownerOfKey(clinic.state, keyOf('guest')), guest.id.bytes)
  t.equal(ownerOfKey(clinic.state, keyOf('nobody')), undefined)

  const [from, until] = [START + 10, START + 20]
  const under = clinic.certificate('hospital')
  t.equal(add(clinic, certify('hospital', guest.id.bytes, roles.doctor, under, { from, until })), 0)
  const at = (time: number) => reads(clinic, 'guest', time)
  t.same([from - 1, from, until - 1, until].map(at), [false, true, true, false])

  // A second certificate, made before the first has ended, stands beside it; the one that ended goes with the third.
  t.equal(add(clinic, certify('hospital', guest.id.bytes, roles.doctor, under, { from: until, until: until + 5 })), 0)
  t.same([from, until + 4, until + 5].map(at), [true, true, false])
  const third = certify('hospital', guest.id.bytes, roles.doctor, under, { from: until + 9, until: NO_END })
  t.equal(add(clinic, third, until + 9), 0)
  t.same([from, until + 4, until + 9].map(at), [false, false, true])
})

t.test('a certificate that is revoked ends reading, and that of an organisation that of all its people', async (t) => {
  const clinic = createWorld('clinic')
  t.equal(add(clinic, revoked(clinic.certificate('doctor') ?? new Uint8Array())), 0)
  t.same([reads(clinic, 'doctor'), reads(clinic, 'nurse')], [false, true])
  t.equal(add(clinic, revoked(clinic.certificate('hospital') ?? new Uint8Array())), 0)
  const names = ['hospital', 'nurse', 'patient', 'node1', 'admin1']
  t.same(
    names.map((name) => reads(clinic, name)),
    [false, false, false, false, true],
  )
})

t.test('a key that was replaced reads no more', async (t) => {
  const clinic = createWorld('clinic')
  t.equal(add(clinic, rotated(clinic, 'doctor', roles.doctor, 'new key')), 0)
  t.same([reads(clinic, 'doctor'), reads(clinic, 'new key')], [false, true])
  t.same(ownerOfKey(clinic.state, keyOf('doctor')), clinic.id('doctor'), 'whose it was stays known')
})

t.test('first administrators read by the key of the parameters, as long as it stands for one', async (t) => {
  const clinic = createWorld('clinic')
  const administrators = { keys: ['first', 'second'].map(keyOf), threshold: 1 }
  const state = createMemoryState()
  beginState(state, administrators)
  const may = (name: string): boolean => mayRead(state, keyOf(name), START)
  const send = (transaction: SignedTransaction) => apply(state, transaction, { height: 1, time: START })
  t.same([may('first'), may('second'), may('doctor')], [true, true, false], 'before anybody is registered')

  // The first node has such a key; as a node it is registered and certified later.
  const node = sign('first', { kind: 'identity', body: identityBody('first', roles.node) })
  t.equal(send(node), 0)
  t.ok(may('first'))
  const rotation = rotated({ ...clinic, id: () => node.id.bytes }, 'first', roles.node, 'its next key')
  t.equal(send(rotation), 0)
  t.same([may('first'), may('its next key')], [false, false], 'its new key is not in the parameters')

  const head = sign('second', { kind: 'identity', body: identityBody('second', roles.administrator) })
  const other = sign('other', { kind: 'identity', body: identityBody('other', roles.administrator) })
  for (const one of [head, other]) t.equal(send(one), 0)
  const fields = { role: roles.administrator, capabilities: 0, from: START, until: NO_END, under: null, approvals: [] }
  const certificateOf = (by: string, subject: Uint8Array) =>
    sign(by, { kind: 'certificate', body: { ...fields, subject } })
  t.notOk(may('other'))
  t.equal(send(certificateOf('second', other.id.bytes)), 0)
  t.ok(may('other'), 'a later administrator')
  const ofHead = certificateOf('other', head.id.bytes)
  t.equal(send(ofHead), 0)
  const end = { certificate: ofHead.id.bytes, reason: 0 as const, approvals: [] }
  t.equal(send(sign('other', { kind: 'certificate_revocation', body: end })), 0)
  t.same([may('second'), may('other')], [false, true], 'an administrator no more')
})
