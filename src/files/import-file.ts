import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { type BufferImporter, importByteStream } from 'ipfs-unixfs-importer'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { abortable } from './abortable.js'
import { sha256OffThread } from './file-block.js'
import type { StoredFile } from './file-store.js'

/** Takes one block of the DAG; leaves come in the order of the file, up to ten at a time, parents after them. */
export type PutBlock = (cid: CID, bytes: Uint8Array) => Promise<void>

/** Kubo's profile for CIDv0: dag-pb leaves of 256 KiB, 174 links, balanced. The importer writes into its options. */
const importOptions = () => ({ profile: 'unixfs-v0-2015' as const, bufferImporter: importLeaves })

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
  async function* counted() {
    for await (const chunk of abortable(source, signal)) {
      fileSize += chunk.length
      yield chunk
    }
  }
  const blocks = {
    async put(cid: CID, bytes: unknown) {
      if (!(bytes instanceof Uint8Array)) throw new TypeError('The importer gives blocks as bytes.')
      await put(cid, bytes)
      return cid
    },
  }
  const { cid, size } = await importByteStream(counted(), blocks, importOptions())
  return { cid, size: Number(size), fileSize }
}

/**
 * As the importer's own, but it hashes off the thread and gives each leaf back without its bytes: the layout needs only
 * the sizes, and would else hold 174 leaves in memory.
 */
const importLeaves: BufferImporter = async function* (file, blocks) {
  for await (const content of file.content) {
    yield async () => {
      const block = dagPb.encode({ Data: new UnixFS({ type: 'file', data: content }).marshal(), Links: [] })
      const cid = CID.createV0(Digest.create(0x12, await sha256OffThread(block)))
      await blocks.put(cid, block)
      const unixfs = new UnixFS({ type: 'file', blockSizes: [BigInt(content.length)] })
      return { cid, unixfs, size: BigInt(block.length), block }
    }
  }
}
