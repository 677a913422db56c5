// Paper 002, step by step: identity, certificate, access control, storage, retrieval, change of consent, and what stays on
// record. Then a forged, an expired and a revoked certificate, each of which is refused.

import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { auditOf } from '#emrchain/client/person/audit.js'
import { certify, decertify } from '#emrchain/client/person/certify.js'
import { giveGrant } from '#emrchain/client/person/give-grant.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { requestsOf, sendRequest } from '#emrchain/client/person/requests.js'
import { revoke } from '#emrchain/client/person/revoke.js'
import { parseChainId } from '#emrchain/protocol/cid.js'
import { actions, purposes, recordClasses, revocationReasons, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { openClinic } from './shared/clinic.js'
import { caughtUp } from './shared/nodes.js'
import { join, note, reads } from './shared/people.js'
import { changesNothing, check, counts, play, refused, step, tell } from './shared/story.js'

const DAY = 24 * 3_600_000
const FINDING = 'MRI of the knee: a tear of the meniscus.'
/** To look at images, for treatment. */
const TO_LOOK = {
  classes: recordClasses.imaging,
  actions: actions.LIST | actions.READ,
  purposes: purposes.TREAT,
}

await play('Example 2, certificates and consent (paper 002)', async (stage) => {
  const { node, other, custodians, hospital } = await openClinic(stage)
  tell('A network with an administrator, who has certified a hospital.')

  step('1. Identity: Ann and Dr. Grey make keys and register them.')
  const ann = await join(stage, { name: 'Ann', role: roles.patient, custodians, node })
  const grey = await join(stage, { name: 'Dr. Grey', role: roles.doctor, node, mine: true })
  check('The chain knows the key of Dr. Grey.', (await node.client.identity(grey.id)).role === 'doctor')
  const tooEarly = await sendRequest(grey, { ...TO_LOOK, patient: ann.id }, { mine: true })
  changesNothing('Without a certificate nobody is a doctor here, whatever they say.', tooEarly, 'no_role')

  step('2. Certificate: the hospital certifies both, for a year.')
  const until = Date.now() + 365 * DAY
  await certify(hospital, { subject: ann.id, until })
  const certificate = await certify(hospital, { subject: grey.id, until }, { mine: true })
  counts('The certificates are on the chain.', certificate)

  step('3. Access control: Dr. Grey asks, Ann looks at the request and grants it.')
  counts('Dr. Grey asks.', await sendRequest(grey, { ...TO_LOOK, patient: ann.id }, { mine: true }))
  const [request] = await requestsOf(ann, ann.id)
  check('Ann sees who asks.', request?.author === grey.id)
  tell(`Asked for: ${request?.text}`)
  const grant = await giveGrant(
    ann,
    { ...TO_LOOK, grantee: grey.id, until: Date.now() + 30 * DAY, request: request?.id },
    { mine: true },
  )
  counts('Ann grants it, for 30 days.', grant)

  step('4. Storage: Ann records an image.')
  const file = note('knee.txt', FINDING, { name: 'Knee', class: recordClasses.imaging })
  const record = await addConsentRecord(ann, file, { mine: true })
  counts('The record is on the chain, the ciphertext in the file store, the key in two shares.', record)

  step('5. Retrieval: Dr. Grey reads it.')
  await reads('Dr. Grey reads it.', readConsentRecord(grey, record.id), FINDING)

  step('6. Change of consent: Ann revokes, and consents anew.')
  counts('Ann revokes.', await revoke(ann, { grant: grant.id }, { mine: true }))
  await caughtUp(stage, other, node)
  const after = readConsentRecord(grey, record.id, { grant: grant.id })
  await refused('Dr. Grey is refused from then on.', after, 'release_denied', 'revoked')
  const once = { ...TO_LOOK, classes: 0, records: [record.id], uses: 1 }
  const anew = await giveGrant(ann, { ...once, grantee: grey.id }, { mine: true })
  counts('Ann consents to this one record, once.', anew)
  // A use is spent when it is in a block, and then the share is given out. Elsewhere one waits; here a block is mined.
  const onWaiting = async () => void (await node.client.mine())
  await reads('Dr. Grey reads it again.', readConsentRecord(grey, record.id, { onWaiting }), FINDING)
  await caughtUp(stage, other, node)
  const twice = readConsentRecord(grey, record.id, { grant: anew.id })
  await refused('And not twice.', twice, 'release_denied', 'used_up')

  step('7. Accountability: Ann reads what happened.')
  await node.client.mine()
  const accesses = (await auditOf(ann, ann.id))
    .filter(({ kind, who }) => kind === 'access' && who === grey.id)
    .reverse()
  for (const { time, what, result } of accesses) tell(`${time}  Dr. Grey: ${what}. ${result}`)
  const results = accesses.map(({ result }) => result).join()
  check('Each access is there, and each that was refused.', results === 'accepted,revoked,accepted,used_up', results)

  step('A forged certificate.')
  const impostor = await join(stage, { name: 'an impostor', role: roles.organisation, node })
  const quack = await join(stage, { name: 'a quack', role: roles.doctor, node, mine: true })
  const forged = await certify(impostor, { subject: quack.id }, { mine: true })
  changesNothing('An impostor, whom no administrator certified, certifies a quack.', forged, 'not_entitled')
  const copy = Buffer.from((await node.client.signedTransaction(certificate.id)).bytes)
  copy.set(parseChainId(quack.id).bytes, copy.indexOf(parseChainId(grey.id).bytes))
  const handedIn = node.client.submitTransaction(copy)
  await refused('The quack writes himself into the certificate of Dr. Grey.', handedIn, 'transaction_bad_signature')
  const read = { record: record.id, action: 'READ', purpose: 'TREAT' }
  /** @param {{ accessor: string, certificate: string, grant?: string }} as */
  const answer = async (as) => (await node.client.decide({ ...read, ...as })).result.name
  const byForged = await answer({ accessor: quack.id, certificate: forged.id })
  check('The forged certificate makes nobody a doctor.', byForged === 'no_role', byForged)
  const byStolen = await answer({ accessor: quack.id, certificate: certificate.id })
  check('Nor does that of Dr. Grey in the hands of the quack.', byStolen === 'no_role', byStolen)
  const attempt = readConsentRecord(quack, record.id, { grant: null })
  await refused('The quack asks for the key, and no custodian gives it out.', attempt, 'release_denied', 'no_role')

  step('An expired certificate.')
  const locum = await join(stage, { name: 'a locum', role: roles.doctor, node, mine: true })
  const ended = { subject: locum.id, from: Date.now() - 8 * DAY, until: Date.now() - DAY }
  const expired = await certify(hospital, ended, { mine: true })
  counts('The hospital had certified a locum for last week.', expired)
  const toLocum = await giveGrant(ann, { ...TO_LOOK, grantee: locum.id }, { mine: true })
  counts('Ann consents all the same.', toLocum)
  const byExpired = await answer({ accessor: locum.id, certificate: expired.id, grant: toLocum.id })
  check('By the time of the chain the locum is no doctor: nobody has to notice.', byExpired === 'no_role', byExpired)
  const late = readConsentRecord(locum, record.id, { grant: toLocum.id })
  await refused('No custodian gives the key out.', late, 'release_denied', 'no_role')

  step('A revoked certificate.')
  const end = { certificate: certificate.id, reason: revocationReasons.left }
  counts('Dr. Grey leaves the hospital, which revokes the certificate.', await decertify(hospital, end, { mine: true }))
  await caughtUp(stage, other, node)
  const former = readConsentRecord(grey, record.id)
  await refused('The consent of Ann stands, and is of no use without the role.', former, 'consent_missing', 'no_role')
  const again = readConsentRecord(grey, record.id, { grant: anew.id })
  await refused('No custodian gives the key out.', again, 'release_denied', 'no_role')
})
