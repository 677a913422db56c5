import { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { decodeCanonical, encodeCanonical, isBytes } from './canonical.js'
import { cidOf, isChainLink } from './cid.js'
import { compactToBytes } from './compact-target.js'
import { readPlainHeader } from './header-layout.js'
import type { NetworkParameters } from './network-parameters.js'

/** Length of every header in bytes: all fields have a fixed width, so the nonce stands at one place. */
export const HEADER_LENGTH = 180
/** Offset of the nonce, the last eight bytes: words 11 and 12 of the last of three SHA-256 compressions. */
export const NONCE_OFFSET = 172
/** Nonces stay below 2^48, so that JSON shows them as exact integers. */
export const MAX_NONCE = 2 ** 48 - 1

/** What a block commits to. docs/protocol.md, "Header". */
export interface Header {
  readonly version: number
  /** 0 for genesis. The paper's `index` is one more. */
  readonly height: number
  /** Id of the parent; for genesis the CID of the network parameters. */
  readonly parent: CID
  /** CID of the list of transaction ids. */
  readonly transactions: CID
  /** SHA-256 of the result codes of the transactions, one byte each. */
  readonly results: Uint8Array
  /** Milliseconds since 1970, UTC. */
  readonly time: number
  /** Compact target. */
  readonly target: number
  /** Ed25519 public key of the miner. */
  readonly miner: Uint8Array
  readonly nonce: number
}

/** A header with its bytes and its id, the CID of those bytes, whose digest is the proof-of-work hash. */
export interface IdentifiedHeader extends Header {
  readonly id: CID
  readonly bytes: Uint8Array
}

export function encodeHeader(header: Header): Uint8Array {
  const bytes = encodeCanonical([
    header.version,
    integerBytes(header.height, 4),
    header.parent,
    header.transactions,
    header.results,
    integerBytes(header.time, 8),
    compactToBytes(header.target),
    header.miner,
    integerBytes(header.nonce, 8),
  ])
  if (bytes.length !== HEADER_LENGTH) throw new EmrError('header_malformed', undefined, { length: bytes.length })
  return bytes
}

/**
 * Reads a header strictly.
 *
 * @param id the CID of the bytes, if it has been computed
 * @throws EmrError `header_malformed`, `header_bad_nonce`, `malformed_cbor`
 */
export function decodeHeader(bytes: Uint8Array, id?: CID): IdentifiedHeader {
  if (bytes.length !== HEADER_LENGTH) throw new EmrError('header_malformed', undefined, { length: bytes.length })
  const fields = readPlainHeader(bytes) ?? decodeCanonical(bytes)
  if (!Array.isArray(fields) || fields.length !== 9) throw new EmrError('header_malformed', 'It has nine fields.')
  const [version, height, parent, transactions, results, time, target, miner, nonce] = fields as unknown[]
  if (
    typeof version !== 'number' ||
    !Number.isInteger(version) ||
    version < 0 ||
    !isBytes(height, 4) ||
    !isChainLink(parent) ||
    !isChainLink(transactions) ||
    !isBytes(results, 32) ||
    !isBytes(time, 8) ||
    !isBytes(target, 4) ||
    !isBytes(miner, 32) ||
    !isBytes(nonce, 8)
  ) {
    throw new EmrError('header_malformed', 'A field is of another type or length.')
  }
  if (nonce[0] !== 0 || nonce[1] !== 0) throw new EmrError('header_bad_nonce')
  return {
    version,
    height: integerFromBytes(height),
    parent: CID.asCID(parent) ?? parent,
    transactions: CID.asCID(transactions) ?? transactions,
    results,
    time: integerFromBytes(time),
    target: integerFromBytes(target),
    miner,
    nonce: integerFromBytes(nonce),
    id: id ?? cidOf(bytes),
    bytes,
  }
}

/** The list of no transactions: its bytes and CID. Genesis links it, and so do blocks that were mined empty. */
export const EMPTY_LIST = encodeCanonical([])

/** The header of the first block, which the parameters of the network fix. It has no work and no signature. */
export function genesisHeader(network: NetworkParameters, emptyResults: Uint8Array): IdentifiedHeader {
  const bytes = encodeHeader({
    version: network.version,
    height: 0,
    parent: network.cid,
    transactions: cidOf(EMPTY_LIST),
    results: emptyResults,
    time: network.genesisTime,
    target: network.target,
    miner: new Uint8Array(32),
    nonce: 0,
  })
  return decodeHeader(bytes)
}

function integerBytes(value: number, length: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 256 ** length) {
    throw new EmrError('header_malformed', 'A number does not fit its field.')
  }
  const bytes = new Uint8Array(length)
  for (let i = length - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
  return bytes
}

function integerFromBytes(bytes: Uint8Array): number {
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  if (!Number.isSafeInteger(value)) throw new EmrError('header_malformed', 'A number is over 2^53.')
  return value
}
