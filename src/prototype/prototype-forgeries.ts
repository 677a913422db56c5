import { prototypeBlockHash } from './check-prototype-rules.js'
import { prototypeNonce } from './prototype-puzzle.js'
import type { PrototypeBlock } from './read-prototype-chain.js'

export type PrototypeBlocks = readonly [PrototypeBlock, ...PrototypeBlock[]]

/** A record that nobody made, in the form of the prototype. */
const forgedRecord = { EHR_name: 'forged', ipfs_hash: 'QmForged', user_id: 'forged' }

const newestOf = (blocks: PrototypeBlocks): PrototypeBlock => blocks.at(-1) ?? blocks[0]

const withRecord = (block: PrototypeBlock, record: object): PrototypeBlock => ({
  ...block,
  transactions: [...block.transactions, record],
})

const addToNewest = (blocks: PrototypeBlocks, record: object): PrototypeBlocks => {
  const [genesis, ...others] = blocks
  const changed = withRecord(newestOf(blocks), record)
  return others.length === 0 ? [changed] : [genesis, ...others.slice(0, -1), changed]
}

/** The same blocks with every `previous_hash` set to what the block before now hashes to. The nonces stay. */
const relink = ([genesis, ...others]: PrototypeBlocks): PrototypeBlocks => {
  const linked: [PrototypeBlock, ...PrototypeBlock[]] = [genesis]
  let before = genesis
  for (const block of others) {
    before = { ...block, previous_hash: prototypeBlockHash(before) }
    linked.push(before)
  }
  return linked
}

/** The user of the first record that names one. */
export const firstUserOf = (blocks: PrototypeBlocks): string | undefined => {
  const records: readonly unknown[] = blocks.flatMap((block) => block.transactions)
  for (const record of records) {
    if (typeof record === 'object' && record !== null && 'user_id' in record && typeof record.user_id === 'string') {
      return record.user_id
    }
  }
  return undefined
}

/** Adds a record to the newest block, which no other block names. */
export const forgeNewestBlock = (blocks: PrototypeBlocks): PrototypeBlocks => addToNewest(blocks, forgedRecord)

/** Adds a record in the name of a user of the chain to the newest block. */
export const forgeUser = (blocks: PrototypeBlocks): PrototypeBlocks =>
  addToNewest(blocks, { ...forgedRecord, user_id: firstUserOf(blocks) ?? forgedRecord.user_id })

/** Puts another first block in front of the rest, which is linked anew. */
export const forgeGenesis = ([genesis, ...others]: PrototypeBlocks): PrototypeBlocks =>
  relink([{ ...genesis, previous_hash: 'any', timestamp: '1970-01-01 00:00:00.000001' }, ...others])

/** Adds a record to the first block and links all blocks anew; no nonce is searched. */
export const forgeHistory = ([genesis, ...others]: PrototypeBlocks): PrototypeBlocks =>
  relink([withRecord(genesis, forgedRecord), ...others])

/** `forgeHistory`, and one block more, for which a nonce is searched. */
export const forgeLongerChain = (blocks: PrototypeBlocks): PrototypeBlocks => {
  const newest = newestOf(blocks)
  const added = { ...newest, index: newest.index + 1, nonce: prototypeNonce(newest.nonce) }
  const [genesis, ...others] = forgeHistory(blocks)
  return relink([genesis, ...others, added])
}
