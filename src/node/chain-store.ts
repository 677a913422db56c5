import type { ChainStore, StoredBlock } from '../chain/chain-store.js'
import type { BlockEntry } from '../ledger/block-entry.js'
import type { Ledger } from '../ledger/ledger.js'
import { type Block, blockSections, signedHeaderFromSections } from '../protocol/block.js'
import { cidOf } from '../protocol/cid.js'
import { decodeHeader } from '../protocol/header.js'
import { factsOf, storedBlockFrom } from './block-facts.js'

/** The ledger as the chain sees it: blocks instead of sections. */
export function createChainStore(ledger: Ledger): ChainStore {
  let tip: StoredBlock | undefined

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
    placeOf: (transaction) => ledger.confirmation(transaction),
    readBlock: async (id) => storedBlockFrom(await ledger.readBlockSections(id)),
    append: (block) => ledger.appendBlock(blockSections(block), factsOf(block)),
    async switchTip({ connect, returned }) {
      const last: Block | undefined = connect.at(-1)
      if (!last) return
      const taken = connect.flatMap((block) => block.transactions.map(({ id }) => id))
      await ledger.moveTip(last.header.id, {
        remove: taken,
        restore: returned.map(({ id, bytes }) => ({ id, bytes })),
      })
    },
  }
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
