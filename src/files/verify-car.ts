import { readBlockHead, readHeader } from '@ipld/car/decoder'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import { abortable } from './abortable.js'
import type { BlockBuffers } from './block-buffers.js'
import { blockKey, isBlockOf, MAX_BLOCK_BYTES, normalCid } from './file-block.js'
import { checkPlace, decodeFileNode, type PendingLink } from './file-node.js'
import type { ImportLimits } from './file-store.js'
import { createPieceReader } from './piece-reader.js'

export interface VerifiedBlock {
  readonly cid: CID
  /** In memory of `buffers`, and the consumer's until it gives it back; without them in memory of its own. */
  readonly bytes: Uint8Array
}

export interface VerifyLimits extends ImportLimits {
  /** Where the blocks come to lie, for a consumer that gives them back. */
  readonly buffers?: BlockBuffers | undefined
}

/** A header of one root is 58 to 61 bytes; a section's CID is at most 38. Nothing else is gathered from pieces. */
const MAX_HEADER_BYTES = 1024

/**
 * The blocks of the file `root` from a CARv1 of which nothing is believed, each once, in the order of the CAR, the root
 * first. Each block must be the next one of the file depth first, so that a foreign block is met before anything is
 * kept of it, and memory stays bounded whatever the sender writes. Repeated blocks (`dups=y`) are passed over. The file
 * is complete when the generator ends without an error. An error of the source comes out unchanged.
 *
 * @throws EmrError `malformed_car`, `wrong_cid`, `car_foreign_block`, `car_incomplete`, `not_a_file`,
 * `file_too_large`, `cancelled`
 */
export async function* verifyCar(
  root: CID,
  source: AsyncIterable<Uint8Array>,
  { maxBytes = Number.MAX_SAFE_INTEGER, signal, buffers }: VerifyLimits = {},
): AsyncGenerator<VerifiedBlock, void, undefined> {
  const seen = new Set<string>()
  const pending: PendingLink[] = [{ cid: root, fileSize: undefined, depth: 0 }]
  const isSeen = (link: PendingLink) => seen.has(blockKey(link.cid))
  for await (const { cid, bytes } of carSections(root, limited(abortable(source, signal), maxBytes), buffers)) {
    let link = pending.pop()
    while (link && isSeen(link) && !sameCid(cid, link.cid)) link = pending.pop()
    if (!link || !sameCid(cid, link.cid)) throw new EmrError('car_foreign_block')
    if (!isBlockOf(cid, bytes)) throw new EmrError('wrong_cid')
    const node = decodeFileNode(cid, bytes)
    checkPlace(link, node)
    if (node.fileSize > maxBytes) throw tooLarge(maxBytes)
    for (const child of node.children.toReversed()) pending.push({ ...child, depth: link.depth + 1 })
    if (seen.has(blockKey(cid))) {
      buffers?.giveBack(bytes)
      continue
    }
    seen.add(blockKey(cid))
    yield { cid, bytes }
  }
  if (!pending.every(isSeen)) throw new EmrError('car_incomplete')
}

/** The sections of a CARv1 whose only root is `root`, blocks not yet checked. */
async function* carSections(
  root: CID,
  source: AsyncIterable<Uint8Array>,
  buffers: BlockBuffers | undefined,
): AsyncGenerator<VerifiedBlock> {
  const pieces = source[Symbol.asyncIterator]()
  const reader = createPieceReader(pieces, MAX_HEADER_BYTES)
  try {
    const { roots } = await readHeader(reader, 1)
    if (roots.length !== 1 || !sameCid(root, roots[0])) throw new EmrError('car_foreign_block')
    while ((await reader.upTo(8)).length > 0) {
      const { cid, blockLength } = await readBlockHead(reader)
      if (blockLength < 0 || blockLength > MAX_BLOCK_BYTES) throw new EmrError('malformed_car')
      const bytes = buffers?.take(blockLength) ?? Buffer.allocUnsafeSlow(blockLength)
      await reader.fill(bytes)
      yield { cid, bytes }
    }
  } catch (cause) {
    if (cause instanceof EmrError || reader.source === 'failed') throw cause
    throw new EmrError(reader.source === 'ended' ? 'car_incomplete' : 'malformed_car', undefined, {}, { cause })
  } finally {
    await pieces.return?.()
  }
}

async function* limited(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    yield chunk
  }
}

const tooLarge = (limit: number): EmrError => new EmrError('file_too_large', undefined, { limit })

/** Whether two CIDs name one block in one way; CIDs of unsupported form equal none. */
function sameCid(cid: CID, other: CID | undefined): boolean {
  if (!other) return false
  try {
    return normalCid(cid).equals(normalCid(other))
  } catch (error) {
    if (isEmrError(error, 'malformed_cid')) return false
    throw error
  }
}
