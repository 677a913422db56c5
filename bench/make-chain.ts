import { openLedger } from '#emrchain/ledger/ledger.js'
import { createChainStore } from '#emrchain/node/chain-store.js'
import { ledgerRules } from '#emrchain/node/ledger-rules.js'
import type { Block } from '#emrchain/protocol/block.js'
import type { ClearLabel } from '#emrchain/protocol/bodies/record.js'
import type { IdentifiedHeader } from '#emrchain/protocol/header.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createBlockMaker, signerOf } from '../test/fixtures/block-maker.js'

/** How many people sign, in turn. */
export const AUTHORS = 1_000
/** Blocks that are written at once. */
const BATCH_RECORDS = 2_000
const MAX_BATCH_BLOCKS = 250

export interface ChainPlan {
  readonly folder: string
  readonly recordsABlock: number
  /** The label of record `number`, counted from 0. */
  labelOf(number: number): ClearLabel
}

/** A chain in a data folder that is made longer step by step. Nothing else uses the folder meanwhile. */
export interface GrowingChain {
  /** Makes it `records` long in all; `onBlock` hears of each new block, when it is on disk, and how long the chain is then. */
  growTo(records: number, onBlock?: (block: Block, records: number) => void): Promise<void>
  height(): number
}

/** Labels that name each record and give each author's records to one user. */
export const plainLabel = (number: number): ClearLabel => ({
  user_id: `user-${number % AUTHORS}`,
  EHR_name: `MRI-${number}`,
  file_name: `MRI-${number}.pdf`,
  size: number,
})

/**
 * Makes chains of signed records for the easy network. They are written without being checked first, which takes half of
 * the time; a node or `emrchain verify` that reads one checks everything.
 */
export function growChain({ folder, recordsABlock, labelOf }: ChainPlan): GrowingChain {
  const maker = createBlockMaker()
  const rules = ledgerRules(maker.network)
  const signers = Array.from({ length: AUTHORS }, (_, at) => signerOf(`author-${at}`))
  let parent: IdentifiedHeader = maker.genesis
  let made = 0

  function record(): SignedTransaction {
    const signer = signers[made % AUTHORS]
    return maker.record(`record ${made}`, { label: labelOf(made++), ...(signer ? { signer } : {}) })
  }

  /** Blocks that are to be written together. */
  function nextBlocks(records: number): Block[] {
    const blocks: Block[] = []
    for (const end = Math.min(records, made + BATCH_RECORDS); made < end && blocks.length < MAX_BATCH_BLOCKS; ) {
      const count = Math.min(recordsABlock, records - made)
      const block = maker.block(parent, Array.from({ length: count }, record))
      blocks.push(block)
      parent = block.header
    }
    return blocks
  }

  return {
    height: () => parent.height,
    async growTo(records, onBlock) {
      const ledger = await openLedger(folder, rules)
      const store = createChainStore(ledger, rules)
      try {
        for (let written = made; made < records; ) {
          const blocks = nextBlocks(records)
          await store.append(blocks)
          await store.switchTip({ tip: parent.id, taken: [], returned: [] })
          for (const block of blocks) {
            written += block.transactions.length
            onBlock?.(block, written)
          }
        }
      } finally {
        await ledger.close()
      }
    },
  }
}
