import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import { isRaw, normalCid } from './file-block.js'
import type { StoredFile } from './file-store.js'

/** A part of a file that a node links: its CID as the node writes it, and its bytes as the node declares them. */
export interface FileLink {
  readonly cid: CID
  readonly fileSize: number
}

/** A link on the way through a file: what its parent declares, nothing for the root. */
export interface PendingLink {
  readonly cid: CID
  readonly fileSize: number | undefined
  readonly depth: number
}

/** A balanced DAG of 8 levels holds more than any disk; more levels only serve to keep a reader busy. */
const MAX_DEPTH = 64

/** A block of a file: its own bytes come first, then those of its children in order. */
export interface FileNode {
  /** A view of the block; the links are not. */
  readonly content: Uint8Array
  readonly children: readonly FileLink[]
  readonly fileSize: number
  /** Bytes of the DAG under this node, as its links declare them. */
  readonly size: number
}

/**
 * Reads a block that was checked against its CID as a node of a UnixFS file. Strict where a lenient reader could be
 * made to return too little or to run for ever: sizes and links must agree, and no child may be empty.
 *
 * @throws EmrError `not_a_file`
 */
export function decodeFileNode(cid: CID, bytes: Uint8Array): FileNode {
  if (isRaw(cid)) return { content: bytes, children: [], fileSize: bytes.length, size: bytes.length }
  try {
    const { Data, Links } = dagPb.decode(bytes)
    if (!Data) throw notAFile('A node has no data.')
    const unixfs = UnixFS.unmarshal(Data)
    if (unixfs.type !== 'file' && unixfs.type !== 'raw') throw notAFile(`It is a ${unixfs.type}.`)
    if (unixfs.blockSizes.length !== Links.length) throw notAFile('Links and sizes differ in number.')
    const children = Links.map((link, i) => ({ cid: ownCid(link.Hash), fileSize: Number(unixfs.blockSizes[i] ?? 0n) }))
    for (const child of children) normalCid(child.cid)
    if (children.some((child) => child.fileSize <= 0)) throw notAFile('A part is empty.')
    const fileSize = Number(unixfs.fileSize())
    const size = Links.reduce((sum, link) => sum + (link.Tsize ?? 0), bytes.length)
    if (!Number.isSafeInteger(fileSize) || !Number.isSafeInteger(size)) throw notAFile('A size is out of range.')
    return { content: unixfs.data ?? new Uint8Array(0), children, fileSize, size }
  } catch (cause) {
    if (cause instanceof EmrError && cause.code === 'not_a_file') throw cause
    throw new EmrError('not_a_file', undefined, {}, { cause })
  }
}

/** The CID in memory of its own: what is decoded points into its block, whose memory may be used again. */
const ownCid = (cid: CID): CID => CID.decode(Uint8Array.from(cid.bytes))

/** What the root block alone says about its file. @throws EmrError `not_a_file` */
export function describeFile(root: CID, bytes: Uint8Array): StoredFile {
  const { size, fileSize } = decodeFileNode(root, bytes)
  return { cid: normalCid(root), size, fileSize }
}

/** Whether a node is what the link to it says. @throws EmrError `not_a_file` */
export function checkPlace(link: PendingLink, node: FileNode): void {
  if (link.fileSize !== undefined && link.fileSize !== node.fileSize) throw notAFile('A part has another size.')
  if (link.depth > MAX_DEPTH) throw notAFile('It has too many levels.')
}

const notAFile = (detail: string): EmrError => new EmrError('not_a_file', detail)
