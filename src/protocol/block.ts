import type { CID } from 'multiformats/cid'
import type { Signer } from '../crypto/ed25519.js'
import { sha256 } from '../crypto/hash.js'
import { EmrError } from '../errors.js'
import { decodeCanonical, encodeCanonical, equalBytes, isBytes } from './canonical.js'
import { CHAIN_CID_LENGTH, cidOf, isChainCid, isChainLink, isCidOf } from './cid.js'
import { decodeHeader, EMPTY_LIST, type IdentifiedHeader } from './header.js'
import { readPlainSignature } from './header-layout.js'
import type { SignatureClaim } from './signatures-of-others.js'
import { decodeTransaction, type SignedTransaction } from './transaction.js'

const SIGNED_PREFIX = new TextEncoder().encode('emrchain/block/v1')

/** One IPLD block: what a CAR file holds. */
export interface Section {
  readonly cid: CID
  readonly bytes: Uint8Array
}

/** A header and its miner's signature, which is a block of its own and no part of the id. */
export interface SignedHeader {
  readonly header: IdentifiedHeader
  readonly signature: Uint8Array
}

/** A block of the chain with everything in it. */
export interface Block extends SignedHeader {
  readonly transactions: readonly SignedTransaction[]
}

/** The bytes that a miner signs: a prefix of its own and the block's id. */
export function signedHeaderBytes(id: CID): Uint8Array {
  const bytes = new Uint8Array(SIGNED_PREFIX.length + id.bytes.length)
  bytes.set(SIGNED_PREFIX)
  bytes.set(id.bytes, SIGNED_PREFIX.length)
  return bytes
}

/** What a signed header claims of its signature. */
export const headerClaim = ({ header, signature }: SignedHeader): SignatureClaim => ({
  signature,
  message: signedHeaderBytes(header.id),
  key: header.miner,
})

/** Signs a mined header with the key that it names as its miner. */
export const signHeader = (header: IdentifiedHeader, signer: Signer): SignedHeader => ({
  header,
  signature: signer.sign(signedHeaderBytes(header.id)),
})

/** The list that a header links: the ids of the transactions in order. */
export function encodeTransactionList(ids: readonly CID[]): Uint8Array {
  const head = arrayHead(ids.length)
  const bytes = new Uint8Array(head.length + ids.length * (LINK_START.length + CHAIN_CID_LENGTH))
  bytes.set(head)
  let at = head.length
  for (const { bytes: id } of ids) {
    bytes.set(LINK_START, at)
    bytes.set(id, at + LINK_START.length)
    at += LINK_START.length + id.length
  }
  return bytes
}

/** What precedes a CID of the chain in DAG-CBOR: tag 42, a byte string of one byte more, a zero. */
const LINK_START = Uint8Array.of(0xd8, 42, 0x58, CHAIN_CID_LENGTH + 1, 0)

/** The head of a DAG-CBOR array, its length in the shortest form. */
function arrayHead(length: number): Uint8Array {
  if (length < 24) return Uint8Array.of(0x80 + length)
  if (length < 2 ** 8) return Uint8Array.of(0x98, length)
  if (length < 2 ** 16) return Uint8Array.of(0x99, length >> 8, length)
  return Uint8Array.of(0x9a, length >> 24, length >> 16, length >> 8, length)
}

/** What a header's `results` must be for these result codes, one byte each. */
export const hashResults = (codes: Uint8Array): Uint8Array => sha256(codes)

/** A header and its signature as two sections, the signature first. */
export function headerSections({ header, signature }: SignedHeader): Section[] {
  const signatureBytes = encodeCanonical([header.id, signature])
  return [
    { cid: cidOf(signatureBytes), bytes: signatureBytes },
    { cid: header.id, bytes: header.bytes },
  ]
}

/** A block in the order in which it is stored and sent: transactions, list, signature, header. */
export function blockSections(block: Block): Section[] {
  const list = encodeTransactionList(block.transactions.map((transaction) => transaction.id))
  return [
    ...block.transactions.map(({ id, bytes }) => ({ cid: id, bytes })),
    { cid: block.header.transactions, bytes: list },
    ...headerSections(block),
  ]
}

/** Genesis in the order in which it is stored: its empty list and its header. Nobody signed it. */
export const genesisSections = (genesis: IdentifiedHeader): Section[] => [
  { cid: genesis.transactions, bytes: EMPTY_LIST },
  { cid: genesis.id, bytes: genesis.bytes },
]

/**
 * Reads a header and its signature from two sections.
 *
 * @param isChecked whether the sections are known to match their CIDs
 * @throws EmrError `block_malformed`, `header_malformed`, `header_bad_nonce`, `malformed_cbor`, `wrong_cid`
 */
export function signedHeaderFromSections(
  signatureSection: Section,
  headerSection: Section,
  isChecked = false,
): SignedHeader {
  const header = decodeHeader(headerSection.bytes, isChecked ? headerSection.cid : undefined)
  assertNamed(headerSection, header.id)
  const pair = readPlainSignature(signatureSection.bytes) ?? decodeCanonical(signatureSection.bytes)
  if (!isChecked) assertNamed(signatureSection, cidOf(signatureSection.bytes))
  if (!Array.isArray(pair) || pair.length !== 2 || !isChainLink(pair[0]) || !isBytes(pair[1], 64)) {
    throw new EmrError('block_malformed', 'The signature is not a link to a header and 64 bytes.')
  }
  if (!equalBytes(pair[0].bytes, header.id.bytes)) {
    throw new EmrError('block_malformed', 'The signature is of another header.')
  }
  return { header, signature: pair[1] }
}

/**
 * Reads one block from its sections, in order, and checks that they are what the header commits to.
 * A fault of the block itself, which no other sender could mend, is only a malformed transaction or list
 * that the header does commit to; all other errors are about the bytes that were sent.
 *
 * @param isChecked whether the sections are known to match their CIDs
 * @throws EmrError `block_malformed`, `block_wrong_list`, `block_wrong_transactions`, and those of its parts
 */
export function blockFromSections(sections: readonly Section[], isChecked = false): Block {
  const [headerSection, signatureSection, listSection] = [sections.at(-1), sections.at(-2), sections.at(-3)]
  if (!headerSection || !signatureSection || !listSection) {
    throw new EmrError('block_malformed', 'A list, a signature and a header are the least.')
  }
  const signed = signedHeaderFromSections(signatureSection, headerSection, isChecked)
  const bodies = sections.slice(0, -3)
  const named = bodies.map(({ cid }) => cid)
  const isAsListed = named.every(isChainCid) && equalBytes(listSection.bytes, encodeTransactionList(named))
  const ids = isAsListed ? named : decodeTransactionList(listSection.bytes)
  const listId = isChecked ? listSection.cid : cidOf(listSection.bytes)
  if (!equalBytes(listId.bytes, signed.header.transactions.bytes)) {
    throw new EmrError('block_wrong_list')
  }
  assertNamed(listSection, signed.header.transactions)
  if (bodies.length !== ids.length) {
    throw new EmrError('block_wrong_transactions', undefined, { listed: ids.length, present: bodies.length })
  }
  const transactions = bodies.map((section, position) => {
    const listed = ids[position]
    if (!isChecked && !(isChainCid(section.cid) && isCidOf(section.cid, section.bytes))) throw wrongName(section)
    if (!listed || (!isAsListed && !equalBytes(section.cid.bytes, listed.bytes))) {
      throw new EmrError('block_wrong_transactions', undefined, { position })
    }
    return decodeTransaction(section.bytes, section.cid)
  })
  return { ...signed, transactions }
}

/** The ids in a list of transactions. @throws EmrError `block_malformed`, `malformed_cbor` */
export function decodeTransactionList(bytes: Uint8Array): CID[] {
  const ids = decodeCanonical(bytes)
  if (!Array.isArray(ids) || !ids.every(isChainLink)) {
    throw new EmrError('block_malformed', 'The list of transactions holds something else than ids.')
  }
  return ids
}

function assertNamed(section: Section, id: CID): void {
  if (!equalBytes(section.cid.bytes, id.bytes)) throw wrongName(section)
}

const wrongName = ({ cid }: Section): EmrError => new EmrError('wrong_cid', undefined, { cid: cid.toString() })
