import { asyncIterableReader, readBlockHead, readHeader } from '@ipld/car/decoder'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../errors.js'
import { abortable } from './abortable.js'
import { blockKey, MAX_BLOCK_BYTES, matchesCid, normalCid } from './file-block.js'
import { checkPlace, decodeFileNode, type PendingLink } from './file-node.js'
import type { ImportLimits } from './file-store.js'

export interface VerifiedBlock {
  readonly cid: CID
  readonly bytes: Uint8Array
}

type Reader = ReturnType<typeof asyncIterableReader>

/** A header of one root is 58 to 61 bytes; a section's CID is at most 38. */
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
  { maxBytes = Number.MAX_SAFE_INTEGER, signal }: ImportLimits = {},
): AsyncGenerator<VerifiedBlock, void, undefined> {
  const seen = new Set<string>()
  const pending: PendingLink[] = [{ cid: root, fileSize: undefined, depth: 0 }]
  const isSeen = (link: PendingLink) => seen.has(blockKey(link.cid))
  for await (const { cid, bytes } of carSections(root, limited(abortable(source, signal), maxBytes))) {
    let link = pending.pop()
    while (link && isSeen(link) && !sameCid(cid, link.cid)) link = pending.pop()
    if (!link || !sameCid(cid, link.cid)) throw new EmrError('car_foreign_block')
    if (!(await matchesCid(cid, bytes))) throw new EmrError('wrong_cid')
    const node = decodeFileNode(cid, bytes)
    checkPlace(link, node)
    if (node.fileSize > maxBytes) throw tooLarge(maxBytes)
    for (const child of node.children.toReversed()) pending.push({ ...child, depth: link.depth + 1 })
    if (seen.has(blockKey(cid))) continue
    seen.add(blockKey(cid))
    yield { cid, bytes }
  }
  if (!pending.every(isSeen)) throw new EmrError('car_incomplete')
}

/** The sections of a CARv1 whose only root is `root`, blocks not yet checked. */
async function* carSections(root: CID, source: AsyncIterable<Uint8Array>): AsyncGenerator<VerifiedBlock> {
  const iterator = source[Symbol.asyncIterator]()
  let sourceError: unknown
  let sourceEnded = false
  const reader = bounded(
    asyncIterableReader({
      [Symbol.asyncIterator]: () => ({
        async next() {
          try {
            const next = await iterator.next()
            if (next.done) sourceEnded = true
            return next
          } catch (error) {
            sourceError = error
            throw error
          }
        },
      }),
    }),
  )
  try {
    const { roots } = await readHeader(reader, 1)
    if (roots.length !== 1 || !sameCid(root, roots[0])) throw new EmrError('car_foreign_block')
    while ((await reader.upTo(8)).length > 0) {
      const { cid, blockLength } = await readBlockHead(reader)
      if (blockLength < 0 || blockLength > MAX_BLOCK_BYTES) throw new EmrError('malformed_car')
      yield { cid, bytes: await reader.exactly(blockLength, true) }
    }
  } catch (cause) {
    if (cause instanceof EmrError || (sourceError !== undefined && cause === sourceError)) throw cause
    throw new EmrError(sourceEnded ? 'car_incomplete' : 'malformed_car', undefined, {}, { cause })
  } finally {
    await iterator.return?.()
  }
}

/** The reader, but lengths that the sender writes cannot make it gather more than a block. */
function bounded(reader: Reader): Reader {
  let limit = MAX_HEADER_BYTES
  return {
    upTo: (length) => reader.upTo(length),
    async exactly(length, seek) {
      if (!(length <= limit)) throw new EmrError('malformed_car', 'A length is out of range.')
      limit = MAX_BLOCK_BYTES
      return reader.exactly(length, seek)
    },
    seek: (length) => reader.seek(length),
    get pos() {
      return reader.pos
    },
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
