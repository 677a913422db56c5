// After a revocation the former grantee cannot open the record, with all that it received but the released share. After an
// erasure nobody can who does not hold share or key already, and the chain still verifies.

import { randomBytes } from 'node:crypto'
import { grantTransaction } from '#emrchain/client/consent/grant.js'
import { openGrant, shareByGrant } from '#emrchain/client/consent/open-grant.js'
import { consentRecord } from '#emrchain/client/consent/record.js'
import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { eraseRecord, erasureStatus } from '#emrchain/client/person/erase-record.js'
import { giveGrant } from '#emrchain/client/person/give-grant.js'
import { actingOf } from '#emrchain/client/person/person-session.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { revoke } from '#emrchain/client/person/revoke.js'
import { contentKey } from '#emrchain/crypto/content-key.js'
import { decryptFile, FILE_CONTEXT } from '#emrchain/crypto/file-cipher.js'
import { actions, erasureGrounds, purposes, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { caughtUp, openNetwork, startNodes, verify } from './shared/nodes.js'
import { gathered, join, joinNode, note, reads } from './shared/people.js'
import { check, counts, play, refused, step, tell } from './shared/story.js'

const FINDING = 'Cholesterol 180 mg/dl.'
const LATER = 'Cholesterol 175 mg/dl.'
/** To read laboratory records, for treatment. */
const TO_READ = { classes: recordClasses.lab, actions: actions.LIST | actions.READ, purposes: purposes.TREAT }
/** More blocks than custodians ever need to say that they are done. */
const MANY = 500

await play('Example 5, revocation and erasure', async (stage) => {
  // An operator chooses how many blocks must be on an erasure before it is carried out: here one.
  const flags = ['--erase-after', '1']
  const network = await openNetwork(stage)
  const { north, south } = await startNodes(stage, ['north', 'south'], { network, flags })
  const custodians = []
  for (const node of [north, south]) custodians.push(await joinNode(stage, node, { at: north }))
  await north.client.mine()
  const ann = await join(stage, { name: 'Ann', role: roles.patient, custodians, node: north })
  const grey = await join(stage, { name: 'Dr. Grey', role: roles.doctor, node: north })
  const hunt = await join(stage, { name: 'Dr. Hunt', role: roles.doctor, node: north, mine: true })

  step('1. Ann consents to two doctors, who read a record.')
  const toGrey = await giveGrant(ann, { ...TO_READ, grantee: grey.id })
  const toHunt = await giveGrant(ann, { ...TO_READ, grantee: hunt.id })
  /** @param {string} text */
  const lab = (text) => note('lab.txt', text, { name: 'Cholesterol', class: recordClasses.lab })
  const record = await addConsentRecord(ann, lab(FINDING), { mine: true })
  await reads('Dr. Grey reads it.', readConsentRecord(grey, record.id), FINDING)
  await reads('Dr. Hunt reads it.', readConsentRecord(hunt, record.id), FINDING)
  const ciphertext = await kept(north.client.downloadFile(record.cid))
  tell('Both keep all that they received, but for the share that a custodian released.')

  step('2. Ann revokes the consent to Dr. Grey.')
  counts('The revocation is on the chain.', await revoke(ann, { grant: toGrey.id }, { mine: true }))
  await caughtUp(stage, south, north)

  /**
   * What a grantee has of a record for good: its own keys open the grant, and what is in the grant opens the half of the
   * record's key that is on the chain.
   *
   * @param {import('./shared/people.js').Person} person
   * @param {string} grant
   * @param {string} of
   */
  const halfOf = async (person, grant, of) => {
    const given = grantTransaction(await north.client.signedTransaction(grant))
    const { keys } = await actingOf(person)
    return shareByGrant(await openGrant(keys, given), consentRecord(await north.client.signedTransaction(of)))
  }
  /** What the ciphertext gives with one half of the key and a guess. @param {Uint8Array} chain */
  const guess = (chain) => {
    const key = contentKey({ chain, off: randomBytes(32) })
    return gathered(decryptFile(again(ciphertext), { key, context: FILE_CONTEXT, aead: ann.aead }))
  }
  const half = await halfOf(grey, toGrey.id, record.id)
  check(
    'Dr. Grey still has the half of the key that the chain holds, and the ciphertext.',
    half.length === 32 && ciphertext.length > 0,
  )
  const attempt = readConsentRecord(grey, record.id, { grant: toGrey.id })
  await refused('No custodian gives the other half out.', attempt, 'release_denied', 'revoked')
  await refused('Half a key opens nothing.', guess(half), 'cipher_wrong_key')
  const later = await addConsentRecord(ann, lab(LATER), { mine: true })
  counts('Ann records another one.', later)
  await refused(
    'Of that one Dr. Grey has no half at all: the class has a new key.',
    halfOf(grey, toGrey.id, later.id),
    'secret_missing',
  )
  await reads('Dr. Hunt, to whom the new key was sealed, reads it.', readConsentRecord(hunt, later.id), LATER)

  step('3. Ann has the first record erased.')
  const huntsHalf = await halfOf(hunt, toHunt.id, record.id)
  const erasure = await eraseRecord(ann, { record: record.id, ground: erasureGrounds.consent_withdrawn })
  const frozen = readConsentRecord(hunt, record.id, { grant: toHunt.id })
  await refused(
    'Custodians give nothing out from the moment that they hear of it.',
    frozen,
    'release_frozen',
    erasure.id,
  )

  step('4. A block later each custodian destroys what it has, and signs that it did.')
  let status = await erasureStatus(ann, record.id)
  for (
    let blocks = 0;
    !status.nodes.every(({ destroyed }) => destroyed !== null) || status.nodes.length === 0;
    blocks++
  ) {
    if (blocks === MANY) throw new Error('The custodians do not say that they are done.')
    await north.client.mine()
    status = await erasureStatus(ann, record.id)
  }
  for (const { node, destroyed } of status.nodes)
    tell(`${node === custodians[0] ? 'north' : 'south'}: ${destroyed?.join(', ')}`)
  const all = status.nodes.every(
    ({ isCustodian, destroyed }) => isCustodian && destroyed?.includes('share') && destroyed.includes('label'),
  )
  check('Share and label are destroyed at both custodians, by receipts on the chain.', all && status.nodes.length === 2)
  check(
    'So is the ciphertext where it was.',
    status.nodes.some(({ destroyed }) => destroyed?.includes('ciphertext')),
  )

  step('5. Nobody opens it.')
  await refused('Ann does not.', readConsentRecord(ann, record.id), 'record_erased', erasure.id)
  await refused(
    'Dr. Hunt does not.',
    readConsentRecord(hunt, record.id, { grant: toHunt.id }),
    'record_erased',
    erasure.id,
  )
  await refused(
    'A copy of the ciphertext and half a key open nothing, and the other half is nowhere.',
    guess(huntsHalf),
    'cipher_wrong_key',
  )
  tell('Whoever kept the released share, or the text, still has it: no system takes back what was read.')

  await reads('The other record opens as before.', readConsentRecord(ann, later.id), LATER)

  step('6. The chain holds.')
  await south.stop()
  const { blocks } = await verify(south, network)
  check(`All ${blocks} blocks verify from the first byte, on the disk of a node that is stopped.`, blocks > 5)
})

/** @param {AsyncIterable<Uint8Array>} source */
async function kept(source) {
  const pieces = []
  for await (const piece of source) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** @param {Uint8Array} bytes */
async function* again(bytes) {
  yield bytes
}
