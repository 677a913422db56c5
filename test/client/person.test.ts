import t, { type Test } from 'tap'
import { classSecret, currentEpoch } from '#emrchain/client/consent/consent-keys.js'
import { grantTransaction } from '#emrchain/client/consent/grant.js'
import { openRecovery, type Recovery, sealRecovery } from '#emrchain/client/consent/recovery-file.js'
import { consentKeysOf } from '#emrchain/client/consent/wallet-keys.js'
import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { certify } from '#emrchain/client/person/certify.js'
import { giveForPatient } from '#emrchain/client/person/give-for-patient.js'
import { deny, giveGrant } from '#emrchain/client/person/give-grant.js'
import { type GrantNow, grantsOf } from '#emrchain/client/person/grants.js'
import { grantThatAllows, permissionOf } from '#emrchain/client/person/may-do.js'
import { actingOf, ownIdOf, type PersonSession } from '#emrchain/client/person/person-session.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { recoverIdentity } from '#emrchain/client/person/recover-identity.js'
import { registerIdentity } from '#emrchain/client/person/register-identity.js'
import { revoke } from '#emrchain/client/person/revoke.js'
import { rotateKeys } from '#emrchain/client/person/rotate-keys.js'
import { moveClasses } from '#emrchain/client/person/settle-classes.js'
import { walletInMemory } from '#emrchain/client/person/wallet-in-memory.js'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import { EmrError } from '#emrchain/errors.js'
import { readNodeSeed } from '#emrchain/node/node-key.js'
import {
  actions,
  EVERY_CLASS,
  purposes,
  type Role,
  recordClasses,
  roles,
} from '#emrchain/protocol/consent-vocabulary.js'
import { bytesOf, gathered, personAt } from '../fixtures/person.js'
import { agree, startNode, until } from '../fixtures/start-node.js'

t.setTimeout(600_000)
const toRead = { classes: recordClasses.lab, actions: actions.READ, purposes: purposes.TREAT }
const mine = { mine: true }

/** The grants of a patient that are not revoked, newest first. */
async function grantsBy(patient: PersonSession): Promise<{ id: string }[]> {
  const found = []
  for await (const grant of grantsOf(patient, ownIdOf(patient))) if (!grant.revoked) found.push(grant)
  return found
}

/** Two nodes, both custodians of a patient with one record, and others in their roles, registered at the first node. */
async function setUp<Name extends string>(t: Test, others: Readonly<Record<Name, Role>>) {
  const a = await startNode(t)
  const b = await startNode(t, { peer: [a.url] })
  const patient = await personAt(a.url)
  const custodians: string[] = []
  for (const { options } of [a, b]) {
    const nodeSeed = await readNodeSeed(options.data)
    custodians.push((await registerIdentity(patient, { role: roles.node, nodeSeed })).id)
  }
  await patient.client.mine()
  const { id: patientId } = await registerIdentity(patient, { role: roles.patient, custodians })
  const people = new Map<string, PersonSession & { id: string }>()
  for (const [name, role] of Object.entries<Role>(others)) {
    const session = await personAt(a.url)
    people.set(name, { ...session, id: (await registerIdentity(session, { role })).id })
  }
  await patient.client.mine()
  const file = { bytes: bytesOf(Buffer.from('text')), size: 4, fileName: 'a.txt', name: 'A', class: recordClasses.lab }
  const record = await addConsentRecord(patient, file, mine)
  t.equal(record.result.name, 'accepted')
  const person = (name: Name): PersonSession & { id: string } => {
    const found = people.get(name)
    if (!found) throw new Error(name)
    return found
  }
  return { a, b, custodians, patient, patientId, person, record: record.id }
}

t.test('the grant that opens goes first, and why there is none is said', async (t) => {
  const { patient, patientId, person, record } = await setUp(t, { doctor: roles.doctor, hospital: roles.organisation })
  const [doctor, hospital] = [person('doctor'), person('hospital')]
  await certify(hospital, { subject: doctor.id }, mine)
  await t.rejects(readConsentRecord(doctor, record), { code: 'consent_missing', message: /no_grant: / })

  const own = await giveGrant(patient, { ...toRead, grantee: doctor.id }, mine)
  const ours = await giveGrant(patient, { ...toRead, grantee: hospital.id }, mine)
  const question = { accessor: doctor.id, record, action: 'READ', purpose: 'TREAT' }
  const { value: last } = await doctor.client.history({ about: doctor.id, kind: 'certificate' }).next()
  const certified = { ...question, certificate: last?.id }
  const wanted = { patient: patientId, accessor: doctor.id, question: certified }
  t.equal(await grantThatAllows(doctor, wanted), own.id, 'though the other one is newer')
  t.equal((await readConsentRecord(doctor, record)).grant, own.id)
  await revoke(patient, { grant: own.id })
  const may = { accessor: doctor.id, action: 'READ', purpose: 'TREAT' }
  t.match(await permissionOf(doctor, record, may), { allowed: true, ending: true }, 'on the chain, and nowhere else')
  await t.rejects(readConsentRecord(doctor, record, { grant: own.id }), { code: 'release_frozen' })
  await patient.client.mine()
  // The keys of the class have moved, so the grant to the hospital was given again.
  const again = await doctor.client.transaction(await grantThatAllows(doctor, wanted))
  t.match(again, { kind: 'grant', body: { grantee: hospital.id } })
  t.not(again.transaction.id, ours.id)
  await t.rejects(readConsentRecord(doctor, record), { code: 'secret_missing' })

  await deny(patient, { ...toRead, grantee: doctor.id }, mine)
  await t.rejects(readConsentRecord(doctor, record), { code: 'consent_missing', message: /denied: / })
})

t.test('a grant with a limit of uses opens when the access is in a block', async (t) => {
  const { a, patient, person, record } = await setUp(t, { doctor: roles.doctor })
  const doctor = person('doctor')
  const { id: grant } = await giveGrant(patient, { ...toRead, grantee: doctor.id, uses: 2 }, mine)
  const read = async (reading: object): Promise<string> =>
    (await gathered((await readConsentRecord(doctor, record, reading)).contents())).toString()
  const mined = async (): Promise<void> => void (await doctor.client.mine())
  t.equal(await read({ onWaiting: mined }), 'text')

  // Without it somebody else mines, sooner or later.
  let isWaiting = false
  const onWaiting = (): void => {
    isWaiting = true
    void patient.client.mine()
  }
  t.equal(await read({ onWaiting }), 'text')
  t.ok(isWaiting)
  t.match(await doctor.client.transaction(grant), { standing: { used: 2 } })
  await t.rejects(read({ grant }), { code: 'release_denied', message: /used_up/ })
  t.equal([...a.node.pendingTransactions()].length, 1, 'that it was tried waits for its block')
})

t.test('what consent says is told, and not that another custodian is cut off', async (t) => {
  const { a, b, custodians, patient, patientId, person, record } = await setUp(t, { doctor: roles.doctor })
  const doctor = person('doctor')
  const { id: grant } = await giveGrant(patient, { ...toRead, grantee: doctor.id }, mine)
  await until([a, b], () => agree(a, b))
  // They are asked in this order.
  const [first] = (await patient.client.identity(patientId)).custodians
  const [asked, cutOff] = first === custodians[0] ? [a, b] : [b, a]
  await asked.node.blockPeers([cutOff.url])
  await cutOff.node.blockPeers([asked.url])
  const at = { ...patient, client: patient.clientOf(asked.url) }
  await revoke(at, { grant }, mine)
  const started = performance.now()
  const reading = readConsentRecord({ ...doctor, client: doctor.clientOf(asked.url) }, record, { grant })
  await t.rejects(reading, { code: 'release_denied', message: /revoked/ })
  const elsewhere = { ...doctor, client: { ...doctor.clientOf(cutOff.url), peers: async () => [] } }
  await t.rejects(readConsentRecord(elsewhere, record, { grant }), { code: 'access_unacknowledged' })
  t.ok(performance.now() - started < 9_000, 'nobody is waited for who cannot answer')
})

t.test('keys move before consent ends, and what a broken run left is made good by the next', async (t) => {
  const { a, patient, person } = await setUp(t, { doctor: roles.doctor, nurse: roles.nurse })
  const [doctor, nurse] = [person('doctor'), person('nurse')]
  const epochOf = async (): Promise<number | undefined> => {
    const { id } = (await grantsBy(patient))[0] ?? { id: '' }
    const { body } = grantTransaction(await patient.client.signedTransaction(id))
    return body.keys.filter((key) => key.class === recordClasses.lab).at(-1)?.epoch
  }
  const tomorrow = Date.now() + 86_400_000
  await giveGrant(patient, { ...toRead, grantee: doctor.id })
  await giveGrant(patient, { ...toRead, grantee: nurse.id, from: tomorrow, until: tomorrow + 86_400_000 }, mine)

  // It breaks off behind the first thing that it sends.
  let left = 1
  const broken: PersonSession = {
    ...patient,
    client: {
      ...patient.client,
      async submitTransaction(bytes, options) {
        if (left-- === 0) throw new EmrError('node_unreachable')
        return patient.client.submitTransaction(bytes, options)
      },
    },
  }
  await t.rejects(revoke(broken, { grantee: doctor.id }), { code: 'node_unreachable' })
  await patient.client.mine()
  t.equal(await epochOf(), 1)
  const [current] = (await actingOf(patient)).identity.classKeys.filter((key) => key.class === recordClasses.lab)
  t.equal(current?.epoch, 1, 'the chain has the old key')
  t.equal(
    currentEpoch(consentKeysOf(patient.keeper.wallet, patient.chain), recordClasses.lab),
    2,
    'the wallet the new one',
  )

  // Behind the identity: the grant that stays, and is not in force yet, lacks the new key.
  left = 2
  await t.rejects(revoke(broken, { grantee: doctor.id }), { code: 'node_unreachable' })
  await patient.client.mine()
  t.equal(await epochOf(), 1)
  await revoke(patient, { grantee: doctor.id }, mine)
  t.equal(await epochOf(), 2)
  t.match(await revoke(patient, { grantee: doctor.id }, mine), { moved: [] }, 'nothing is left to do')

  // While new keys wait for a block, what is signed with the old ones would come to nothing.
  await rotateKeys(patient)
  for (const deed of [() => revoke(patient, 'all'), () => giveGrant(patient, { ...toRead, grantee: doctor.id })]) {
    await t.rejects(deed(), { code: 'consent_unfit', message: /wait for a block/ })
  }
  t.equal(
    [...a.node.pendingTransactions()].filter(({ kind }) => kind === 'revocation').length,
    1,
    'that of the old grant',
  )
  await patient.client.mine()
  await revoke(patient, 'all', mine)
  const { classKeys } = (await actingOf(patient)).identity
  const own = consentKeysOf(patient.keeper.wallet, patient.chain)
  for (const { class: one, epoch, key } of classKeys) {
    t.equal(
      Buffer.from(await publicKeyOf(classSecret(own, { class: one, epoch }))).toString('hex'),
      key,
      `class ${one}`,
    )
  }
})

t.test('a recovery key, kept elsewhere, takes the identity back', async (t) => {
  const { a, custodians, person } = await setUp(t, { doctor: roles.doctor, nurse: roles.nurse })
  const [doctor, nurse] = [person('doctor'), person('nurse')]
  const ann = await personAt(a.url)
  let kept: Recovery | undefined
  const keepRecovery = async (recovery: Recovery): Promise<void> => {
    t.notOk(ann.keeper.wallet.consent?.[0]?.id, 'before anything is sent')
    kept = await openRecovery(await sealRecovery(recovery, 'far away', { workFactor: 10 }), 'far away')
  }
  const { id } = await registerIdentity(ann, { role: roles.patient, custodians, keepRecovery }, mine)
  if (!kept) throw new Error('No recovery key was kept.')
  const recovery = kept
  t.equal(consentKeysOf(ann.keeper.wallet, ann.chain).recovery, null, 'the wallet has none')
  t.match(recovery, { id, recovery: /^[0-9a-f]{64}$/ })
  const write = (session: PersonSession, word: string) =>
    addConsentRecord(
      session,
      { bytes: bytesOf(Buffer.from(word)), size: word.length, fileName: 'a', name: 'A', class: recordClasses.lab },
      mine,
    )
  const read = async (session: PersonSession, record: string): Promise<string> =>
    (await gathered((await readConsentRecord(session, record)).contents())).toString()
  const first = await write(ann, 'first')
  const { id: toDoctor } = await giveGrant(ann, { ...toRead, grantee: doctor.id }, mine)
  const { id: toNurse } = await giveGrant(ann, { ...toRead, grantee: nurse.id }, mine)
  await revoke(ann, { grant: toNurse }, mine)
  const second = await write(ann, 'second')
  const named = (await ann.client.identity(id)).recovery
  t.ok(named, 'a class that moves leaves the recovery key where it is')

  // A new wallet, and what the file makes again.
  const again: PersonSession = { ...ann, keeper: walletInMemory() }
  await t.rejects(recoverIdentity(doctor, recovery), { code: 'identity_exists' })
  await t.rejects(recoverIdentity(again, { ...recovery, recovery: recovery.seed }), { code: 'consent_unfit' })
  const waiting = await recoverIdentity(again, recovery)
  t.match(waiting, { state: 'pending', result: { code: 0 }, identity: id, lost: [] })
  await t.rejects(giveGrant(again, { ...toRead, grantee: nurse.id }), {
    code: 'consent_unfit',
    message: /wait for a block/,
  })
  await t.rejects(recoverIdentity(again, recovery), { code: 'consent_unfit', message: /wait for a block/ })
  await ann.client.mine()
  t.match(await ann.client.identity(id), { recovery: named, custodians: { length: 2 } })
  t.equal(await read(again, first.id), 'first')
  t.equal(await read(again, second.id), 'second')
  const third = await write(again, 'third')
  t.equal(await read(doctor, third.id), 'third', 'who had a grant has it anew')
  await t.rejects(giveGrant(ann, { ...toRead, grantee: nurse.id }), { code: 'secret_missing' }, 'the old key')
  t.equal((await doctor.client.transaction(toDoctor)).standing?.revoked, true)

  // A file that is older than the last rotation takes the identity back, and not what was sealed since.
  await rotateKeys(again, mine)
  const fourth = await write(again, 'fourth')
  const later: PersonSession = { ...ann, keeper: walletInMemory() }
  const { lost, result } = await recoverIdentity(later, recovery, mine)
  t.equal(result.code, 0)
  t.match(
    lost.filter(({ class: one }) => one === recordClasses.lab),
    [{ epoch: 4 }, { epoch: 3 }],
  )
  await t.rejects(read(later, fourth.id), { code: 'secret_missing' })
  t.equal(await read(later, first.id), 'first')
  t.equal(await read(doctor, fourth.id), 'fourth', 'a grant with a key that is lost stays as it is')
  const fifth = await write(later, 'fifth')
  await t.rejects(read(doctor, fifth.id), { code: 'secret_missing' })
  await giveGrant(later, { ...toRead, grantee: doctor.id }, mine)
  t.equal(await read(doctor, fifth.id), 'fifth')
  t.equal(await read(doctor, fourth.id), 'fourth', 'by the grant that has its key')

  // The wallet that was lost is found: with it nothing is lost.
  const found = await recoverIdentity(again, recovery, mine)
  t.same(
    found.lost.filter((key) => key.class === recordClasses.lab).map(({ epoch }) => epoch),
    [5],
  )
  t.equal(await read(again, fourth.id), 'fourth')
  await t.rejects(openRecovery(new Uint8Array(10), 'x'), { code: 'recovery_malformed' })
})

t.test('one consent holds more keys than one grant, and moves and ends as one', async (t) => {
  const names = { doctor: roles.doctor, nurse: roles.nurse, mother: roles.delegate }
  const { patient, patientId, person, record } = await setUp(t, names)
  const [doctor, nurse, mother] = [person('doctor'), person('nurse'), person('mother')]
  for (let time = 0; time < 5; time++) await rotateKeys(patient, mine)
  const all = { ...toRead, classes: EVERY_CLASS }
  const given = await giveGrant(patient, { ...all, grantee: doctor.id }, mine)
  t.match([given, ...given.parts], [{ result: { code: 0 } }, { result: { code: 0 } }], '66 keys')
  const until = Date.now() + 86_400_000
  await giveGrant(patient, { ...all, actions: actions.READ | actions.REGRANT, grantee: mother.id, until }, mine)
  const byMother = await giveForPatient(mother, { ...all, patient: patientId, grantee: nurse.id, until }, mine)
  t.match([byMother, ...byMother.parts], [{ result: { code: 0 } }, { result: { code: 0 } }])
  const many = giveGrant(patient, { ...all, grantee: nurse.id, uses: 2 })
  await t.rejects(many, { code: 'consent_unfit', message: /fewer classes/ }, 'uses are counted in one grant')

  const readsAll = async (written: readonly string[]): Promise<void> => {
    for (const reader of [doctor, nurse]) {
      for (const id of written) await gathered((await readConsentRecord(reader, id)).contents())
    }
  }
  await readsAll([record])
  const { id: over } = await giveGrant(patient, { ...toRead, grantee: mother.id }, mine)
  const { moved } = await revoke(patient, { grant: over }, mine)
  // Mother has the key of the class by her other grant.
  t.same(moved, [])
  const stay = (await grantsBy(patient)).length
  await revoke(patient, { grantee: mother.id }, mine)
  t.equal((await grantsBy(patient)).length, stay - 2, 'two grants of mother are over, and four were given anew')
  const next = { bytes: bytesOf(Buffer.from('next')), size: 4, fileName: 'b', name: 'B', class: recordClasses.imaging }
  const imaging = await addConsentRecord(patient, next, mine)
  await readsAll([record, imaging.id])

  const [first] = (await grantsBy(patient)) as GrantNow[]
  const { parts } = await revoke(patient, { grant: first?.id ?? '' }, mine)
  t.equal(parts.length, 1)
  t.equal((await grantsBy(patient)).length, stay - 4)
})

t.test('keys move on from grants that are over by themselves, before something new is sealed', async (t) => {
  const { patient, patientId, person, record } = await setUp(t, { doctor: roles.doctor, nurse: roles.nurse })
  const [doctor, nurse] = [person('doctor'), person('nurse')]
  const epoch = async (): Promise<number | undefined> =>
    (await patient.client.identity(patientId)).classKeys.find((key) => key.class === recordClasses.lab)?.epoch
  const write = (session: PersonSession, options: object) =>
    addConsentRecord(
      session,
      {
        ...{ bytes: bytesOf(Buffer.from('new')), size: 3, fileName: 'n', name: 'N', class: recordClasses.lab },
        ...options,
      },
      mine,
    )
  const past = { from: Date.now() - 172_800_000, until: Date.now() - 86_400_000 }
  await giveGrant(patient, { ...toRead, grantee: nurse.id }, mine)
  await giveGrant(patient, { ...toRead, ...past, grantee: doctor.id }, mine)
  t.same(
    await moveClasses({ ...patient, now: () => past.until - 1 }, await actingOf(patient)),
    [],
    'not before its end',
  )
  t.same((await giveGrant(patient, { ...toRead, grantee: doctor.id, uses: 1 }, mine)).moved, [], 'who is given it anew')
  t.equal(await epoch(), 1)
  await gathered((await readConsentRecord(doctor, record, { onWaiting: () => void patient.client.mine() })).contents())

  // The doctor has used it up.
  const { id, moved, result } = await write(patient, {})
  t.equal(result.name, 'accepted')
  t.equal(moved.length, 3, 'new keys, the grant to the nurse, and the end of the old one')
  t.equal(await epoch(), 2)
  t.match(await patient.client.transaction(id), { body: { epoch: 2 } })
  await gathered((await readConsentRecord(nurse, id)).contents())
  t.same((await write(patient, {})).moved, [], 'once')

  // While something of hers waits for a block, the next deed is left to go on.
  await giveGrant(patient, { ...toRead, ...past, grantee: doctor.id }, mine)
  const waiting = [
    await giveGrant(patient, { ...toRead, grantee: nurse.id, classes: recordClasses.imaging }),
    await giveGrant(patient, { ...toRead, grantee: nurse.id, classes: recordClasses.note }),
  ]
  t.match(waiting, [{ moved: { length: 3 } }, { moved: [] }])
  const behind = await write(patient, {})
  t.equal(behind.result.name, 'accepted', 'sealed to the key that waited with it')
  t.equal(await epoch(), 3)
  for (const one of waiting) t.match(await patient.client.transaction(one.id), { result: { code: 0 } })

  // Who writes for the patient cannot move her keys; she does, by herself if nothing else is to be done.
  await giveGrant(patient, { ...toRead, ...past, grantee: doctor.id }, mine)
  await giveGrant(patient, { ...toRead, actions: actions.APPEND, grantee: doctor.id }, mine)
  t.equal((await write(doctor, { patient: patientId })).result.name, 'accepted')
  t.equal(await epoch(), 3)
  await deny(patient, { ...toRead, grantee: nurse.id })
  await t.rejects(
    write(patient, {}),
    { code: 'consent_unfit', message: /wait for a block/ },
    'nor can she, while a deny waits',
  )
  await patient.client.mine()
  t.equal((await moveClasses(patient, await actingOf(patient), mine)).length, 3)
  t.equal(await epoch(), 4)
})
