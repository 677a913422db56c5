// A patient reads every access, release and refusal, also after one node was lost. A custodian that was cut off before a
// revocation, and so does not know of it, gives nothing out.

import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { auditCsv, auditOf } from '#emrchain/client/person/audit.js'
import { giveGrant } from '#emrchain/client/person/give-grant.js'
import { permissionOf } from '#emrchain/client/person/may-do.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { revoke } from '#emrchain/client/person/revoke.js'
import { actions, purposes, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { caughtUp, heardOfReleases, openNetwork, startNodes } from './shared/nodes.js'
import { by, join, joinNode, note, reads } from './shared/people.js'
import { check, counts, play, refused, step, tell } from './shared/story.js'

/** @import { AuditEntry } from '#emrchain/client/person/audit.js' */
/** @import { Person } from './shared/people.js' */

const FINDING = 'Blood pressure 135/85.'

/** Accesses, oldest first. @param {readonly AuditEntry[]} audit */
const accessesIn = (audit) => audit.filter(({ kind }) => kind === 'access').reverse()

/** The same person, who asks no custodian but the node itself. @param {Person} person @returns {Person} */
const onlyAt = (person) => ({ ...person, client: { ...person.client, peers: async () => [] } })

/** Lines of one audit that another does not have, whatever their order. @param {readonly AuditEntry[]} audit @param {readonly AuditEntry[]} other */
const onlyIn = (audit, other) => {
  const lines = new Set(auditCsv(other).split('\r\n'))
  return auditCsv(audit)
    .split('\r\n')
    .filter((line) => !lines.has(line))
    .join('\n')
}

/** Of each access that a custodian gave its share out for: which one did. @param {readonly AuditEntry[]} audit */
const releasesIn = (audit) =>
  new Map(audit.filter(({ kind }) => kind === 'release').map(({ transaction, who }) => [transaction, who]))

await play('Example 6, the audit of a patient', async (stage) => {
  const network = await openNetwork(stage)
  const { north, south, west } = await startNodes(stage, ['north', 'south', 'west'], { network })
  /** @type {string[]} */
  const custodians = []
  for (const node of [north, south, west]) custodians.push(await joinNode(stage, node, { at: north }))
  await north.client.mine()
  const nodeNames = new Map([north, south, west].map(({ name }, at) => [custodians[at], name]))
  const ann = await join(stage, { name: 'Ann', role: roles.patient, custodians, node: north })
  const grey = await join(stage, { name: 'Dr. Grey', role: roles.doctor, node: north })
  const phil = await join(stage, { name: 'Phil, pharmacist', role: roles.pharmacist, node: north, mine: true })
  const names = new Map([ann, grey, phil].map(({ id, name }) => [id, name]))
  tell('Three nodes; each is a custodian of Ann.')

  step('1. Ann consents to Dr. Grey, who reads her record twice. Phil asks without any consent.')
  const scope = { classes: recordClasses.note, actions: actions.LIST | actions.READ, purposes: purposes.TREAT }
  const grant = await giveGrant(ann, { ...scope, grantee: grey.id })
  const file = note('visit.txt', FINDING, { name: 'Visit', class: recordClasses.note })
  const record = await addConsentRecord(ann, file, { mine: true })
  counts('The record is on the chain.', record)
  await reads('Dr. Grey reads it.', readConsentRecord(grey, record.id), FINDING)
  await reads('Dr. Grey reads it again.', readConsentRecord(grey, record.id), FINDING)
  const asking = readConsentRecord(phil, record.id, { grant: null })
  await refused('Phil is refused.', asking, 'release_denied', 'no_grant')
  const atOnce = accessesIn(await auditOf(ann, ann.id))
  check(
    'Ann sees all three at once, before any block holds them.',
    atOnce.length === 3 && atOnce.every(({ state }) => state === 'pending'),
  )
  await north.client.mine()

  step('2. The node in the west is cut off. Then Ann revokes, and the west does not hear of it.')
  await west.client.blockPeers([north.url, south.url])
  counts('The revocation is on the chain of the others.', await revoke(ann, { grant: grant.id }, { mine: true }))
  const inTheWest = by(grey, west)
  const asked = { accessor: grey.id, action: 'READ', purpose: 'TREAT' }
  const { allowed } = await permissionOf(inTheWest, record.id, asked)
  check('By the chain that the west has, Dr. Grey may still read.', allowed)
  const stale = readConsentRecord(onlyAt(inTheWest), record.id, { grant: grant.id })
  await refused('It does not give the share out: no other node has taken note.', stale, 'access_unacknowledged')
  await caughtUp(stage, south, north)
  const elsewhere = readConsentRecord(grey, record.id, { grant: grant.id })
  await refused('The others know that the consent has ended.', elsewhere, 'release_denied', 'revoked')

  step('3. The west is back.')
  await west.client.unblockPeers([north.url, south.url])
  await caughtUp(stage, west, north)
  const late = readConsentRecord(onlyAt(inTheWest), record.id, { grant: grant.id })
  await refused('Now it knows.', late, 'release_denied', 'revoked')
  // Each has accesses that wait for a block.
  for (const [miner, others] of /** @type {const} */ ([
    [west, [south, north]],
    [north, [south, west]],
  ])) {
    await miner.client.mine()
    for (const node of others) await caughtUp(stage, node, miner)
  }
  for (const node of [south, west]) await heardOfReleases(stage, node, north, record.id)

  step('4. Ann reads what happened.')
  const audit = await auditOf(ann, ann.id)
  const releases = releasesIn(audit)
  for (const { time, who, what, result, transaction } of accessesIn(audit)) {
    const by = releases.get(transaction)
    const release = by === undefined ? '' : `, and the share was given out by the ${nodeNames.get(by)}`
    tell(`${time}  ${names.get(who)}: ${what}. ${result}${release}`)
  }
  const results = accessesIn(audit).map(({ result }) => result)
  const count = (/** @type {string} */ wanted) => results.filter((result) => result === wanted).length
  check('Both readings are there.', count('accepted') === 2, results.join())
  check(
    'So are the four refusals, that of the custodian that was cut off included.',
    count('no_grant') === 1 && count('revoked') === 3,
    results.join(),
  )
  check(
    'All of it is confirmed.',
    audit.every(({ state }) => state === 'confirmed'),
  )
  check(
    'A custodian has signed for each share that it gave out: for both readings, and for nothing else.',
    accessesIn(audit).every(({ transaction, result }) => releases.has(transaction) === (result === 'accepted')),
  )

  step('5. The node in the north burns down, with all that it had.')
  await north.lose()
  for (const node of [south, west]) {
    const found = await auditOf(by(ann, node), ann.id)
    const missing = onlyIn(audit, found)
    const added = onlyIn(found, audit)
    check(
      `The ${node.name} shows Ann the same, line by line.`,
      !missing && !added,
      `not there: ${missing}; new: ${added}`,
    )
  }
})
