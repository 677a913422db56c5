import * as dagPb from '@ipld/dag-pb'
import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { sha256OffThread } from './file-block.js'

/**
 * Takes one block of the DAG; leaves come about in the order of the file, some at a time, parents after them. When the
 * promise has resolved, the bytes are used for another block.
 */
export type PutBlock = (cid: CID, bytes: Uint8Array) => Promise<void>

/** A node of the file and what is under it: bytes of the file, and of all blocks. */
export interface TreeNode {
  readonly cid: CID
  readonly fileSize: number
  readonly size: number
}

/** The layout of a file over its leaves: balanced, as many links in a node as Kubo's profile for CIDv0 has. */
export interface FileTree {
  /** The next leaf, which is stored already. */
  add(leaf: TreeNode): Promise<void>
  /** The root, when all leaves are in; there must be one at least. */
  end(): Promise<TreeNode>
}

const LINKS = 174

/**
 * Parents go to `put` as soon as they are full. A node whose children are all there before the next leaf comes is kept
 * only as a link: the memory is that of one node on each level.
 */
export function createFileTree(put: PutBlock): FileTree {
  /** Of each level, lowest first, the nodes that have no parent yet. */
  const levels: TreeNode[][] = []

  async function place(level: number, node: TreeNode): Promise<void> {
    levels[level] ??= []
    const nodes = levels[level]
    nodes.push(node)
    if (nodes.length === LINKS) await close(level)
  }

  async function close(level: number): Promise<void> {
    const children = levels[level]?.splice(0) ?? []
    const bytes = encodeParent(children)
    const cid = await cidV0Of(bytes)
    await put(cid, bytes)
    const size = children.reduce((sum, child) => sum + child.size, bytes.length)
    await place(level + 1, { cid, fileSize: fileSizeOf(children), size })
  }

  return {
    add: (leaf) => place(0, leaf),
    async end() {
      for (let level = 0; ; level++) {
        const nodes = levels[level] ?? []
        const [node] = nodes
        if (node && nodes.length === 1 && level === levels.length - 1) return node
        if (level >= levels.length) throw new RangeError('A file has one leaf at least.')
        if (node) await close(level)
      }
    },
  }
}

/** A dag-pb block over content of a file; empty content has a block too. */
export const encodeLeaf = (content: Uint8Array): Uint8Array => encodeNode({ content, fileSize: content.length }, [])

/** A dag-pb block that links nodes, in the order of the file. */
export const encodeParent = (children: readonly TreeNode[]): Uint8Array =>
  encodeNode({ blockSizes: children.map(({ fileSize }) => fileSize), fileSize: fileSizeOf(children) }, children)

export const cidV0Of = async (block: Uint8Array): Promise<CID> =>
  CID.createV0(Digest.create(0x12, await sha256OffThread(block)))

const fileSizeOf = (children: readonly TreeNode[]): number => children.reduce((sum, child) => sum + child.fileSize, 0)

function encodeNode(unixfs: UnixFsFile, children: readonly TreeNode[]): Uint8Array {
  const Links = children.map(({ cid, size }) => dagPb.createLink('', size, cid))
  return dagPb.encode({ Data: encodeUnixFs(unixfs), Links })
}

interface UnixFsFile {
  readonly content?: Uint8Array
  readonly fileSize: number
  readonly blockSizes?: readonly number[]
}

/** Keys of the fields that are written, number and wire type. */
const [TYPE, DATA, FILE_SIZE, BLOCK_SIZES] = [0x08, 0x12, 0x18, 0x20]
const FILE = 2

/**
 * The message of UnixFS (specs.ipfs.tech/unixfs), for a file. Written here, since protons-runtime, up to 8.0.1, writes a
 * size from 2^31 to 2^32 - 1 as one byte of it and four bytes of whatever was in memory before.
 */
function encodeUnixFs({ content, fileSize, blockSizes = [] }: UnixFsFile): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(TYPE, FILE)]
  if (content && content.length > 0) parts.push(Uint8Array.of(DATA), varintOf(content.length), content)
  parts.push(Uint8Array.of(FILE_SIZE), varintOf(fileSize))
  for (const size of blockSizes) parts.push(Uint8Array.of(BLOCK_SIZES), varintOf(size))
  return Buffer.concat(parts)
}

const varintOf = (value: number): Uint8Array => varint.encodeTo(value, new Uint8Array(varint.encodingLength(value)))
