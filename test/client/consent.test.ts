import fc from 'fast-check'
import t from 'tap'
import { accessRecord, newSalt } from '#emrchain/client/consent/access.js'
import { addApproval, addRecordApproval, approve, approveRecord } from '#emrchain/client/consent/approvals.js'
import {
  certify,
  draftCertificate,
  draftCertificateRevocation,
  revokeCertificate,
} from '#emrchain/client/consent/certificate.js'
import { moveClassEpoch } from '#emrchain/client/consent/class-epoch.js'
import {
  classSecret,
  currentEpoch,
  newConsentKeys,
  nextClassKeys,
  recoverySignerOf,
  registeredKeys,
  renewedKeys,
  sealSecrets,
  signerOf,
} from '#emrchain/client/consent/consent-keys.js'
import { decodeDraft, encodeDraft, signDraft } from '#emrchain/client/consent/draft.js'
import { eraseRecord } from '#emrchain/client/consent/erasure.js'
import {
  classSecretsOf,
  denyAccess,
  type GrantParties,
  grantClasses,
  grantRecords,
  sharesOf,
} from '#emrchain/client/consent/grant.js'
import { rotateIdentity } from '#emrchain/client/consent/identity.js'
import { openRecordLabel, sealRecordLabel } from '#emrchain/client/consent/label.js'
import { openGrant, shareByGrant } from '#emrchain/client/consent/open-grant.js'
import { openOwnShare, openRecord, openReleased, openShare } from '#emrchain/client/consent/open-record.js'
import { addReceipts } from '#emrchain/client/consent/receipts.js'
import { type ConsentRecord, signRecordDraft } from '#emrchain/client/consent/record.js'
import { requestAccess } from '#emrchain/client/consent/request.js'
import { revokeAll, revokeGrant, revokeGrantee } from '#emrchain/client/consent/revocation.js'
import { consentKeysOf, putConsentKeys } from '#emrchain/client/consent/wallet-keys.js'
import { newWallet, openWallet, sealWallet, type Wallet } from '#emrchain/client/wallet.js'
import { decide } from '#emrchain/contract/decide.js'
import { resultCodes } from '#emrchain/contract/result-codes.js'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import { sealLabel } from '#emrchain/crypto/label-seal.js'
import { EmrError, isEmrError } from '#emrchain/errors.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { actions, NO_END, purposes, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { releaseCommitment } from '#emrchain/protocol/release.js'
import { sealRelease } from '#emrchain/protocol/sealed-release.js'
import { seedOfRun } from '../fixtures/random.js'
import { type Clinic, chain, createClinic, decrypted, fileCidOf, START, withReceipts } from './consent-people.js'

const { TREAT, PATRQT } = purposes
const { READ, LIST, APPEND, REGRANT } = actions
const IS_DOCTOR = 1 << roles.doctor

/** The code of the error that something ends with. */
const codeOf = async (act: () => unknown): Promise<string> => {
  try {
    await act()
  } catch (error) {
    if (error instanceof EmrError) return error.code
    throw error
  }
  return 'it went well'
}

/** What the contract answers to a question, by name. */
function decided(clinic: Clinic, name: string, record: ConsentRecord, grant: Uint8Array | null, action = READ): string {
  const { id: accessor, certificate } = clinic.person(name)
  const question = { accessor, certificate, record: record.id.bytes, grant, action, purpose: TREAT }
  const code = decide(clinic.state, question, clinic.stamp().at)
  return Object.entries(resultCodes).find(([, [number]]) => number === code)?.[0] ?? ''
}

const partiesOf = (clinic: Clinic, to: string): GrantParties => {
  const { id, version } = clinic.person(to)
  const { id: patient, certificate } = clinic.person('patient')
  return { patient, certificate, grantee: { id, seal: version.body.seal }, roles: IS_DOCTOR }
}
const forTreatment = { actions: READ | LIST | APPEND, purposes: TREAT, from: START }

t.test('a record is written, asked for, granted, released and read; then not any more', async (t) => {
  const clinic = await createClinic()
  const [patient, doctor] = [clinic.person('patient'), clinic.person('doctor')]
  const { record, secrets, text, encrypted, drafted } = await clinic.write('patient')
  t.ok(record.bytes.length < 1_500, `${record.bytes.length} bytes`)
  const second = await clinic.write('patient')

  const asked = { records: [record.id.bytes], actions: READ, purposes: TREAT, from: START, until: START + 86_400_000 }
  const { certificate } = doctor
  const request = clinic.sent(
    requestAccess(clinic.stamp(), clinic.signer('doctor'), {
      ...{ patient: patient.id, grantee: doctor.id, certificate },
      ...asked,
    }),
  )
  t.equal(decided(clinic, 'doctor', record, null), 'no_grant')

  const shares = await sharesOf(patient.keys, [second.record, record])
  const grant = clinic.sent(
    await grantRecords(clinic.stamp(), clinic.signer('patient'), {
      ...{ ...partiesOf(clinic, 'doctor'), request: request.id.bytes, shares },
      ...{ actions: READ, purposes: TREAT, from: START },
    }),
  )
  t.same(grant.body.request, request.id.bytes)
  t.equal(grant.body.seal?.ct.length, 2 * 32 + 16)
  t.equal(decided(clinic, 'doctor', record, grant.id.bytes), 'accepted')

  const opened = await openGrant(doctor.keys, grant)
  const share = await shareByGrant(opened, record)
  t.same(share, secrets.chain)
  t.same(await shareByGrant(opened, second.record), second.secrets.chain)
  t.same(await openOwnShare(patient.keys, record), secrets.chain)

  const { seal } = doctor.version.body
  const asking = { record: record.id.bytes, seal, salt: newSalt() }
  const commitment = releaseCommitment(chain, asking)
  const access = accessRecord(clinic.stamp(), clinic.signer('doctor'), {
    ...{ record: record.id.bytes, grant: grant.id.bytes, certificate },
    ...{ action: READ, purpose: TREAT, commitment },
  })
  t.equal(clinic.send(access), 'accepted')
  t.notSame(releaseCommitment(chain, { ...asking, salt: newSalt() }), commitment)

  const custodian = clinic.person('node1').id
  const place = { genesis: chain.bytes, record: record.id.bytes, access: access.id.bytes, custodian }
  const kept = drafted.deposit
  const released = await openReleased(doctor.keys, await sealRelease(seal, kept, place), place)
  const { contentKey, label } = openRecord(record, share, released)
  t.same(label, { name: 'Blood count', fileName: 'count.txt', size: text.length })
  t.equal(await decrypted(encrypted, contentKey), text)

  const foreign = { ...kept, share: second.drafted.deposit.share }
  t.equal(await codeOf(() => openRecord(record, share, foreign)), 'share_wrong')
  t.equal(openRecord(record, share, { ...kept, label: second.drafted.deposit.label }).label, null, 'it opens without')
  t.equal(openRecord(record, share, { ...kept, label: new Uint8Array(0) }).label, null)
  for (const wrong of ['doctor2', 'lab', 'patient']) {
    t.equal(await codeOf(() => openGrant(clinic.person(wrong).keys, grant)), 'seal_wrong', wrong)
  }

  clinic.sent(revokeGrant(clinic.stamp(), clinic.signer('patient'), patient.id, grant.id.bytes))
  t.equal(decided(clinic, 'doctor', record, grant.id.bytes), 'revoked')
  const late = { record: record.id.bytes, grant: grant.id.bytes, certificate, action: READ, purpose: TREAT, commitment }
  t.equal(clinic.send(accessRecord(clinic.stamp(), clinic.signer('doctor'), late)), 'revoked')

  const own = { record: record.id.bytes, grant: null, certificate: patient.certificate, action: READ, purpose: PATRQT }
  t.equal(
    clinic.send(accessRecord(clinic.stamp(), clinic.signer('patient'), { ...own, commitment })),
    'accepted',
    'a patient needs no grant',
  )
  clinic.sent(eraseRecord(clinic.stamp(), clinic.signer('patient'), { record: record.id.bytes, ground: 1 }))
  t.equal(clinic.send(accessRecord(clinic.stamp(), clinic.signer('patient'), { ...own, commitment })), 'no_record')
})

t.test('classes: a doctor writes and reads; after a revocation the next epoch shuts one out', async (t) => {
  const clinic = await createClinic()
  const patient = clinic.person('patient')
  const classes = 2 | 4
  const secrets = classSecretsOf(patient.keys, classes)
  const give = async (to: string, uses = 0) =>
    clinic.sent(
      await grantClasses(clinic.stamp(), clinic.signer('patient'), {
        ...{ ...partiesOf(clinic, to), ...forTreatment, classes, secrets, uses },
      }),
    )
  const [toDoctor, toSecond] = [await give('doctor', 9), await give('doctor2')]
  const { record, text, encrypted, drafted } = await clinic.write('doctor', { grant: toDoctor.id.bytes })
  const [first, second] = [
    await openGrant(clinic.person('doctor').keys, toDoctor),
    await openGrant(clinic.person('doctor2').keys, toSecond),
  ]
  t.equal(decided(clinic, 'doctor2', record, toSecond.id.bytes), 'accepted')
  const share = await shareByGrant(second, record)
  t.same(share, await openOwnShare(patient.keys, record))
  t.equal(await decrypted(encrypted, openRecord(record, share, drafted.deposit).contentKey), text)

  clinic.sent(revokeGrantee(clinic.stamp(), clinic.signer('patient'), patient.id, clinic.person('doctor2').id))
  t.equal(decided(clinic, 'doctor2', record, toSecond.id.bytes), 'revoked')
  const { id, version } = clinic.person('doctor')
  const staying = { grant: toDoctor, grantee: { id, seal: version.body.seal }, usesLeft: 8 }
  const keys = nextClassKeys(patient.keys, classes)
  const by = { before: patient.version, signer: clinic.signer('patient') }
  const move = { ...by, keys, patient: patient.id, certificate: patient.certificate }
  const moved = await moveClassEpoch(clinic.stamp(), { ...move, stay: [staying] })
  t.same(
    moved.map(({ kind }) => kind),
    ['identity', 'grant', 'revocation'],
  )
  for (const transaction of moved) clinic.sent(transaction)
  t.same([currentEpoch(keys, 2), currentEpoch(keys, 4), currentEpoch(keys, 1)], [2, 2, 1])
  const [identity, again] = moved
  if (identity?.kind !== 'identity' || again?.kind !== 'grant') throw new Error('Another order.')
  const stale = await clinic.draft('patient')
  const before = patient.keys
  patient.keys = keys
  patient.version = { ...identity, kind: identity.kind, body: identity.body }
  t.equal(
    clinic.send(signRecordDraft(withReceipts(clinic, stale.drafted), clinic.signer('patient'), clinic.custodians())),
    'wrong_epoch',
    'nobody seals to the old key any more',
  )
  const redrafted = await clinic.draft('patient', { secrets: stale.secrets, file: stale.drafted.deposit.file })
  const receipts = clinic.receiptsFor(stale.drafted)
  const rewritten = signRecordDraft(
    addReceipts(redrafted.drafted.draft, receipts),
    clinic.signer('patient'),
    clinic.custodians(),
  )
  t.equal(clinic.send(rewritten), 'accepted', 'the receipts of the first draft are good for the second')

  t.equal(decided(clinic, 'doctor', record, toDoctor.id.bytes), 'revoked', 'one grant stands, not two')
  t.equal(again.body.uses, 8)
  const fresh = await clinic.write('doctor', { grant: again.id.bytes })
  t.equal(fresh.record.body.epoch, 2)
  const reopened = await openGrant(clinic.person('doctor').keys, { chain, body: again.body })
  t.equal(again.body.keys.length, 4)
  t.same(await shareByGrant(reopened, fresh.record), fresh.secrets.chain)
  t.same(await shareByGrant(reopened, record), share, 'and the older ones as before')

  for (const [name, old] of Object.entries({ doctor: first, doctor2: second })) {
    t.equal(await codeOf(() => shareByGrant(old, fresh.record)), 'secret_missing', name)
    for (const { secret } of old.secrets) t.equal(await codeOf(() => openShare(fresh.record, secret)), 'seal_wrong')
  }

  const refused = async (change: Partial<typeof staying>, classes = 2) =>
    codeOf(() => {
      const stay = [{ ...staying, ...change }]
      return moveClassEpoch(clinic.stamp(), { ...move, keys: nextClassKeys(before, classes), stay })
    })
  t.equal(await refused({}), 'it went well')
  t.equal(await refused({ usesLeft: 0 }), 'consent_unfit')
  t.equal(await refused({ usesLeft: 10 }), 'consent_unfit')
  t.equal(await refused({ grantee: { id: patient.id, seal: version.body.seal } }), 'consent_unfit')
  t.equal(await refused({}, 8), 'consent_unfit')
  clinic.sent(revokeAll(clinic.stamp(), clinic.signer('patient'), patient.id))
  t.equal(decided(clinic, 'doctor', fresh.record, again.id.bytes), 'revoked')
})

t.test('what is copied into another record or grant opens nothing', async (t) => {
  const clinic = await createClinic()
  const { keys, id: patient } = clinic.person('patient')
  const { record } = await clinic.write('patient')
  const secret = classSecret(keys, record.body)
  t.ok(await openShare(record, secret))
  const changes: Partial<ConsentRecord['body']>[] = [
    { patient: clinic.person('other').id },
    { class: 4 },
    { epoch: 2 },
    { nonce: new Uint8Array(32) },
    { file: fileCidOf(new Uint8Array(1)) },
    { enc: new Uint8Array(32) },
    { sealed: new Uint8Array(48) },
  ]
  for (const change of changes) {
    const body = { ...record.body, ...change }
    t.equal(await codeOf(() => openShare({ ...record, body }, secret)), 'seal_wrong', Object.keys(change).join())
  }
  const thief = clinic.signer('doctor').publicKey
  t.equal(await codeOf(() => openShare({ ...record, from: thief }, secret)), 'seal_wrong', 'author')
  const elsewhere = record.id
  t.equal(await codeOf(() => openShare({ ...record, chain: elsewhere }, secret)), 'seal_wrong', 'network')

  const shares = await sharesOf(keys, [record])
  const grant = await grantRecords(clinic.stamp(), clinic.signer('patient'), {
    ...{ ...partiesOf(clinic, 'doctor'), ...forTreatment, shares },
  })
  const doctor = clinic.person('doctor').keys
  t.ok(await openGrant(doctor, grant))
  for (const change of [
    { patient: clinic.person('other').id },
    { grantee: patient },
    { records: [clinic.person('other').id] },
    { records: [], keys: [{ class: 2, epoch: 1 }] },
  ]) {
    const body = { ...grant.body, ...change }
    t.equal(await codeOf(() => openGrant(doctor, { chain, body })), 'seal_wrong', Object.keys(change).join())
  }
  t.equal(await codeOf(() => openGrant(doctor, { chain: elsewhere, body: grant.body })), 'seal_wrong', 'network')
  t.equal(await codeOf(() => openGrant(doctor, { chain, body: { ...grant.body, seal: null } })), 'secret_missing')
})

t.test('keys are renewed, and come back by the recovery key; old seals still open', async (t) => {
  const clinic = await createClinic()
  const doctor = clinic.person('doctor')
  const { record, secrets } = await clinic.write('patient')
  const shares = await sharesOf(clinic.person('patient').keys, [record])
  const terms = { ...partiesOf(clinic, 'doctor'), ...forTreatment, shares }
  const grant = clinic.sent(await grantRecords(clinic.stamp(), clinic.signer('patient'), terms))

  const oldSigner = clinic.signer('doctor')
  doctor.keys = renewedKeys(doctor.keys)
  t.notSame(clinic.signer('doctor').publicKey, oldSigner.publicKey)
  t.equal(sealSecrets(doctor.keys).length, 2)
  const rotation = { before: doctor.version, keys: doctor.keys }
  t.equal(
    await codeOf(() => rotateIdentity(clinic.stamp(), { ...rotation, signer: clinic.signer('lab') })),
    'consent_unfit',
  )
  doctor.version = clinic.sent(await rotateIdentity(clinic.stamp(), { ...rotation, signer: oldSigner }))
  t.ok(doctor.version.body.keyProof)
  t.same(await shareByGrant(await openGrant(doctor.keys, grant), record), secrets.chain, 'sealed before the rotation')
  const after = await grantRecords(clinic.stamp(), clinic.signer('patient'), {
    ...terms,
    ...partiesOf(clinic, 'doctor'),
  })
  t.same((await openGrant(doctor.keys, after)).shares, shares, 'and after it')

  // The patient has lost the acting key; what is left is the recovery key, kept elsewhere, and a new root.
  const patient = clinic.person('patient')
  const recovery = recoverySignerOf(patient.keys)
  if (!recovery) throw new Error('There is no recovery key.')
  const byClass = { ...partiesOf(clinic, 'doctor'), ...forTreatment, classes: 2 }
  const whole = clinic.sent(
    await grantClasses(clinic.stamp(), clinic.signer('patient'), {
      ...{ ...byClass, secrets: classSecretsOf(patient.keys, 2) },
    }),
  )
  const thief = clinic.signer('patient')
  patient.keys = renewedKeys(patient.keys)
  const back = { before: patient.version, keys: patient.keys, signer: recovery }
  const stay = [{ grant: whole, grantee: byClass.grantee }]
  const parts = { patient: patient.id, certificate: patient.certificate, stay }
  const sent = (await moveClassEpoch(clinic.stamp(), { ...back, ...parts })).map(clinic.sent)
  const [identity, again] = sent
  if (identity?.kind !== 'identity' || again?.kind !== 'grant') throw new Error('Another order.')
  patient.version = { ...identity, kind: identity.kind, body: identity.body }
  t.equal(
    clinic.send(revokeAll(clinic.stamp(), thief, patient.id)),
    'unknown_author',
    'the stolen key is worth nothing',
  )
  t.equal(patient.version.body.classKeys.length, 11)
  t.ok(patient.version.body.classKeys.every(({ epoch }) => epoch === 2))
  const fresh = await clinic.write('patient')
  t.same(await openOwnShare(patient.keys, fresh.record), fresh.secrets.chain)
  t.same(await openOwnShare(patient.keys, record), secrets.chain, 'the old class keys stay')
  const stayed = await openGrant(doctor.keys, { chain, body: again.body })
  t.same(await shareByGrant(stayed, fresh.record), fresh.secrets.chain, 'the doctor reads on')
  t.equal(stayed.secrets.length, 2, 'with keys of the one class that was granted')
  const skipped = nextClassKeys(nextClassKeys(patient.keys, 2), 2)
  const leap = { before: patient.version, keys: skipped, signer: clinic.signer('patient') }
  t.equal(await codeOf(() => rotateIdentity(clinic.stamp(), leap)), 'consent_unfit', 'an epoch left out')
})

t.test('what was written down gives the same keys again', async (t) => {
  const root = new Uint8Array(32).fill(3)
  const keys = newConsentKeys({ chain, isPatient: true, root })
  const moved = nextClassKeys(nextClassKeys(keys, 4), 4)
  t.same(
    new Set(newConsentKeys({ chain, isPatient: true, root, epochOf: (one) => (one === 4 ? 3 : 1) }).classKeys),
    new Set(moved.classKeys),
  )
  const seeds = [keys.seed, ...keys.seals, ...moved.classKeys.map(({ seed }) => seed), keys.root]
  t.equal(new Set(seeds).size, seeds.length)
  t.equal(keys.classKeys.length, 11)
  t.same(newConsentKeys({ chain, isPatient: false, root }).classKeys, [])
  t.same(sealSecrets(keys).length, 1)
  t.equal((await publicKeyOf(classSecret(keys, { class: 4, epoch: 1 }))).length, 32)
  t.equal(await codeOf(() => classSecret(keys, { class: 4, epoch: 2 })), 'secret_missing')
})

t.test('what others have to sign', async (t) => {
  const clinic = await createClinic()
  const classes = 2
  const lab = clinic.person('lab')
  const grant = clinic.sent(
    await grantClasses(clinic.stamp(), clinic.signer('patient'), {
      ...{ ...partiesOf(clinic, 'lab'), roles: 1 << roles.laboratory_technician, ...forTreatment, classes },
      ...{ actions: APPEND, secrets: [] },
    }),
  )
  t.same([grant.body.seal, grant.body.keys], [null, []], 'who only writes gets no key')
  const { record } = await clinic.write('lab', { grant: grant.id.bytes })
  const amended = await clinic.draft('lab', { grant: grant.id.bytes, supersedes: record.id.bytes })
  const draft = withReceipts(clinic, amended.drafted)
  const sign = (one: typeof draft) => signRecordDraft(one, clinic.signer('lab'), clinic.custodians())
  t.equal(clinic.send(sign(draft)), 'approval_missing')
  const { certificate } = clinic.person('doctor')
  const approval = approveRecord(draft, clinic.signer('doctor'), certificate)
  const wrong = { ...approval, certificate: lab.certificate }
  t.equal(await codeOf(() => addRecordApproval(draft, wrong)), 'transaction_bad_signature')
  const approved = sign(addRecordApproval(draft, approval))
  t.equal(clinic.send(approved), 'accepted')
  t.ok(approved.bytes.length < 2_000, `${approved.bytes.length} bytes`)

  // Receipts are checked, and counted against the custodians.
  const { drafted } = await clinic.draft('patient')
  const [one, two] = clinic.receiptsFor(drafted)
  if (!one || !two) throw new Error('There are three nodes.')
  const unsure = { ...one, sig: two.sig }
  t.equal(await codeOf(() => addReceipts(drafted.draft, [unsure])), 'transaction_bad_signature')
  t.equal(await codeOf(() => addReceipts(drafted.draft, [one, one])), 'transaction_malformed')
  const few = addReceipts(drafted.draft, [one])
  t.equal(await codeOf(() => signRecordDraft(few, clinic.signer('patient'), clinic.custodians())), 'consent_unfit')
  t.equal(await codeOf(() => sign(addReceipts(drafted.draft, [one, two]))), 'consent_unfit', 'by another author')

  // A certificate ends by both administrators, or by the organisation that issued it.
  const [admin1, admin2] = [clinic.signer('admin1'), clinic.signer('admin2')]
  const end = { certificate: clinic.person('doctor2').certificate ?? new Uint8Array(0), reason: 2 }
  t.equal(clinic.send(revokeCertificate(clinic.stamp(), admin1, end)), 'threshold_missed')
  const ending = draftCertificateRevocation(clinic.stamp(), admin1.publicKey, end)
  const signature = approve(ending, admin2)
  const later = draftCertificateRevocation(clinic.stamp(), admin1.publicKey, end)
  t.equal(await codeOf(() => addApproval(later, signature)), 'transaction_bad_signature', 'good for one draft alone')
  t.equal(await codeOf(() => addApproval(drafted.draft, approve(drafted.draft, admin2))), 'transaction_malformed')
  const ended = addApproval(addApproval(ending, signature), signature)
  t.equal(clinic.send(signDraft(ended, admin1)), 'accepted')
  const third = { certificate: clinic.person('lab').certificate ?? new Uint8Array(0), reason: 1 }
  t.equal(clinic.send(revokeCertificate(clinic.stamp(), clinic.signer('hospital'), third)), 'accepted')

  const subject = clinic.person('doctor').id
  const above = { subject, role: roles.organisation, capabilities: 0, from: START, until: NO_END, under: subject }
  t.equal(await codeOf(() => certify(clinic.stamp(), clinic.signer('hospital'), above)), 'consent_unfit')
  const backwards = { ...above, role: roles.doctor, until: START }
  t.equal(await codeOf(() => certify(clinic.stamp(), clinic.signer('hospital'), backwards)), 'transaction_malformed')

  const asked = draftCertificate(clinic.stamp(), admin1.publicKey, { ...above, under: null })
  t.same(decodeDraft(encodeDraft(asked)), asked)
  t.equal(await codeOf(() => decodeDraft(encodeDraft(asked).subarray(1))), 'malformed_cbor')
  t.equal(await codeOf(() => decodeDraft(clinic.person('doctor').version.bytes)), 'transaction_malformed')
})

t.test('a delegate gives what it was given, and a deny stands over all', async (t) => {
  const clinic = await createClinic()
  const patient = clinic.person('patient')
  const { record, secrets } = await clinic.write('patient')
  const until = START + 86_400_000
  const forDelegate = { ...forTreatment, actions: READ | LIST | APPEND | REGRANT, until, classes: 2 }
  const own = clinic.sent(
    await grantClasses(clinic.stamp(), clinic.signer('patient'), {
      ...{ ...partiesOf(clinic, 'delegate'), roles: 1 << roles.delegate, ...forDelegate },
      secrets: classSecretsOf(patient.keys, 2),
    }),
  )
  const delegate = clinic.person('delegate')
  const opened = await openGrant(delegate.keys, own)
  const shares = [{ record: record.id.bytes, share: await shareByGrant(opened, record) }]
  const given = clinic.sent(
    await grantRecords(clinic.stamp(), clinic.signer('delegate'), {
      ...{ ...partiesOf(clinic, 'doctor'), certificate: delegate.certificate, under: own.id.bytes },
      ...{ shares, actions: READ, purposes: TREAT, from: START, until },
    }),
  )
  const doctor = clinic.person('doctor')
  t.same(await shareByGrant(await openGrant(doctor.keys, given), record), secrets.chain)
  t.equal(decided(clinic, 'doctor', record, given.id.bytes), 'accepted')

  const deny = clinic.sent(
    denyAccess(clinic.stamp(), clinic.signer('patient'), {
      ...{ patient: patient.id, grantee: doctor.id, roles: IS_DOCTOR, certificate: patient.certificate },
      ...{ classes: 2, actions: READ, purposes: TREAT, from: START },
    }),
  )
  t.equal(decided(clinic, 'doctor', record, given.id.bytes), 'denied')
  t.equal(await codeOf(() => openGrant(doctor.keys, deny)), 'secret_missing')
  clinic.sent(revokeGrant(clinic.stamp(), clinic.signer('patient'), patient.id, deny.id.bytes))
  t.equal(decided(clinic, 'doctor', record, given.id.bytes), 'accepted')
  clinic.sent(revokeGrant(clinic.stamp(), clinic.signer('doctor'), patient.id, given.id.bytes))
  t.equal(decided(clinic, 'doctor', record, given.id.bytes), 'revoked', 'who was given may give it up')
})

t.test('a grant and its end are small, also the largest', async (t) => {
  const clinic = await createClinic()
  const { keys, id } = clinic.person('patient')
  const parties = { ...partiesOf(clinic, 'doctor'), ...forTreatment }
  const [stamp, signer] = [clinic.stamp(), clinic.signer('patient')]
  const shares = Array.from({ length: 16 }, (_, index) => ({
    record: Uint8Array.from([1, 0x71, 0x12, 32, ...new Uint8Array(32).fill(16 - index)]),
    share: new Uint8Array(32),
  }))
  const sizes = [
    (await grantRecords(stamp, signer, { ...parties, shares: shares.slice(0, 1) })).bytes.length,
    (await grantRecords(stamp, signer, { ...parties, shares })).bytes.length,
    revokeGrant(stamp, signer, id, id).bytes.length,
  ]
  let grown = keys
  for (let epoch = 2; epoch <= 6; epoch++) grown = nextClassKeys(grown, 0x7ff)
  const secrets = classSecretsOf(grown, 0x7ff)
  t.equal(secrets.length, 66)
  const all = { ...parties, classes: 0x7ff }
  sizes.push((await grantClasses(stamp, signer, { ...all, secrets: secrets.slice(0, 64) })).bytes.length)
  t.comment(`bytes: a grant of 1 record, of 16, a revocation, a grant of 64 class keys: ${sizes.join(', ')}`)
  t.ok(sizes.every((size) => size < 5_000))
  t.ok((sizes[0] ?? 0) + (sizes[2] ?? 0) < 1_500)
  t.equal(await codeOf(() => grantClasses(stamp, signer, { ...all, secrets })), 'transaction_malformed')
  t.equal(await codeOf(() => grantClasses(stamp, signer, { ...all, secrets: [] })), 'consent_unfit')
  const writes = { ...all, actions: APPEND, secrets: secrets.slice(0, 1) }
  t.equal(await codeOf(() => grantClasses(stamp, signer, writes)), 'consent_unfit')
  t.equal(
    await codeOf(() => grantClasses({ ...stamp, maxBytes: 1_000 }, signer, { ...all, secrets: secrets.slice(0, 64) })),
    'transaction_too_large',
  )
  t.equal(signerOf(keys).publicKey.length, 32)
})

t.test('a wallet keeps the keys of each network, and takes no other form', async (t) => {
  const id = cidOf(new Uint8Array(1))
  const keys = registeredKeys(newConsentKeys({ chain, isPatient: true, recovery: new Uint8Array(32) }), id)
  const elsewhere = newConsentKeys({ chain: id, isPatient: false })
  const wallet = putConsentKeys(putConsentKeys(putConsentKeys(newWallet(), keys), elsewhere), keys)
  t.equal(wallet.consent?.length, 2)
  t.same(consentKeysOf(wallet, chain), keys)
  t.same(keys.id, id.toString())
  t.equal(await codeOf(() => consentKeysOf(newWallet(), chain)), 'secret_missing')
  const options = { workFactor: 6 }
  t.strictSame(await openWallet(await sealWallet(wallet, 'a passphrase', options), 'a passphrase'), wallet)

  const [first] = keys.classKeys
  const wrong: Record<string, unknown>[] = [
    { more: 1 },
    { network: 'paper' },
    { id: 'me' },
    { id: undefined },
    { root: keys.root.toUpperCase() },
    { seals: [] },
    { recovery: 'none' },
    { classKeys: [first, first] },
    { classKeys: [{ ...first, class: 3 }] },
    { classKeys: [{ ...first, epoch: 0 }] },
    { classKeys: [{ ...first, seed: '00' }] },
  ]
  const refused = (consent: unknown) =>
    codeOf(() => sealWallet({ ...newWallet(), consent } as Wallet, 'a passphrase', options))
  for (const change of wrong)
    t.equal(await refused([{ ...keys, ...change }]), 'wallet_malformed', JSON.stringify(change))
  t.equal(await refused([keys, keys]), 'wallet_malformed', 'one network twice')
  t.equal(await refused(keys), 'wallet_malformed')
})

t.test('a label is read strictly, and shows nothing of itself where it is wrong', async (t) => {
  const [share, place] = [new Uint8Array(32), { genesis: chain.bytes, nonce: new Uint8Array(32) }]
  const label = { name: 'Röntgen', fileName: 'x-ray.dcm', size: 5, type: 'application/dicom', note: 'left hand' }
  const sealed = sealRecordLabel(share, label, place)
  t.same(openRecordLabel(share, sealed, place), label)
  const wrong: Record<string, unknown>[] = [
    { name: '' },
    { name: 'red \u001b[31m' },
    { fileName: '../x' },
    { fileName: '..' },
    { size: -1 },
    { size: 1.5 },
    { type: 'dicom' },
    { note: 'x'.repeat(1_025) },
    { more: 1 },
  ]
  for (const change of wrong) {
    const bad = { ...label, ...change }
    t.equal(await codeOf(() => sealRecordLabel(share, bad, place)), 'label_malformed', Object.keys(change).join())
    const text = sealLabel(share, JSON.stringify(bad), place)
    t.equal(await codeOf(() => openRecordLabel(share, text, place)), 'label_malformed')
  }
  t.throws(() => openRecordLabel(share, sealLabel(share, '{"name":"Röntgen', place), place), {
    code: 'label_malformed',
    message: /^(?!.*ntgen)/,
  })
})

t.test('a draft from somebody else is read strictly', async (t) => {
  const subject = cidOf(new Uint8Array(1)).bytes
  const fields = { subject, role: roles.organisation, capabilities: 1, from: START, until: NO_END, under: null }
  const bytes = encodeDraft(draftCertificate({ chain, at: START }, new Uint8Array(32), fields))
  let [refused, taken] = [0, 0]
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.boolean(), (at, value, isCut) => {
      const altered = isCut ? bytes.slice(0, at) : Uint8Array.from(bytes)
      if (!isCut) altered[at] = value
      try {
        if (!Buffer.from(altered).equals(encodeDraft(decodeDraft(altered)))) throw new Error('It was read as another.')
        taken++
      } catch (error) {
        if (!isEmrError(error)) throw error
        refused++
      }
    }),
    { numRuns: 2_000, seed: seedOfRun() },
  )
  t.ok(refused > 500 && taken > 100, `${refused} refused, ${taken} taken`)
})
