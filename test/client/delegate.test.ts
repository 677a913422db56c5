import t from 'tap'
import { classSecretsOf, grantTransaction } from '#emrchain/client/consent/grant.js'
import { openGrant } from '#emrchain/client/consent/open-grant.js'
import { consentKeysOf } from '#emrchain/client/consent/wallet-keys.js'
import { auditOf } from '#emrchain/client/person/audit.js'
import { type GrantForPatient, giveForPatient } from '#emrchain/client/person/give-for-patient.js'
import { giveGrant } from '#emrchain/client/person/give-grant.js'
import type { PersonSession } from '#emrchain/client/person/person-session.js'
import { registerIdentity } from '#emrchain/client/person/register-identity.js'
import { revoke } from '#emrchain/client/person/revoke.js'
import { revokeForPatient } from '#emrchain/client/person/revoke-for-patient.js'
import { actions, purposes, type Role, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { personAt } from '../fixtures/person.js'
import { networkFile, startNode } from '../fixtures/start-node.js'

const DAY = 86_400_000
const { READ, LIST, REGRANT, APPEND } = actions
const { lab, imaging, genetic } = recordClasses

t.test('a delegate gives consent in the place of a patient, as far as it was given', async (t) => {
  const { url } = await startNode(t, { network: networkFile(t, { clearLabels: false }) })
  const register = async (role: Role): Promise<PersonSession & { id: string }> => {
    const session = await personAt(url)
    const { id } = await registerIdentity(session, { role }, { mine: true })
    return { ...session, id }
  }
  const patient = await register(roles.patient)
  const [mother, doctor] = [await register(roles.delegate), await register(roles.doctor)]
  const from = Date.now() - DAY
  const given = {
    ...{ grantee: mother.id, classes: lab | imaging, actions: READ | LIST | REGRANT, purposes: purposes.TREAT },
    ...{ from, until: from + 10 * DAY },
  }
  const wanted: GrantForPatient = {
    ...{ patient: patient.id, grantee: doctor.id, classes: lab, actions: READ, purposes: purposes.TREAT },
    ...{ from, until: from + 5 * DAY },
  }
  const refused = { code: 'consent_missing' }
  await t.rejects(giveForPatient(mother, wanted), refused, 'nobody asked it')
  const own = await giveGrant(patient, given, { mine: true })
  t.match(own, { state: 'confirmed', result: { code: 0 } })

  const more: [string, Partial<GrantForPatient>][] = [
    ['longer', { until: from + 11 * DAY }],
    ['without end', { until: undefined as never }],
    ['another class', { classes: lab | genetic }],
    ['another action', { actions: READ | APPEND }],
    ['the right to give', { actions: READ | REGRANT }],
    ['another purpose', { purposes: purposes.HRESCH }],
    ['more confidential', { confidentiality: 2 }],
    ['sensitive matters', { sensitivity: 1 }],
  ]
  for (const [what, change] of more) await t.rejects(giveForPatient(mother, { ...wanted, ...change }), refused, what)
  await t.rejects(giveForPatient(doctor, wanted), refused, 'who is no delegate')

  const done = await giveForPatient(mother, wanted, { mine: true })
  t.match(done, { state: 'confirmed', result: { code: 0 } })
  const grant = grantTransaction(await doctor.client.signedTransaction(done.id))
  const { secrets } = await openGrant(consentKeysOf(doctor.keeper.wallet, doctor.chain), grant)
  t.same(
    secrets,
    classSecretsOf(consentKeysOf(patient.keeper.wallet, patient.chain), lab),
    'the key of that class alone',
  )

  // She takes it back herself; that is for her to do, and for nobody else.
  const mine = { mine: true }
  const end = { patient: patient.id, what: { grant: done.id } }
  const nurse = await register(roles.nurse)
  await t.rejects(revokeForPatient(nurse, end), { code: 'consent_missing' })
  await t.rejects(revokeForPatient(mother, { patient: patient.id, what: { grantee: nurse.id } }), {
    code: 'consent_missing',
  })
  t.match(await revokeForPatient(mother, end, mine), { state: 'confirmed', result: { code: 0 }, parts: [] })
  t.match(await doctor.client.transaction(done.id), { standing: { revoked: true } })
  const { result, moved } = await giveGrant(
    patient,
    { ...given, actions: READ, grantee: nurse.id, classes: imaging },
    mine,
  )
  t.equal(result.code, 0)
  t.ok(moved.length > 0, 'the patient moves the keys that the doctor had')

  // When the patient moves keys on, what a delegate gave is given anew, and the audit says who gave it first.
  const second = await giveForPatient(mother, wanted, mine)
  await giveGrant(patient, { ...given, actions: READ, grantee: nurse.id, classes: lab }, mine)
  await revoke(patient, { grantee: nurse.id }, mine)
  const entries = await auditOf(patient, patient.id)
  const order = ({ time, at }: { readonly time: string; readonly at: number }) => `${time} ${at}`
  t.same(entries.map(order), entries.map(order).sort().reverse(), 'newest first, within one second too')
  const anew = entries.find(({ what }) => what.endsWith(`in the place of ${second.id}, which ${mother.id} gave first`))
  t.match(anew, { kind: 'grant', who: patient.id, result: 'accepted' })
  t.match(
    entries.find(({ transaction }) => transaction === second.id),
    { who: mother.id, grant: /^bafy/ },
    'and what that rested on',
  )
  const endOfOld = entries.find(({ kind, grant }) => kind === 'revocation' && grant === second.id)
  t.match(endOfOld, { who: patient.id, what: 'ended a grant that was given anew with new keys' })
  const late = revokeForPatient(mother, { patient: patient.id, what: { grant: second.id } })
  await t.rejects(late, { code: 'consent_missing', message: new RegExp(`anew as ${anew?.transaction}`) })
  const got = { patient: patient.id, what: { grant: anew?.transaction ?? '' } }
  t.match(await revokeForPatient(doctor, got, mine), { result: { code: 0 } }, 'who has it may give it up')

  await revoke(patient, 'all', mine)
  await t.rejects(giveForPatient(mother, wanted), refused, 'over')
})
