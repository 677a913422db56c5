import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { type Block, encodeTransactionList, type SignedHeader } from './block.js'
import { equalBytes } from './canonical.js'
import { cidOf, cidOfDigest, idKey } from './cid.js'
import { decodeHeader } from './header.js'
import { type AnnouncedBlock, MAX_ANNOUNCED_IDS } from './peer-messages.js'

/** A block as it is announced: its header, and the ids of its transactions where they are not too many. */
export function announcedBlock({ header, signature, transactions }: Block): AnnouncedBlock {
  const signed = { header: bytesToHex(header.bytes), signature: bytesToHex(signature) }
  if (transactions.length > MAX_ANNOUNCED_IDS) return signed
  return { ...signed, transactions: btoa(transactions.map(({ id }) => idKey(id)).join('')) }
}

/**
 * Reads a block as it was announced. Neither its work nor its signature is checked.
 *
 * @throws EmrError those of `decodeHeader`, and `block_wrong_list` where the ids are not the ones that the header
 * commits to
 */
export function readAnnouncedBlock(announced: AnnouncedBlock): SignedHeader & { ids: CID[] | undefined } {
  const header = decodeHeader(hexToBytes(announced.header))
  const ids = announced.transactions === undefined ? undefined : readIds(announced.transactions)
  if (ids && !equalBytes(cidOf(encodeTransactionList(ids)).bytes, header.transactions.bytes)) {
    throw new EmrError('block_wrong_list')
  }
  return { header, signature: hexToBytes(announced.signature), ids }
}

const DIGEST_LENGTH = 32

function readIds(base64: string): CID[] {
  let text: string
  try {
    text = atob(base64)
  } catch (cause) {
    throw new EmrError('block_wrong_list', 'It is not base64.', {}, { cause })
  }
  if (text.length % DIGEST_LENGTH !== 0) throw new EmrError('block_wrong_list', 'An id is cut off.')
  const digests = new Uint8Array(text.length)
  for (let at = 0; at < text.length; at++) digests[at] = text.charCodeAt(at)
  return Array.from({ length: digests.length / DIGEST_LENGTH }, (_, at) =>
    cidOfDigest(digests.subarray(at * DIGEST_LENGTH, (at + 1) * DIGEST_LENGTH)),
  )
}
