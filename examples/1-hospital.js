// Paper 001: an administrator connects a hospital, the hospital admits a patient and a provider, the patient authorises,
// the provider writes, both read; a provider who is not on the list is refused.

import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { certify } from '#emrchain/client/person/certify.js'
import { giveGrant } from '#emrchain/client/person/give-grant.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { newWallet } from '#emrchain/client/wallet.js'
import { actions, capabilities, purposes, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { caughtUp, foundNetwork, startNodes } from './shared/nodes.js'
import { join, joinNode, note, publicKeyOf, reads } from './shared/people.js'
import { allCount, check, counts, play, refused, step, tell } from './shared/story.js'

const FINDING = 'Haemoglobin 13.1 g/dl, in the normal range.'

await play('Example 1, a hospital (paper 001)', async (stage) => {
  step('1. An administrator founds a network and connects a hospital, which has two nodes.')
  const wallet = newWallet()
  const network = await foundNetwork(stage, { first: 'ward', administrator: publicKeyOf(wallet) })
  const { ward, archive } = await startNodes(stage, ['ward', 'archive'], { network })
  const administrator = await join(stage, { name: 'the administrator', role: roles.administrator, node: ward, wallet })
  const hospital = await join(stage, { name: 'the hospital', role: roles.organisation, node: ward })
  const first = await joinNode(stage, ward, { at: ward })
  const second = await joinNode(stage, archive, { at: ward })
  await ward.client.mine()
  counts(
    'The administrator certifies the hospital.',
    await certify(administrator, { subject: hospital.id }, { mine: true }),
  )
  const mayKeep = { capabilities: capabilities.custody }
  await certify(hospital, { subject: first, ...mayKeep })
  counts(
    'The hospital certifies its two nodes, to keep shares of keys; the second follows the chain from then on.',
    await certify(hospital, { subject: second, ...mayKeep }, { mine: true }),
  )
  await caughtUp(stage, archive, ward)

  step('2. The hospital admits a patient, Ann, and a provider, Dr. Grey.')
  const ann = await join(stage, { name: 'Ann', role: roles.patient, custodians: [first, second], node: ward })
  const grey = await join(stage, { name: 'Dr. Grey', role: roles.doctor, node: ward })
  const stranger = await join(stage, { name: 'Dr. Strange', role: roles.doctor, node: ward, mine: true })
  const certificates = []
  for (const { id } of [ann, grey, stranger]) certificates.push(await certify(hospital, { subject: id }))
  await ward.client.mine()
  const admitted = 'The hospital certifies Ann, Dr. Grey, and a doctor whom Ann does not know.'
  await allCount(admitted, ward.client, certificates)

  step('3. Ann authorises Dr. Grey: laboratory records, to read and to write, for treatment.')
  const grant = await giveGrant(
    ann,
    {
      grantee: grey.id,
      classes: recordClasses.lab,
      actions: actions.LIST | actions.READ | actions.APPEND,
      purposes: purposes.TREAT,
    },
    { mine: true },
  )
  counts('The consent is on the chain.', grant)

  step('4. Dr. Grey writes a record for Ann.')
  const file = note('blood.txt', FINDING, { name: 'Blood count', class: recordClasses.lab, patient: ann.id })
  const record = await addConsentRecord(grey, file, { mine: true })
  counts('The record is on the chain; its file is stored encrypted.', record)
  check('Both custodians of Ann keep a share of its key.', record.custodians === 2, record.failures.join(' '))
  const stored = await ward.client.transaction(record.id)
  check('The chain holds neither its name nor its text.', !/Blood|Haemoglobin/.test(JSON.stringify(stored)))

  step('5. Both read it.')
  await reads('Ann reads it.', readConsentRecord(ann, record.id), FINDING)
  await reads('Dr. Grey reads it.', readConsentRecord(grey, record.id), FINDING)
  tell(`It says: ${FINDING}`)

  step('6. Dr. Strange works at the same hospital and is not on the list.')
  await refused('Dr. Strange finds no consent.', readConsentRecord(stranger, record.id), 'consent_missing')
  const attempt = readConsentRecord(stranger, record.id, { grant: null })
  await refused(
    'Dr. Strange asks all the same, and no custodian gives the key out.',
    attempt,
    'release_denied',
    'no_grant',
  )
})
