import { varint } from 'multiformats'
import type { CID } from 'multiformats/cid'
import { encodeCarHeader } from '../protocol/car.js'
import { throwIfAborted } from './abortable.js'
import { blockKey } from './file-block.js'
import { checkPlace, decodeFileNode, type FileLink, type FileNode, type PendingLink } from './file-node.js'
import type { AskedBytes, CarShape } from './file-store.js'

/** A block that was checked against its CID. @throws EmrError `file_unavailable`, `file_damaged` */
export type GetBlock = (cid: CID) => Promise<Uint8Array>

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined
}

/** Bytes of a file from `start` on, up to `end`, which is not included. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

interface WalkedBlock {
  readonly cid: CID
  readonly bytes: Uint8Array
  readonly node: FileNode
  /** Place in the file of the node's own content. */
  readonly at: number
}

interface AskedLink extends PendingLink {
  readonly at: number
  block?: Promise<Uint8Array>
}

const WHOLE: ByteRange = { start: 0, end: Number.POSITIVE_INFINITY }
const NOTHING: ByteRange = { start: 0, end: 0 }

/** Blocks that are asked for ahead of the one that the consumer has: at 256 KiB, 2 MiB of memory. */
const READ_AHEAD = 8

interface WalkPlan extends WalkOptions {
  /** Each block once. */
  readonly once: boolean
  /** What is wanted of a file of this size; else all. */
  readonly rangeOf?: ((fileSize: number) => ByteRange) | undefined
}

/**
 * The blocks of a file, depth first; of a range, those alone in which it lies, and their parents. Blocks are read ahead
 * of the consumer, but never more than `READ_AHEAD` of them: a slow consumer costs no memory, which the queue of
 * ipfs-unixfs-exporter does not give, and a block that fails deep in the DAG ends the walk with its error, where that
 * library also leaves an unhandled rejection behind.
 */
async function* walkFile(
  root: CID,
  getBlock: GetBlock,
  { once, rangeOf, signal }: WalkPlan,
): AsyncGenerator<WalkedBlock, void, undefined> {
  let range = WHOLE
  const seen = new Set<string>()
  /** Seen with all that is under them. Of those of which only a part is wanted there are at most two on each level. */
  const done = rangeOf ? new Set<string>() : seen
  const isWhole = ({ at, fileSize }: AskedLink) =>
    !rangeOf || (fileSize !== undefined && at >= range.start && at + fileSize <= range.end)
  const isDone = (link: AskedLink) => once && done.has(blockKey(link.cid)) && isWhole(link)
  const pending: AskedLink[] = [{ cid: root, fileSize: undefined, depth: 0, at: 0 }]
  const readAhead = () => {
    for (let i = pending.length - 1, ahead = 0; i >= 0 && ahead < READ_AHEAD; i--) {
      const link = pending[i]
      if (!link || isDone(link)) continue
      ahead++
      if (link.block) continue
      link.block = getBlock(link.cid)
      // The error is met when the walk comes to this block; until then it must not count as unhandled.
      link.block.catch(() => undefined)
    }
  }
  for (let link = pending.pop(); link; link = pending.pop()) {
    throwIfAborted(signal)
    const { cid, depth, at } = link
    if (isDone(link)) continue
    const bytes = await (link.block ?? getBlock(cid))
    const node = decodeFileNode(cid, bytes)
    checkPlace(link, node)
    if (link.fileSize === undefined) range = rangeOf?.(node.fileSize) ?? WHOLE
    pending.push(...childrenWithin(node, at, range).map((child) => ({ ...child, depth: depth + 1 })))
    const isRepeated = once && seen.has(blockKey(cid))
    if (once) seen.add(blockKey(cid))
    if (once && isWhole(link)) done.add(blockKey(cid))
    readAhead()
    throwIfAborted(signal)
    if (!isRepeated) yield { cid, bytes, node, at }
  }
}

/** The children of a node at this place that hold bytes of a range, each with its own place, the last of them first. */
function childrenWithin(node: FileNode, nodeAt: number, { start, end }: ByteRange): (FileLink & { at: number })[] {
  const within: (FileLink & { at: number })[] = []
  let at = nodeAt + node.content.length
  for (const child of node.children) {
    if (at < end && at + child.fileSize > start) within.push({ ...child, at })
    at += child.fileSize
  }
  return within.reverse()
}

/** The bytes of a file, or those of a range of it; what lies before and behind the range is not read. */
export async function* readFile(
  root: CID,
  getBlock: GetBlock,
  { range = WHOLE, ...options }: WalkOptions & { readonly range?: ByteRange | undefined },
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { node, at } of walkFile(root, getBlock, { ...options, rangeOf: () => range, once: false })) {
    const from = Math.max(0, range.start - at)
    const to = Math.min(node.content.length, range.end - at)
    if (from < to) yield node.content.subarray(from, to)
  }
}

/** A file as CARv1, depth first. */
export async function* exportFile(
  root: CID,
  getBlock: GetBlock,
  options: WalkOptions,
  { onlyRoot = false, bytes: asked, dups = false }: CarShape = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const rangeOf = onlyRoot ? () => NOTHING : asked && ((fileSize: number) => rangeIn(fileSize, asked))
  let headed = false
  for await (const { cid, bytes } of walkFile(root, getBlock, { ...options, rangeOf, once: !dups })) {
    if (!headed) yield encodeCarHeader([root])
    headed = true
    yield carSectionHead(cid, bytes.length)
    yield bytes
  }
}

/** What is asked of a file of this size; what lies outside of it is left out. */
function rangeIn(fileSize: number, { from, to }: AskedBytes): ByteRange {
  const position = (at: number) => (at < 0 ? fileSize + at : at)
  const start = Math.max(position(from), 0)
  const end = to === undefined ? fileSize : Math.min(position(to) + 1, fileSize)
  return start < end ? { start, end } : NOTHING
}

/** What stands before a block in a CAR: the length of CID and block, and the CID. */
export function carSectionHead(cid: CID, blockLength: number): Uint8Array {
  const length = cid.bytes.length + blockLength
  const head = new Uint8Array(varint.encodingLength(length) + cid.bytes.length)
  varint.encodeTo(length, head)
  head.set(cid.bytes, head.length - cid.bytes.length)
  return head
}
