import { applyAll } from '#emrchain/contract/apply-block.js'
import type { MemoryState } from '#emrchain/contract/state.js'
import { type Block, hashResults } from '#emrchain/protocol/block.js'
import { capabilities, roles } from '#emrchain/protocol/consent-vocabulary.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import type { NetworkFile } from '#emrchain/protocol/network-parameters.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { certify, createWorld, START } from '../contract/consent-world.js'
import { furnish } from '../contract/make-contract-vectors.js'
import { pinnedSequence } from '../contract/pinned-sequence.js'
import { createBlockMaker, easyNetworkFile, signerOf } from '../fixtures/block-maker.js'

/** A network with two administrators, both needed, where every second hash meets the target. */
export const clinicNetworkFile: NetworkFile = {
  ...easyNetworkFile,
  name: 'easy-clinic',
  clearLabels: false,
  administrators: {
    keys: ['admin1', 'admin2'].map((name) => Buffer.from(signerOf(name).publicKey).toString('hex')).sort(),
    threshold: 2,
  },
}

export const clinic = createBlockMaker(clinicNetworkFile)

/** A block of the clinic by this miner, a second after its parent. */
export const clinicBlock = (
  parent: IdentifiedHeader,
  miner: string,
  transactions: readonly SignedTransaction[],
  results: Uint8Array,
): Block =>
  clinic.block(parent, transactions, {
    signer: signerOf(miner),
    header: { time: START + (parent.height + 1) * 1_000, results: hashResults(results) },
  })

/** Every kind of transaction and most codes, mined by an administrator and a certified node in turn, one branch that lost; and the state at its tip. */
export const { blocks: consentBlocks, state: consentState } = makeConsentChain()

function makeConsentChain(): { blocks: readonly Block[]; state: MemoryState } {
  const world = createWorld('clinic', clinic.genesis.id)
  const hospital = world.certificate('hospital')
  const mines = certify(
    'hospital',
    world.id('node1'),
    roles.node,
    hospital,
    { capabilities: capabilities.mine },
    world.chain,
  )
  world.add('certificate to mine of node1', mines)
  furnish(world)
  const first = clinicBlock(clinic.genesis, 'admin1', world.transactions, new Uint8Array(world.transactions.length))
  const blocks = [first, clinicBlock(clinic.genesis, 'admin2', [], new Uint8Array(0))]
  let tip = first
  for (const { height, transactions, results } of pinnedSequence(world, 3, 10, 12)) {
    tip = clinicBlock(tip.header, height % 2 === 0 ? 'node1' : 'admin2', transactions, results)
    blocks.push(tip)
    applyAll(world.state, transactions, { height, time: tip.header.time })
  }
  return { blocks, state: world.state }
}
