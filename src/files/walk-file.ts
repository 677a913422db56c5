import { varint } from 'multiformats'
import type { CID } from 'multiformats/cid'
import { encodeCarHeader } from '../protocol/car.js'
import { throwIfAborted } from './abortable.js'
import { blockKey } from './file-block.js'
import { checkPlace, decodeFileNode, type FileNode, type PendingLink } from './file-node.js'

/** A block that was checked against its CID. @throws EmrError `file_unavailable`, `file_damaged` */
export type GetBlock = (cid: CID) => Promise<Uint8Array>

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined
}

interface WalkedBlock {
  readonly cid: CID
  readonly bytes: Uint8Array
  readonly node: FileNode
}

interface AskedLink extends PendingLink {
  block?: Promise<Uint8Array>
}

/** Blocks that are asked for ahead of the one that the consumer has: at 256 KiB, 2 MiB of memory. */
const READ_AHEAD = 8

/**
 * The blocks of a file, depth first. Blocks are read ahead of the consumer, but never more than `READ_AHEAD` of them:
 * a slow consumer costs no memory, which the queue of ipfs-unixfs-exporter does not give, and a block that fails deep
 * in the DAG ends the walk with its error, where that library also leaves an unhandled rejection behind.
 */
async function* walkFile(
  root: CID,
  getBlock: GetBlock,
  { once, signal }: WalkOptions & { readonly once: boolean },
): AsyncGenerator<WalkedBlock, void, undefined> {
  const seen = new Set<string>()
  const pending: AskedLink[] = [{ cid: root, fileSize: undefined, depth: 0 }]
  const readAhead = () => {
    for (let i = pending.length - 1, ahead = 0; i >= 0 && ahead < READ_AHEAD; i--) {
      const link = pending[i]
      if (!link || (once && seen.has(blockKey(link.cid)))) continue
      ahead++
      if (link.block) continue
      link.block = getBlock(link.cid)
      // The error is met when the walk comes to this block; until then it must not count as unhandled.
      link.block.catch(() => undefined)
    }
  }
  for (let link = pending.pop(); link; link = pending.pop()) {
    throwIfAborted(signal)
    const { cid, depth } = link
    if (once) {
      if (seen.has(blockKey(cid))) continue
      seen.add(blockKey(cid))
    }
    const bytes = await (link.block ?? getBlock(cid))
    const node = decodeFileNode(cid, bytes)
    checkPlace(link, node)
    for (const child of node.children.toReversed()) pending.push({ ...child, depth: depth + 1 })
    readAhead()
    throwIfAborted(signal)
    yield { cid, bytes, node }
  }
}

/** The bytes of a file. */
export async function* readFile(
  root: CID,
  getBlock: GetBlock,
  options: WalkOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const { node } of walkFile(root, getBlock, { ...options, once: false })) {
    if (node.content.length > 0) yield node.content
  }
}

/** A file as CARv1: depth first, each block once. */
export async function* exportFile(
  root: CID,
  getBlock: GetBlock,
  options: WalkOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  let headed = false
  for await (const { cid, bytes } of walkFile(root, getBlock, { ...options, once: true })) {
    if (!headed) yield encodeCarHeader([root])
    headed = true
    yield carSectionHead(cid, bytes.length)
    yield bytes
  }
}

/** What stands before a block in a CAR: the length of CID and block, and the CID. */
export function carSectionHead(cid: CID, blockLength: number): Uint8Array {
  const length = cid.bytes.length + blockLength
  const head = new Uint8Array(varint.encodingLength(length) + cid.bytes.length)
  varint.encodeTo(length, head)
  head.set(cid.bytes, head.length - cid.bytes.length)
  return head
}
