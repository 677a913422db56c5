/** Small chain blocks with real headers, and a ledger that understands them. The rest of a block is as short as can be. */
import { cp, stat } from 'node:fs/promises'
import { decode, encode } from '@ipld/dag-cbor'
import type { BlockEntry, BlockFacts } from '#emrchain/ledger/block-entry.js'
import { type Ledger, type LedgerOptions, openLedger } from '#emrchain/ledger/ledger.js'
import { genesisSections, type Section } from '#emrchain/protocol/block.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { decodeHeader, encodeHeader, genesisHeader, HEADER_LENGTH } from '#emrchain/protocol/header.js'
import { paperNetwork, parseNetworkFile } from '#emrchain/protocol/network-parameters.js'
import { isLong } from './cut-anywhere.js'

export const network = parseNetworkFile(paperNetwork)
export const parametersBlock: Section = { cid: network.cid, bytes: network.bytes }

export const toSection = (value: unknown): Section => {
  const bytes = encode(value)
  return { cid: cidOf(bytes), bytes }
}

/** A record; `note` tells two of one name apart, `padding` makes it longer by so many bytes and a few. */
export const record = (name: string, user = 'ann', note = 0, padding = 0): Section =>
  toSection({ name, user, note, ...(padding > 0 && { padding: new Uint8Array(padding) }) })

export interface ExampleBlock {
  readonly sections: readonly Section[]
  readonly facts: BlockFacts
}

const text = (value: string): Uint8Array => Buffer.from(value)
export const byName = (name: string) => ({ namespace: 'name', key: text(name) })
export const byUser = (user: string, name: string) => ({ namespace: 'user', key: text(`${user}/${name}`) })

/** Work of an example block stands in its nonce. */
const describe = (sections: readonly Section[]): BlockFacts => {
  const last = sections.at(-1)
  if (!last) throw new Error('no header')
  const header = decodeHeader(last.bytes)
  const records = sections.slice(0, header.height === 0 ? -2 : -3)
  return {
    id: header.id,
    parent: header.parent,
    height: header.height,
    work: BigInt(header.nonce),
    time: header.time,
    transactions: records.map(({ cid, bytes }) => {
      const { name, user } = decode<{ name: string; user: string }>(bytes)
      return { id: cid, lookups: [byName(name), byUser(user, name)] }
    }),
  }
}

const genesisList = genesisSections(genesisHeader(network, new Uint8Array(32)))
export const genesis: ExampleBlock = { sections: genesisList, facts: describe(genesisList) }

/** A child of `parent` with these transactions. */
export const child = (parent: ExampleBlock, transactions: readonly Section[] = [], work = 1): ExampleBlock => {
  const list = toSection(transactions.map(({ cid }) => cid))
  const bytes = encodeHeader({
    version: 1,
    height: parent.facts.height + 1,
    parent: parent.facts.id,
    transactions: list.cid,
    results: new Uint8Array(32),
    time: parent.facts.time + 1,
    target: network.target,
    miner: new Uint8Array(32),
    nonce: work,
  })
  const id = cidOf(bytes)
  const sections = [...transactions, list, toSection([id, new Uint8Array(64)]), { cid: id, bytes }]
  return { sections, facts: describe(sections) }
}

const isLower = (a: BlockEntry, b: BlockEntry): boolean =>
  Buffer.compare(a.id.multihash.digest, b.id.multihash.digest) < 0

export const rules: LedgerOptions = {
  parametersBlock,
  genesis: genesis.sections,
  isHeader: ({ bytes }) => bytes.length === HEADER_LENGTH && bytes[0] === 0x89,
  describe,
  prefer: (a, b) => (a.totalWork === b.totalWork ? isLower(a, b) : a.totalWork > b.totalWork),
}

export const openExample = (folder: string, changes: Partial<LedgerOptions> = {}): Promise<Ledger> =>
  openLedger(folder, { ...rules, ...changes })

/** Appends blocks one by one and makes the last one the tip. */
export const extend = async (ledger: Ledger, blocks: readonly ExampleBlock[]): Promise<void> => {
  for (const { sections, facts } of blocks) {
    await ledger.appendBlock(sections)
    await ledger.moveTip(facts.id)
  }
}

/** A straight chain on `from`; each block holds so many records called after its height, each so much longer. */
export const straightChain = (
  length: number,
  from: ExampleBlock = genesis,
  mark = 'r',
  records = 1,
  padding = 0,
): ExampleBlock[] => {
  const blocks: ExampleBlock[] = []
  for (let parent = from; blocks.length < length; ) {
    const name = `${mark}${parent.facts.height + 1}`
    parent = child(
      parent,
      Array.from({ length: records }, (_, note) => record(name, 'ann', note, padding)),
    )
    blocks.push(parent)
  }
  return blocks
}

/** The last two blocks have 64 KiB in the long form: some records, so that each opening stays short. */
const LAST_BLOCKS = isLong ? { records: 20, padding: 1600 } : { records: 1, padding: 0 }
const firstBlocks = straightChain(3)
/** A chain of five blocks, and the ids of all of it, genesis first. */
export const blocks = [
  ...firstBlocks,
  ...straightChain(2, firstBlocks.at(-1), 'r', LAST_BLOCKS.records, LAST_BLOCKS.padding),
]
export const all = [genesis, ...blocks].map(({ facts }) => facts.id.toString())

export const sizeOf = async (path: string): Promise<number> => (await stat(path)).size

export const copyFolder = (from: string, to: string): Promise<void> => cp(from, to, { recursive: true })

/** Ids of the main chain, genesis first, every block read and checked. */
export const readMainChain = async (ledger: Ledger): Promise<string[]> => {
  const ids: string[] = []
  for (let height = 0; height <= ledger.tip().height; height++) {
    const entry = ledger.blockAt(height)
    if (!entry) throw new Error(`there is a hole at height ${height}`)
    await ledger.readBlockSections(entry.id)
    ids.push(entry.id.toString())
  }
  return ids
}

export const idsOf = (blocks: readonly ExampleBlock[]): string[] => blocks.map(({ facts }) => facts.id.toString())

/** Makes a folder, acknowledges `blocks` in it and closes it. @returns where each block ends in the chain file, genesis first */
export const makeAcknowledged = async (folder: string, blocks: readonly ExampleBlock[]): Promise<number[]> => {
  const ledger = await openExample(folder)
  await extend(ledger, blocks)
  const ends = [genesis, ...blocks].map(({ facts }) => {
    const entry = ledger.block(facts.id)
    return entry ? entry.offset + entry.length : 0
  })
  await ledger.close()
  return ends
}
