import { workOf } from '../consensus/difficulty.js'
import { effectsOf, genesisEffects, isBareRecord } from '../contract/apply-block.js'
import type { BlockFacts, LookupKey } from '../ledger/block-entry.js'
import type { BlockReader } from '../ledger/chain-blocks.js'
import { type Block, blockFromSections, type Section } from '../protocol/block.js'
import { isConsentRecord } from '../protocol/bodies/record.js'
import { equalBytes } from '../protocol/canonical.js'
import { isHeaderSection } from '../protocol/car.js'
import { decodeFileCid } from '../protocol/cid.js'
import { decodeHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { fileOf, type SignedTransaction } from '../protocol/transaction.js'

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

/** What a transaction names by its id: a person, record, grant, certificate or erasure. */
export const aboutKey = (id: Uint8Array): LookupKey => ({ namespace: 'about', key: id })
/** Transactions that were signed with this Ed25519 key. */
export const authorKey = (key: Uint8Array): LookupKey => ({ namespace: 'author', key })

const ABOUT = ['patient', 'grantee', 'record', 'supersedes', 'subject', 'certificate', 'grant', 'previous', 'erasure']

/** The ids that a transaction names, some of them twice; none of a record without consent. */
function namedBy({ kind, body }: SignedTransaction): Uint8Array[] {
  if (kind === 'record' && !isConsentRecord(body)) return []
  return ABOUT.map((name): unknown => Reflect.get(body, name)).filter((id) => id instanceof Uint8Array)
}

/** Whether a transaction names a person, record, grant, certificate or erasure by its id. */
export const isAbout = (transaction: SignedTransaction, id: Uint8Array): boolean =>
  namedBy(transaction).some((one) => equalBytes(one, id))

function lookupsOf(transaction: SignedTransaction): LookupKey[] {
  const { kind, body, from } = transaction
  if (kind !== 'record' || isConsentRecord(body)) {
    const ids = new Map(namedBy(transaction).map((id) => [Buffer.from(id).toString('latin1'), id]))
    const file = fileOf(transaction)
    return [...(file ? [fileKey(file)] : []), ...Array.from(ids.values(), aboutKey), authorKey(from)]
  }
  const { file, label } = body
  if (!label) return [fileKey(file)]
  const names = new Set([label.EHR_name, label.file_name])
  return [fileKey(file), ...[...names].flatMap((name) => [nameKey(name), userNameKey(label.user_id, name)])]
}

/** A block as far as its facts follow from it. */
type PlainBlock = Pick<Block, 'header' | 'transactions'>

/**
 * A block from the chain file, whose sections were checked against their CIDs when they were read. Genesis has no
 * signature, and none is made up for it.
 */
export function storedBlockFrom(sections: readonly Section[]): Block {
  const last = sections.at(-1)
  const isGenesis = sections.length === 2
  if (last && isGenesis && isHeaderSection(last)) {
    const header = decodeHeader(last.bytes, last.cid)
    if (header.height === 0) return { header, signature: new Uint8Array(0), transactions: [] }
  }
  return blockFromSections(sections, true)
}

/** How the ledger reads the blocks of a network. */
export interface NetworkBlocks extends BlockReader {
  /** What the ledger notes about a block. */
  factsOf(block: PlainBlock): BlockFacts
}

export function createBlockReader({ administrators }: Pick<NetworkParameters, 'administrators'>): NetworkBlocks {
  /** Undefined where all codes are 0 and the state stays as it is, as with the paper's records. */
  function applyOf({ header, transactions }: PlainBlock): BlockFacts['apply'] {
    if (header.height === 0) return administrators ? () => genesisEffects(administrators) : undefined
    if (!administrators && transactions.every(isBareRecord)) return undefined
    return (state) => effectsOf(state, transactions, header)
  }
  const factsOf = (block: PlainBlock): BlockFacts => {
    const { header, transactions } = block
    return {
      id: header.id,
      parent: header.parent,
      height: header.height,
      work: header.height === 0 ? 0n : workOf(header.target),
      time: header.time,
      transactions: transactions.map((transaction) => ({ id: transaction.id, lookups: lookupsOf(transaction) })),
      apply: applyOf(block),
    }
  }
  return {
    isHeader: isHeaderSection,
    describe: (sections) => factsOf(storedBlockFrom(sections)),
    factsOf,
  }
}
