import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { sha256 } from '../crypto/hash.js'
import { EmrError } from '../errors.js'

/** Multicodec of DAG-CBOR, DAG-PB and raw blocks, and of SHA-256. */
const DAG_CBOR = 0x71
const DAG_PB = 0x70
const RAW = 0x55
const SHA2_256 = 0x12

/** CIDv1 (dag-cbor, sha2-256) of an encoded block: the name of everything on the chain. */
export const cidOf = (bytes: Uint8Array): CID => cidOfDigest(sha256(bytes))

/** CIDv1 (dag-cbor, sha2-256) for a SHA-256 digest of 32 bytes. */
export const cidOfDigest = (digest: Uint8Array): CID => CID.createV1(DAG_CBOR, Digest.create(SHA2_256, digest))

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
