import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { type Block, encodeTransactionList, type SignedHeader } from './block.js'
import { equalBytes } from './canonical.js'
import { cidOf, parseChainId } from './cid.js'
import { decodeHeader } from './header.js'
import { type AnnouncedBlock, MAX_ANNOUNCED } from './peer-messages.js'

/** A block as it is announced: its header, and the ids of its transactions where they are not too many. */
export function announcedBlock({ header, signature, transactions }: Block): AnnouncedBlock {
  const signed = { header: bytesToHex(header.bytes), signature: bytesToHex(signature) }
  if (transactions.length > MAX_ANNOUNCED) return signed
  return { ...signed, transactions: transactions.map(({ id }) => id.toString()) }
}

/**
 * Reads a block as it was announced. Neither its work nor its signature is checked.
 *
 * @throws EmrError those of `decodeHeader`, `malformed_cid`, and `block_wrong_list` where the ids are not the
 * ones that the header commits to
 */
export function readAnnouncedBlock(announced: AnnouncedBlock): SignedHeader & { ids: CID[] | undefined } {
  const header = decodeHeader(hexToBytes(announced.header))
  const ids = announced.transactions?.map(parseChainId)
  if (ids && !equalBytes(cidOf(encodeTransactionList(ids)).bytes, header.transactions.bytes)) {
    throw new EmrError('block_wrong_list')
  }
  return { header, signature: hexToBytes(announced.signature), ids }
}
