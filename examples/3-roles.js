// Paper 000: a doctor, a laboratory technician, a pharmacist, an insurance agent and a researcher, each within its role;
// the patient refuses one doctor; an amendment that takes two consents; and every access on the chain.

import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { approveAmendment } from '#emrchain/client/person/approve-amendment.js'
import { auditOf } from '#emrchain/client/person/audit.js'
import { certify } from '#emrchain/client/person/certify.js'
import { deny, giveGrant } from '#emrchain/client/person/give-grant.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { shareRecord } from '#emrchain/client/person/share-record.js'
import {
  actions,
  EVERY_ACTION,
  EVERY_CLASS,
  EVERY_PURPOSE,
  purposes,
  recordClasses,
  roles,
} from '#emrchain/protocol/consent-vocabulary.js'
import { openClinic } from './shared/clinic.js'
import { caughtUp } from './shared/nodes.js'
import { join, note, reads } from './shared/people.js'
import { allCount, changesNothing, check, counts, play, refused, step, tell } from './shared/story.js'

const { READ, APPEND, LIST } = actions

const VISIT = 'Tired, pale.'
const RECIPE = 'Iron, 100 mg a day.'
const VALUE = 'Haemoglobin 31 g/dl.'
const RIGHT_VALUE = 'Haemoglobin 13 g/dl.'
const BILL = 'Blood count, 12 EUR.'
const COHORT = 'Female, 30 to 39, anaemia.'

await play('Example 3, everybody in their role (paper 000)', async (stage) => {
  const { node, other, custodians, hospital } = await openClinic(stage)

  step('1. The hospital certifies a patient and all who work for her.')
  /** @param {string} name @param {import('#emrchain/protocol/consent-vocabulary.js').Role} role */
  const arrive = (name, role) => join(stage, { name, role, node })
  const ann = await join(stage, { name: 'Ann', role: roles.patient, custodians, node })
  const grey = await arrive('Dr. Grey', roles.doctor)
  const burke = await arrive('Dr. Burke', roles.doctor)
  const tess = await arrive('Tess, technician', roles.laboratory_technician)
  const phil = await arrive('Phil, pharmacist', roles.pharmacist)
  const ida = await arrive('Ida, insurance agent', roles.insurance_agent)
  const rita = await arrive('Rita, researcher', roles.researcher)
  await node.client.mine()
  const everybody = [ann, grey, burke, tess, phil, ida, rita]
  const certificates = []
  for (const { id } of everybody) certificates.push(await certify(hospital, { subject: id }))
  await node.client.mine()
  await allCount('Seven certificates are on the chain, each for one role.', node.client, certificates)

  step('2. Ann consents to what each of them needs.')
  const { TREAT, HPAYMT, HRESCH } = purposes
  const { note: notes, lab, medication, claim, deid } = recordClasses
  const toTreat = { classes: notes | lab | medication, actions: LIST | READ | APPEND, purposes: TREAT }
  const toGrey = await giveGrant(ann, { ...toTreat, grantee: grey.id })
  const toTess = await giveGrant(ann, { classes: lab, actions: READ | APPEND, purposes: TREAT, grantee: tess.id })
  const toPhil = await giveGrant(ann, { classes: medication, actions: LIST | READ, purposes: TREAT, grantee: phil.id })
  const toIda = await giveGrant(ann, { classes: claim, actions: LIST | READ, purposes: HPAYMT, grantee: ida.id })
  const year = Date.now() + 365 * 24 * 3_600_000
  const toRita = await giveGrant(ann, { classes: deid, actions: READ, purposes: HRESCH, until: year, grantee: rita.id })
  await node.client.mine()
  await allCount('The five consents are on the chain.', node.client, [toGrey, toTess, toPhil, toIda, toRita])
  tell(
    'Doctor: treatment. Technician: laboratory. Pharmacist: medication. Agent: claims. Researcher: what names nobody.',
  )

  step('3. They write.')
  /** @param {string} name @param {number} recordClass @param {string} text */
  const file = (name, recordClass, text) => note(`${name}.txt`, text, { name, class: recordClass, patient: ann.id })
  const visit = await addConsentRecord(grey, file('visit', notes, VISIT))
  const recipe = await addConsentRecord(grey, file('recipe', medication, RECIPE))
  const blood = await addConsentRecord(tess, file('blood', lab, VALUE))
  const bill = await addConsentRecord(ann, file('bill', claim, BILL))
  const cohort = await addConsentRecord(ann, file('cohort', deid, COHORT), { mine: true })
  const written = [visit, recipe, blood, bill, cohort]
  await allCount('The doctor, the technician and Ann have written five records.', node.client, written)

  step('4. They read what they are there for.')
  await reads('The doctor reads the laboratory record.', readConsentRecord(grey, blood.id), VALUE)
  await reads('The technician reads what she wrote herself.', readConsentRecord(tess, blood.id), VALUE)
  await reads('The pharmacist reads the recipe.', readConsentRecord(phil, recipe.id), RECIPE)
  await reads(
    'The insurance agent reads the bill, for payment.',
    readConsentRecord(ida, bill.id, { purpose: HPAYMT }),
    BILL,
  )
  await reads(
    'The researcher reads what names nobody, for research.',
    readConsentRecord(rita, cohort.id, { purpose: HRESCH }),
    COHORT,
  )

  step('5. And not more, even where Ann consents to too much.')
  const everything = { classes: EVERY_CLASS, actions: EVERY_ACTION, purposes: EVERY_PURPOSE, until: year }
  const tooMuch = []
  for (const { id } of [tess, phil, ida, rita]) tooMuch.push(await giveGrant(ann, { ...everything, grantee: id }))
  await node.client.mine()
  const beyond = /** @type {const} */ ([
    ['The technician does not read the recipe of another.', tess, recipe, TREAT],
    ['The pharmacist does not read the visit.', phil, visit, TREAT],
    ['The insurance agent gets nothing for treatment.', ida, bill, TREAT],
    ['The researcher does not read the bill, which names Ann.', rita, bill, HRESCH],
  ])
  for (const [at, [claim, person, record, purpose]] of beyond.entries()) {
    const reading = readConsentRecord(person, record.id, { grant: tooMuch[at]?.id, purpose })
    await refused(claim, reading, 'release_denied', 'above_ceiling')
  }

  step('6. Ann refuses one doctor.')
  const toHospital = await giveGrant(ann, { ...toTreat, grantee: hospital.id }, { mine: true })
  counts('Ann consents to the hospital: to all whom it certifies.', toHospital)
  const share = await shareRecord(hospital, { record: visit.id, member: burke.id, purpose: 'TREAT' })
  const asMember = { grant: share.grant, memberShare: Buffer.from(share.share, 'hex') }
  await reads(
    'The hospital passes the visit on to Dr. Burke, who reads it.',
    readConsentRecord(burke, visit.id, asMember),
    VISIT,
  )
  const denial = { classes: EVERY_CLASS, actions: EVERY_ACTION, purposes: EVERY_PURPOSE, grantee: burke.id }
  counts('Ann forbids Dr. Burke everything.', await deny(ann, denial, { mine: true }))
  await caughtUp(stage, other, node)
  const forbidden = readConsentRecord(burke, visit.id, asMember)
  await refused('Dr. Burke is refused, whatever the hospital may.', forbidden, 'release_denied', 'denied')
  await reads('Other doctors are not.', readConsentRecord(grey, visit.id), VISIT)

  step('7. The technician mistyped a value. To amend takes two consents.')
  const amended = { class: lab, patient: ann.id, name: 'blood', supersedes: blood.id, grant: toTess.id }
  const corrected = () => note('blood.txt', RIGHT_VALUE, amended)
  const alone = await addConsentRecord(tess, corrected(), { mine: true })
  changesNothing('With the consent of Ann alone the amendment changes nothing.', alone, 'approval_missing')
  const both = await addConsentRecord(tess, corrected(), {
    mine: true,
    // Here Dr. Grey looks at the draft, and signs it on her own machine.
    approve: (draft) => approveAmendment(grey, draft),
  })
  counts('With the signature of Dr. Grey too it takes the place of the first.', both)
  await reads('The doctor reads the right value.', readConsentRecord(grey, both.id), RIGHT_VALUE)
  const first = await node.client.transaction(blood.id)
  check('The first one is still there, and marked as replaced.', first.standing?.state === 'superseded')

  step('8. Every access is on the chain.')
  await node.client.mine()
  const names = new Map(everybody.map(({ id, name }) => [id, name]))
  const accesses = (await auditOf(ann, ann.id)).filter(({ kind }) => kind === 'access').reverse()
  for (const { time, who, what, result } of accesses) tell(`${time}  ${names.get(who)}: ${what}. ${result}`)
  const count = (/** @type {string} */ wanted) => accesses.filter(({ result }) => result === wanted).length
  check(
    'All are confirmed.',
    accesses.every(({ state }) => state === 'confirmed'),
  )
  check('Those that were allowed are there: eight.', count('accepted') === 8, String(count('accepted')))
  check(
    'And those that were refused: four beyond a role, one forbidden.',
    count('above_ceiling') === 4 && count('denied') === 1,
  )
})
