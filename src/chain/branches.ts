import type { CID } from 'multiformats/cid'
import { type BranchEnd, isPreferred } from '../consensus/fork-choice.js'
import type { SignedHeader } from '../protocol/block.js'
import { cidOfKey, idKey } from '../protocol/cid.js'
import { decodeHeader, HEADER_LENGTH, type IdentifiedHeader } from '../protocol/header.js'

/**
 * How many headers without a stored body are kept, about 1 KiB each. No branch can win that leaves the main
 * chain so many blocks below the tip.
 */
export const MAX_LOOSE_HEADERS = 20_000

/** A header that has been checked, whose body is not on disk. */
export interface LooseHeader extends SignedHeader {
  readonly work: bigint
}

/** Where a block of a branch stands. */
export interface BranchPlace {
  readonly id: CID
  readonly height: number
}

/** Headers whose bodies are not on disk: the front of a branch that may win, and ends of those that lost. */
export interface Branches {
  get(id: CID): LooseHeader | undefined
  /** Keeps a header. Where there are too many, branches with the least work go, this one or another. */
  add(header: LooseHeader): void
  /** Forgets a header, once its body is stored or found invalid; with `descendants`, all that stand on it. */
  remove(id: CID, options?: { descendants: boolean }): CID[]
  /** The best of them that is preferred to `tip`, if any. */
  best(tip: BranchEnd): LooseHeader | undefined
  /** This one, if it is preferred to `tip`. */
  better(id: CID, tip: BranchEnd): LooseHeader | undefined
  /** Whether one that stands on this one is preferred to `tip`. The best may be one whose bodies nobody gives. */
  leadsToBetter(id: CID, tip: BranchEnd): boolean
  /** The loose headers from the first without a body up to this one, parents first. */
  lineTo(id: CID): BranchPlace[]
  readonly size: number
}

/** As few bytes and objects as can be: a header is decoded when it is asked for. */
interface Kept {
  /** `idKey` of the header and of its parent. */
  readonly key: string
  readonly parent: string
  /** The header and its signature, in one array. */
  readonly bytes: Uint8Array
  readonly height: number
  readonly work: bigint
}

/** As fork choice sees it; the id is made only when work does not decide. */
const endOf = ({ key, work }: Kept): BranchEnd => ({
  work,
  get id() {
    return cidOfKey(key)
  },
})

function pack({ header, signature, work }: LooseHeader): Kept {
  const bytes = new Uint8Array(header.bytes.length + signature.length)
  bytes.set(header.bytes)
  bytes.set(signature, header.bytes.length)
  return { key: idKey(header.id), parent: idKey(header.parent), bytes, height: header.height, work }
}

export function createBranches(limit = MAX_LOOSE_HEADERS): Branches {
  // Parents are always added before their children.
  const headers = new Map<string, Kept>()
  let best: Kept | undefined
  let last: IdentifiedHeader | undefined

  const findBest = (): void => {
    best = undefined
    for (const header of headers.values()) if (!best || isPreferred(endOf(header), endOf(best))) best = header
  }
  const loose = (kept: Kept): LooseHeader => {
    // Most often the parent of the next one is asked for: the one that came last.
    if (!last || idKey(last.id) !== kept.key) last = decodeHeader(kept.bytes.subarray(0, HEADER_LENGTH))
    return { header: last, signature: kept.bytes.subarray(HEADER_LENGTH), work: kept.work }
  }

  /** Makes room for a tenth of the limit, branch by branch: the one whose end has the least work first. */
  function evict(): void {
    const endWork = new Map<string, bigint>()
    for (const [key, header] of [...headers].reverse()) {
      const work = endWork.get(key) ?? header.work
      endWork.set(key, work)
      const ofParent = endWork.get(header.parent)
      if (headers.has(header.parent) && (ofParent === undefined || ofParent < work)) endWork.set(header.parent, work)
    }
    const order = [...headers.entries()].map(([key, { height }]) => ({ key, height, work: endWork.get(key) ?? 0n }))
    // Children before parents, so that what stays hangs together.
    order.sort((a, b) => (a.work === b.work ? b.height - a.height : a.work < b.work ? -1 : 1))
    for (const { key } of order.slice(0, Math.ceil(limit / 10))) headers.delete(key)
    findBest()
  }

  return {
    get size() {
      return headers.size
    },
    get(id) {
      const kept = headers.get(idKey(id))
      return kept && loose(kept)
    },
    add(header) {
      const kept = pack(header)
      headers.set(kept.key, kept)
      if (!best || isPreferred(endOf(kept), endOf(best))) best = kept
      if (headers.size > limit) evict()
    },
    remove(id, { descendants } = { descendants: false }) {
      const gone = new Set([idKey(id)])
      // Headers are added parents first, so one pass in order of insertion finds all descendants.
      if (descendants) {
        for (const [key, { parent }] of headers) if (gone.has(parent)) gone.add(key)
      }
      const removed = [...gone].filter((key) => headers.has(key)).map(cidOfKey)
      for (const key of gone) headers.delete(key)
      if (best && gone.has(best.key)) findBest()
      return removed
    },
    best: (tip) => (best && isPreferred(endOf(best), tip) ? loose(best) : undefined),
    better(id, tip) {
      const kept = headers.get(idKey(id))
      return kept && isPreferred(endOf(kept), tip) ? loose(kept) : undefined
    },
    leadsToBetter(id, tip) {
      const line = new Set([idKey(id)])
      // As above, parents come first.
      for (const [key, header] of headers) {
        if (!line.has(header.parent)) continue
        if (isPreferred(endOf(header), tip)) return true
        line.add(key)
      }
      return false
    },
    lineTo(id) {
      const line: BranchPlace[] = []
      for (let at = headers.get(idKey(id)); at; at = headers.get(at.parent)) {
        line.push({ id: cidOfKey(at.key), height: at.height })
      }
      return line.reverse()
    },
  }
}
