import type { CID } from 'multiformats/cid'
import { CHAIN_CID_LENGTH, chainCidAt } from '../protocol/cid.js'
import type { BlockEntry } from './block-entry.js'
import { joinKey, readUint64Key, uint32Key, uint64Key } from './keys.js'
import { indexPrefix } from './layout.js'

/** A block of the main chain, as far as the row of its height says. */
export type MainChainBlock = Pick<BlockEntry, 'id' | 'height' | 'time' | 'offset' | 'length'>

const TIME_AT = 8
const LENGTH_AT = TIME_AT + 8
const ID_AT = LENGTH_AT + 4

export const heightKey = (height: number): Uint8Array => joinKey(indexPrefix.height, uint32Key(height))

export const encodeMainChainBlock = ({ id, time, offset, length }: BlockEntry): Uint8Array =>
  Buffer.concat([uint64Key(offset), uint64Key(time), uint32Key(length), id.bytes])

/** The bytes are ours: the check of the database says so. */
export const decodeMainChainBlock = (height: number, row: Uint8Array): MainChainBlock => ({
  id: idOfMainChainBlock(row),
  height,
  time: readUint64Key(row, TIME_AT),
  offset: readUint64Key(row, 0),
  length: Buffer.from(row.buffer, row.byteOffset, row.length).readUInt32BE(LENGTH_AT),
})

/** The id alone, for those who ask for nothing else. */
export const idOfMainChainBlock = (row: Uint8Array): CID => chainCidAt(row.subarray(0, ID_AT + CHAIN_CID_LENGTH), ID_AT)
