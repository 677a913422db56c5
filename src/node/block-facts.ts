import { workOf } from '../consensus/difficulty.js'
import type { BlockFacts, LookupKey } from '../ledger/block-entry.js'
import { type Block, blockFromSections, type Section } from '../protocol/block.js'
import { isHeaderSection } from '../protocol/car.js'
import { decodeFileCid } from '../protocol/cid.js'
import { decodeHeader } from '../protocol/header.js'
import { clearLabelOf, fileOf, type SignedTransaction } from '../protocol/transaction.js'

const encoder = new TextEncoder()

/** The index entry under which records of a name are found: their EHR_name and their file name. */
export const nameKey = (name: string): LookupKey => ({ namespace: 'name', key: encoder.encode(name) })
/** The same for the records of one user. No text of a label holds a zero byte that could blur the two parts. */
export const userNameKey = (user: string, name: string): LookupKey => ({
  namespace: 'user-name',
  key: encoder.encode(JSON.stringify([user, name])),
})
/** Records of a file, whichever form of its CID they hold. */
export const fileKey = (file: Uint8Array): LookupKey => ({
  namespace: 'file',
  key: decodeFileCid(file).multihash.digest,
})

function lookupsOf(transaction: SignedTransaction): LookupKey[] {
  const [file, label] = [fileOf(transaction), clearLabelOf(transaction)]
  if (!file) return []
  if (!label) return [fileKey(file)]
  const names = new Set([label.EHR_name, label.file_name])
  return [fileKey(file), ...[...names].flatMap((name) => [nameKey(name), userNameKey(label.user_id, name)])]
}

/** What the ledger notes about a block. */
export const factsOf = ({ header, transactions }: Pick<Block, 'header' | 'transactions'>): BlockFacts => ({
  id: header.id,
  parent: header.parent,
  height: header.height,
  work: header.height === 0 ? 0n : workOf(header.target),
  time: header.time,
  transactions: transactions.map((transaction) => ({ id: transaction.id, lookups: lookupsOf(transaction) })),
})

/** A block from the chain file. Genesis has no signature, and none is made up for it. */
export function storedBlockFrom(sections: readonly Section[]): Block {
  const last = sections.at(-1)
  const header = last && isHeaderSection(last) ? decodeHeader(last.bytes) : undefined
  if (header?.height === 0) return { header, signature: new Uint8Array(0), transactions: [] }
  return blockFromSections(sections)
}

/** How the ledger reads blocks. */
export const blockReader = {
  isHeader: isHeaderSection,
  describe: (sections: readonly Section[]): BlockFacts => factsOf(storedBlockFrom(sections)),
}
