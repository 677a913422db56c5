import type { CID } from 'multiformats/cid'
import type { ChainStore, StoredBlock } from '../chain/chain-store.js'
import type { BlockEntry } from '../ledger/block-entry.js'
import type { Ledger } from '../ledger/ledger.js'
import { type Block, blockSections, signedHeaderFromSections } from '../protocol/block.js'
import { cidOf } from '../protocol/cid.js'
import { decodeHeader } from '../protocol/header.js'
import { createAbsences } from './absences.js'
import { type NetworkBlocks, storedBlockFrom } from './block-facts.js'

/** The ledger as the chain sees it: blocks instead of sections. */
export function createChainStore(ledger: Ledger, { factsOf }: Pick<NetworkBlocks, 'factsOf'>): ChainStore {
  let tip: StoredBlock | undefined
  const absences = createAbsences()

  return {
    tip() {
      const entry = ledger.tip()
      if (!tip?.header.id.equals(entry.id)) tip = toStoredBlock(entry)
      return tip
    },
    stored(id) {
      const entry = ledger.block(id)
      return entry && toStoredBlock(entry)
    },
    idAt: (height) => ledger.blockAt(height)?.id,
    placeOf(transaction) {
      if (absences.has(transaction)) return undefined
      if (ledger.appearances(transaction).length > 0) return ledger.confirmation(transaction)
      absences.add(transaction)
      return undefined
    },
    holdersOf: (transaction) =>
      absences.has(transaction) ? [] : ledger.appearances(transaction).map(({ block }) => block),
    readBlock: async (id) => storedBlockFrom(await ledger.readBlockSections(id)),
    contract: ledger.contract,
    undoAt: ledger.undoAt,
    async transactionIds(id) {
      // Transactions come first; list, signature and header are the last three.
      const sections = await ledger.readBlockSections(id)
      return sections.slice(0, -3).map(({ cid }) => cid)
    },
    append: (blocks) =>
      absences.end(idsOf(blocks), () =>
        ledger.appendBlocks(blocks.map((block) => ({ sections: blockSections(block), facts: factsOf(block) }))),
      ),
    switchTip: ({ tip, taken, returned }) =>
      ledger.moveTip(tip, { remove: taken, restore: returned.map(({ id, bytes }) => ({ id, bytes })) }),
  }
}

function* idsOf(blocks: readonly Block[]): Generator<CID> {
  for (const { transactions } of blocks) for (const { id } of transactions) yield id
}

function toStoredBlock(entry: BlockEntry): StoredBlock {
  const { totalWork: work, transactionCount } = entry
  const signed = entry.signature
    ? signedHeaderFromSections(
        { cid: cidOf(entry.signature), bytes: entry.signature },
        { cid: entry.id, bytes: entry.header },
      )
    : { header: decodeHeader(entry.header), signature: new Uint8Array(0) }
  return { ...signed, work, transactionCount }
}
