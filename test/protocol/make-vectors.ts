import type { CID } from 'multiformats/cid'
import { asertTarget } from '#emrchain/consensus/asert.js'
import { workOf } from '#emrchain/consensus/difficulty.js'
import { type Block, blockSections, encodeTransactionList, genesisSections } from '#emrchain/protocol/block.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { encodeBlocks, encodeCar } from '#emrchain/protocol/car.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { compactToTarget, targetToBytes, targetToCompact } from '#emrchain/protocol/compact-target.js'
import { encodeHeader } from '#emrchain/protocol/header.js'
import { paperNetwork } from '#emrchain/protocol/network-parameters.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { stateDigest } from '../contract/pinned-sequence.js'
import {
  asertNetworkFile,
  type BlockMaker,
  createBlockMaker,
  easyNetworkFile,
  signerOf,
} from '../fixtures/block-maker.js'
import { byteVectors } from './byte-vectors.js'
import { clinic, clinicNetworkFile, consentBlocks, consentState } from './make-consent-chain.js'

/** The networks, transactions and blocks of which the frozen vectors are made. The keys are the same in every run. */
export const paper = createBlockMaker(paperNetwork)
export const easy = createBlockMaker(easyNetworkFile)
export const labelled = easy.record('MRI', { at: 1_767_225_600_001 })
export const plain = easy.record('CT', { at: 1_767_225_600_002, label: null })
export const first = easy.block(easy.genesis, [labelled, plain])
export const second = easy.block(first.header, [])
export const loser = easy.block(easy.genesis, [labelled], { signer: signerOf('another miner') })
export const third = easy.block(second.header, [easy.record('X-ray', { at: 1_767_225_602_000 })])
const easyBlocks = [first, loser, second, third]

/** Where the search for the nonces of the paper's blocks begins: at what was found once. Set to 0 when the blocks change. */
const PAPER_NONCES = [16_315, 43_956, 45_680]

/** Three blocks of the built-in network, mined at its 16 bits. */
export const paperBlocks: readonly Block[] = minePaper()

function minePaper(): Block[] {
  const blocks: Block[] = []
  for (const [at, nonce] of PAPER_NONCES.entries()) {
    const parent = blocks.at(-1)?.header ?? paper.genesis
    blocks.push(paper.block(parent, at === 1 ? [] : [paper.record(`MRI ${at}`)], { header: { nonce } }))
  }
  return blocks
}

/** Blocks of a network whose target moves: on schedule, early, late beyond the limit, and one that lost. */
export const moving = createBlockMaker(asertNetworkFile)
export const movingBlocks: readonly Block[] = makeMoving()

function makeMoving(): Block[] {
  const blocks: Block[] = []
  for (const [at, pause] of [1_000, 1, 250, 50_000, 1_000, 1].entries()) {
    const parent = blocks.at(-1)?.header ?? moving.genesis
    const records = at === 2 ? [moving.record('MRI')] : []
    blocks.push(moving.block(parent, records, { header: { time: parent.time + pause } }))
  }
  const [first] = blocks
  return first
    ? [first, moving.block(first.header, [], { header: { time: first.header.time + 9 } }), ...blocks.slice(1)]
    : []
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const prefixed = (prefix: string, bytes: Uint8Array): string => hex(Buffer.concat([Buffer.from(prefix), bytes]))
const seedOf = (name: string): string => hex(cidOf(Buffer.from(name)).multihash.digest)

const networkVector = (file: object, { network, genesis }: BlockMaker) => ({
  file,
  parameters: hex(network.bytes),
  parametersCid: network.cid.toString(),
  genesisHeader: hex(genesis.bytes),
  genesisId: genesis.id.toString(),
})

const transactionVector = (signed: SignedTransaction) => {
  const { id, bytes, sig, ...unsigned } = signed
  return {
    id: id.toString(),
    bytes: hex(bytes),
    signed: prefixed('emrchain/tx/v1', encodeCanonical(unsigned)),
    from: hex(signed.from),
    sig: hex(sig),
  }
}

const targetVector = (compact: string) => ({
  compact,
  target: hex(targetToBytes(compactToTarget(Number.parseInt(compact, 16)))),
  work: workOf(Number.parseInt(compact, 16)).toString(16),
})

/** The next target by aserti3-2d, times in one unit, from the anchor's parent. */
const asertVector = (fields: readonly [string, string, number, number, number, number]) => {
  const [target, limit, spacing, halfLife, timeDiff, heightDiff] = fields
  const numberOf = (compact: string): bigint => compactToTarget(Number.parseInt(compact, 16))
  const input = { anchorTarget: numberOf(target), limit: numberOf(limit), spacing, halfLife, timeDiff, heightDiff }
  const next = targetToCompact(asertTarget(input)).toString(16).padStart(8, '0')
  return { target, limit, spacing, halfLife, timeDiff, heightDiff, next }
}

/** Those of docs/protocol.md in seconds, and what is hard: truncation of both kinds, both ends, far from both. */
const asertCases: (readonly [string, string, number, number, number, number])[] = [
  ...(
    [
      [10, 0],
      [3_610, 0],
      [10, 360],
      [600, 0],
      [100_000, 0],
      [11, 0],
      [9, 0],
      [10, 1],
      [0, 0],
      [1_810, 0],
      [10, 180],
      [-100_000, 0],
      [10, 1_000_000],
      [2 ** 53 - 1, 0],
      [10, 2 ** 32 - 1],
    ] as const
  ).map(([timeDiff, heightDiff]) => ['1e7fffff', '1f7fffff', 10, 3_600, timeDiff, heightDiff] as const),
  ['01010000', '207fffff', 100, 1_000, 200_000, 0],
  ['01010000', '207fffff', 100, 1_000, 100, 20],
  ['207fffff', '207fffff', 100, 1_000, 1_100, 0],
  ['1802aee8', '1d00ffff', 600, 172_800, 900, 1],
]

const headerVector = (height: number, nonce: number) => {
  const bytes = encodeHeader({ ...first.header, height, nonce })
  return { height, nonce, length: bytes.length, bytes: hex(bytes), id: cidOf(bytes).toString() }
}

/** What test/vectors/protocol.json must hold. */
export const makeVectors = () => ({
  source:
    'Made by test/protocol/protocol.test.ts; frozen. Keys are Ed25519 seeds SHA-256("patient"), SHA-256("miner").',
  seeds: { patient: seedOf('patient'), miner: seedOf('miner') },
  networks: {
    paper: networkVector(paperNetwork, paper),
    easy: networkVector(easyNetworkFile, easy),
    asert: networkVector(asertNetworkFile, moving),
    clinic: networkVector(clinicNetworkFile, clinic),
  },
  transactions: { labelled: transactionVector(labelled), plain: transactionVector(plain) },
  block: {
    header: hex(first.header.bytes),
    id: first.header.id.toString(),
    list: hex(encodeTransactionList([labelled.id, plain.id])),
    results: hex(first.header.results),
    signed: prefixed('emrchain/block/v1', first.header.id.bytes),
    signature: hex(first.signature),
    signatureSection: hex(blockSections(first).at(-2)?.bytes ?? new Uint8Array(0)),
    car: hex(encodeBlocks([first])),
  },
  headers: [1, 24, 256, 65_536].map((height) => headerVector(height, 2 ** 48 - height)),
  targets: [
    '1d00ffff',
    '1f00ffff',
    '207fffff',
    '1b0404cb',
    '05009234',
    '03123456',
    '02008000',
    '01010000',
    '2100ffff',
  ].map(targetVector),
  asert: asertCases.map(asertVector),
  refusedTargets: ['00000000', '01000000', '1d000000', '1d800001', '1dffffff', '22010000', '1d0000ff', '04000001'],
  ...byteVectors(labelled, first.header),
  states: { 'chain-consent.car': stateDigest(consentState.entries()) },
  files: [
    { text: '', cid: 'QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH', size: 6 },
    { text: 'hello world\n', cid: 'QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o', size: 20 },
    { zeros: 262_145, cid: 'QmbVuw4C4vcmVKqxoWtgDVobvcHrSn51qsmQmyxjk4sB2Q', size: 262_267 },
    { zeros: 174 * 262_144 + 1, cid: 'QmehMASWcBsX7VcEQqs6rpR5AHoBfKyBVEgmkJHjpPg8jq', size: 45_624_016 },
  ],
})

/** A chain file of these blocks. */
export function chainFile({ network, genesis }: BlockMaker, blocks: readonly Block[]): Uint8Array {
  const root: CID = network.cid
  const start = [{ cid: root, bytes: network.bytes }, ...genesisSections(genesis)]
  return encodeCar([root], [...start, ...blocks.flatMap(blockSections)])
}

/** What the files of test/vectors must hold, by their names. */
export const makeChains = (): Record<string, Uint8Array> => ({
  'chain.car': chainFile(easy, easyBlocks),
  'chain-paper.car': chainFile(paper, paperBlocks),
  'chain-asert.car': chainFile(moving, movingBlocks),
  'chain-consent.car': chainFile(clinic, consentBlocks),
})
