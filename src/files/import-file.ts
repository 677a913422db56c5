import { abortable } from './abortable.js'
import type { StoredFile } from './file-store.js'
import { cidV0Of, createFileTree, encodeLeaf, type PutBlock, type TreeNode } from './file-tree.js'
import { runAhead } from './run-ahead.js'

const LEAF_BYTES = 256 * 1024
/** Leaves that are hashed and stored at the same time: 4 MiB. */
const LEAVES_AT_ONCE = 16

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

  async function importLeaf(content: Uint8Array): Promise<TreeNode> {
    const isWhole = content.length === LEAF_BYTES
    const block = isWhole ? new Uint8Array(content.buffer) : encodeLeaf(content)
    const cid = await cidV0Of(block)
    await put(cid, block)
    if (isWhole) free.push(block)
    return { cid, fileSize: content.length, size: block.length }
  }

  const tree = createFileTree(put)
  // Hashing and storing go on while the source is read.
  for await (const leaf of runAhead(cutLeaves(abortable(source, signal)), LEAVES_AT_ONCE, importLeaf)) {
    await tree.add(await leaf())
  }
  const { cid, size } = await tree.end()
  return { cid, size, fileSize }
}

/** The place of the content in the block of a whole leaf. */
const contentOf = (block: Uint8Array): Uint8Array => block.subarray(CONTENT_AT, CONTENT_AT + LEAF_BYTES)
