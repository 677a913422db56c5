import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { isSha256, sha256 } from '../crypto/hash.js'
import { EmrError } from '../errors.js'
import { bytesText } from './bytes-text.js'

/** Multicodec of DAG-CBOR, DAG-PB and raw blocks, and of SHA-256. */
const DAG_CBOR = 0x71
const DAG_PB = 0x70
const RAW = 0x55
const SHA2_256 = 0x12

/** What the bytes of every CID of the chain begin with: version 1, dag-cbor, sha2-256, 32 bytes. */
const CHAIN_CID_START = [0x01, DAG_CBOR, SHA2_256, 32] as const
/** Length of the CIDs of the chain in bytes. */
export const CHAIN_CID_LENGTH = CHAIN_CID_START.length + 32

/** CIDv1 (dag-cbor, sha2-256) of an encoded block: the name of everything on the chain. */
export const cidOf = (bytes: Uint8Array): CID => cidOfDigest(sha256(bytes))

/** Whether a CID of the chain is that of these bytes. */
export const isCidOf = (cid: CID, bytes: Uint8Array): boolean => isSha256(cid.multihash.digest, bytes)

/** CIDv1 (dag-cbor, sha2-256) for a SHA-256 digest of 32 bytes. */
export function cidOfDigest(digest: Uint8Array): CID {
  const bytes = new Uint8Array(CHAIN_CID_LENGTH)
  bytes.set(CHAIN_CID_START)
  bytes.set(digest, CHAIN_CID_START.length)
  return chainCidAt(bytes, 0)
}

/** The CID of the chain that begins at `offset`, where `isChainCidAt` says that one does. Shares memory with `bytes`. */
export function chainCidAt(bytes: Uint8Array, offset: number): CID {
  const cid = bytes.subarray(offset, offset + CHAIN_CID_LENGTH)
  const multihash = cid.subarray(2)
  return new CID(1, DAG_CBOR, new Digest.Digest(SHA2_256, 32, multihash.subarray(2), multihash), cid)
}

/** Whether a CID of the chain begins at `offset`. Its digest is any 32 bytes. */
export const isChainCidAt = (bytes: Uint8Array, offset: number): boolean =>
  offset + CHAIN_CID_LENGTH <= bytes.length &&
  bytes[offset] === CHAIN_CID_START[0] &&
  bytes[offset + 1] === CHAIN_CID_START[1] &&
  bytes[offset + 2] === CHAIN_CID_START[2] &&
  bytes[offset + 3] === CHAIN_CID_START[3]

/** A short text that stands for the id of a block or transaction in a set: that of its digest. */
export const idKey = (id: CID): string => bytesText(id.multihash.digest)

/** The id that `idKey` gave this text for. */
export const cidOfKey = (key: string): CID => cidOfDigest(Uint8Array.from(key, (character) => character.charCodeAt(0)))

/** Whether `cid` is of the form that blocks of the chain have: CIDv1, dag-cbor, sha2-256. */
export const isChainCid = (cid: CID): boolean =>
  cid.version === 1 && cid.code === DAG_CBOR && cid.multihash.code === SHA2_256 && cid.multihash.digest.length === 32

/** Whether `value` is a CID link as decoded from DAG-CBOR, of the form that blocks of the chain have. */
export function isChainLink(value: unknown): value is CID {
  const cid = CID.asCID(value)
  return cid !== null && isChainCid(cid)
}

/** The 64 hexadecimal digits of a CID's digest: how the paper's API writes block hashes. */
export const cidToHex = (cid: CID): string => bytesToHex(cid.multihash.digest)

/**
 * A block or transaction id from text: its CID, or the 64 hexadecimal digits of its digest.
 *
 * @throws EmrError `malformed_cid`
 */
export function parseChainId(text: string): CID {
  if (/^[0-9a-f]{64}$/i.test(text)) return cidOfDigest(hexToBytes(text.toLowerCase()))
  const cid = parse(() => CID.parse(text))
  if (!isChainCid(cid)) throw new EmrError('malformed_cid', 'Blocks and transactions have CIDv1, dag-cbor, sha2-256.')
  return cid
}

/**
 * The CID of a file from text: CIDv0, or CIDv1 of dag-pb or raw, with SHA-256.
 *
 * @throws EmrError `malformed_cid`
 */
export const parseFileCid = (text: string): CID => fileCid(parse(() => CID.parse(text)))

/** The CID of a file from the bytes in a transaction. @throws EmrError `malformed_cid` */
export const decodeFileCid = (bytes: Uint8Array): CID => fileCid(parse(() => CID.decode(bytes)))

function fileCid(cid: CID): CID {
  const known = (cid.code === DAG_PB || cid.code === RAW) && cid.multihash.code === SHA2_256
  if (!known || cid.multihash.digest.length !== 32) {
    throw new EmrError('malformed_cid', 'Files have CIDs of dag-pb or raw with SHA-256.')
  }
  return cid
}

function parse(read: () => CID): CID {
  try {
    return read()
  } catch (cause) {
    throw new EmrError('malformed_cid', undefined, {}, { cause })
  }
}
