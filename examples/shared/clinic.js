// A network with administrators, ready for people: two nodes, which are also the custodians of patients, and a hospital.

import { certify } from '#emrchain/client/person/certify.js'
import { newWallet } from '#emrchain/client/wallet.js'
import { capabilities, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { caughtUp, foundNetwork, startNodes } from './nodes.js'
import { join, joinNode, publicKeyOf } from './people.js'

/** @import { RunningNode } from './nodes.js' */
/** @import { Person } from './people.js' */
/** @import { Stage } from './story.js' */

/**
 * @typedef {object} Clinic
 * @property {RunningNode} node the one that people ask, and that mines
 * @property {RunningNode} other
 * @property {readonly string[]} custodians ids of both
 * @property {Person} administrator
 * @property {Person} hospital certified
 */

/** @param {Stage} stage @returns {Promise<Clinic>} */
export async function openClinic(stage) {
  const wallet = newWallet()
  const network = await foundNetwork(stage, { first: 'ward', administrator: publicKeyOf(wallet) })
  const { ward: node, archive: other } = await startNodes(stage, ['ward', 'archive'], { network })
  const administrator = await join(stage, { name: 'the administrator', role: roles.administrator, node, wallet })
  const hospital = await join(stage, { name: 'the hospital', role: roles.organisation, node })
  const first = await joinNode(stage, node, { at: node })
  const second = await joinNode(stage, other, { at: node })
  await node.client.mine()
  await certify(administrator, { subject: hospital.id }, { mine: true })
  // The first node's key is a first administrator's; the other one is told nothing before it is certified.
  for (const subject of [first, second]) await certify(hospital, { subject, capabilities: capabilities.custody })
  await node.client.mine()
  await caughtUp(stage, other, node)
  return { node, other, custodians: [first, second], administrator, hospital }
}
