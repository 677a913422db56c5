import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { type BufferImporter, importByteStream } from 'ipfs-unixfs-importer'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { abortable } from './abortable.js'
import { sha256OffThread } from './file-block.js'
import type { StoredFile } from './file-store.js'

/**
 * Takes one block of the DAG; leaves come in the order of the file, up to ten at a time, parents after them. When the
 * promise has resolved, the bytes are used for another block.
 */
export type PutBlock = (cid: CID, bytes: Uint8Array) => Promise<void>

const LEAF_BYTES = 256 * 1024

const encodeLeaf = (content: Uint8Array): Uint8Array =>
  dagPb.encode({ Data: new UnixFS({ type: 'file', data: content }).marshal(), Links: [] })

/** The block of a whole leaf: the same for all of them, but for the content, after which only the size comes. */
const WHOLE_LEAF = encodeLeaf(new Uint8Array(LEAF_BYTES))
const CONTENT_AT = WHOLE_LEAF.length - LEAF_BYTES - 4

/**
 * Cuts a file into the blocks of the profile and hands each to `put`, in constant memory. An error of the source or of
 * `put` comes out unchanged.
 *
 * @throws EmrError `cancelled`
 */
export async function importFile(
  source: AsyncIterable<Uint8Array>,
  put: PutBlock,
  signal?: AbortSignal,
): Promise<StoredFile> {
  let fileSize = 0
  /** Blocks whose leaves are stored, to be filled again. */
  const free: Uint8Array[] = []

  /** Cuts the source into leaves. That of a whole one is content of a block, into which it is written at once. */
  async function* cutLeaves(pieces: AsyncIterable<Uint8Array>) {
    let content = contentOf(free.pop() ?? Uint8Array.from(WHOLE_LEAF))
    let filled = 0
    for await (const piece of pieces) {
      for (let at = 0; at < piece.length; ) {
        const part = piece.subarray(at, at + LEAF_BYTES - filled)
        content.set(part, filled)
        filled += part.length
        fileSize += part.length
        at += part.length
        if (filled < LEAF_BYTES) continue
        yield content
        content = contentOf(free.pop() ?? Uint8Array.from(WHOLE_LEAF))
        filled = 0
      }
    }
    if (filled > 0 || fileSize === 0) yield content.subarray(0, filled)
  }

  /** As the importer's own, but it hashes off the thread, and no leaf is in memory longer than it is being stored. */
  const importLeaves: BufferImporter = async function* (file, blocks) {
    for await (const content of file.content) {
      yield async () => {
        const isWhole = content.length === LEAF_BYTES
        const block = isWhole ? new Uint8Array(content.buffer) : encodeLeaf(content)
        const cid = CID.createV0(Digest.create(0x12, await sha256OffThread(block)))
        await blocks.put(cid, block)
        if (isWhole) free.push(block)
        // Without its bytes: the layout needs only the sizes, and would else hold 174 leaves.
        const unixfs = new UnixFS({ type: 'file', blockSizes: [BigInt(content.length)] })
        return { cid, unixfs, size: BigInt(block.length), block: NO_BYTES }
      }
    }
  }

  const blocks = {
    async put(cid: CID, bytes: unknown) {
      if (!(bytes instanceof Uint8Array)) throw new TypeError('The importer gives blocks as bytes.')
      await put(cid, bytes)
      return cid
    },
  }
  // Kubo's profile for CIDv0: dag-pb leaves of 256 KiB, 174 links, balanced. The importer writes into its options.
  const options = { profile: 'unixfs-v0-2015' as const, chunker: cutLeaves, bufferImporter: importLeaves }
  const { cid, size } = await importByteStream(abortable(source, signal), blocks, options)
  return { cid, size: Number(size), fileSize }
}

const NO_BYTES = new Uint8Array(0)

/** The place of the content in the block of a whole leaf. */
const contentOf = (block: Uint8Array): Uint8Array => block.subarray(CONTENT_AT, CONTENT_AT + LEAF_BYTES)
