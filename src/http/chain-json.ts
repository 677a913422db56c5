import type { EmrNode } from '../node/emr-node.js'
import { paperBlock } from './paper-json.js'

/** Blocks that are kept as one text, and the most bytes that such a text may have. */
const SPAN = 64
const MOST_OF_SPAN = 512 * 1024
/** Bytes of all texts that are kept: some 20,000 blocks of one record. */
const MOST_KEPT = 12 * 1024 * 1024
/** Bytes of a block's text, at least. */
const LEAST_OF_BLOCK = 300
/** How many spans there may be room for. Of those before them none is made ahead, however long the chain. */
const MOST_SPANS = Math.ceil(MOST_KEPT / (SPAN * LEAST_OF_BLOCK))
/** What is written at once: a write for each block would cost more than to make its text. */
const PIECE = 128 * 1024
/** Bytes of a character of JSON in UTF-8, at most. */
const MOST_OF_CHARACTER = 3

/** The blocks of the main chain in the form of the paper, as text. */
export interface ChainJson {
  /**
   * The blocks from one height to another, both included, each with a comma before it. It ends early where the main chain
   * does, which a reorganisation to fewer blocks of more work may bring about.
   *
   * @throws EmrError `chain_damaged`
   */
  blocks(from: number, to: number): AsyncGenerator<Buffer, void, void>
  /**
   * Makes the text of one more span before it is asked for, that nearest the tip first. Resolves with false where nothing
   * is left to do, or no room, until the main chain changes.
   *
   * @throws EmrError `chain_damaged`
   */
  prepareNext(): Promise<boolean>
  /** How many blocks are kept as text. */
  keptBlocks(): number
}

/** The text of the first blocks of a span; undefined where it would be too long. */
interface Kept {
  readonly blocks: number
  readonly text: Buffer | undefined
}

/**
 * Keeps the texts of spans of blocks, since to read, check and write out a block takes a hundred times as long as to
 * send its text. Those nearest the tip stay when there is no room for all: a chain is read from its beginning or near
 * its end. A reorganisation drops those that hold a block that left.
 */
export function createChainJson({ blocks, tip, events }: Pick<EmrNode, 'blocks' | 'tip' | 'events'>): ChainJson {
  const kept = new Map<number, Kept>()
  let keptBytes = 0
  let reorganisations = 0

  const drop = (span: number): void => {
    keptBytes -= kept.get(span)?.text?.length ?? 0
    kept.delete(span)
  }
  const keep = (span: number, fresh: Kept): void => {
    const length = fresh.text?.length ?? 0
    drop(span)
    while (keptBytes + length > MOST_KEPT) {
      const lowest = Math.min(...kept.keys())
      if (lowest > span) return
      drop(lowest)
    }
    kept.set(span, fresh)
    keptBytes += length
  }
  events.on('tip', ({ disconnected }) => {
    if (disconnected.length === 0) return
    reorganisations++
    const lowest = Math.min(...disconnected.map(({ header }) => header.height))
    for (const [span, { blocks }] of [...kept]) if (span * SPAN + blocks > lowest) drop(span)
  })

  /** Filled and emptied again without a pause between, so that all who read may share it. */
  const room = Buffer.allocUnsafeSlow(PIECE)

  /** Fewer blocks come where the main chain ends. */
  async function* readBlocks(from: number, to: number): AsyncGenerator<{ text: Buffer; count: number }> {
    for await (const some of blocks(from, to)) {
      let [used, count] = [0, 0]
      for (const block of some) {
        const text = `,${JSON.stringify(paperBlock(block))}`
        const most = text.length * MOST_OF_CHARACTER
        if (used + most > room.length) {
          yield { text: Buffer.from(room.subarray(0, used)), count }
          used = 0
          count = 0
        }
        if (most > room.length) yield { text: Buffer.from(text), count: 1 }
        else {
          used += room.write(text, used)
          count++
        }
      }
      yield { text: Buffer.from(room.subarray(0, used)), count }
    }
  }

  /** The text of the first blocks of a span, which is kept; undefined where it is too long, or the chain has changed. */
  async function textOf(span: number, count: number): Promise<Buffer | undefined> {
    const known = kept.get(span)
    if (known && known.blocks >= count) return known.blocks === count ? known.text : undefined
    const before = reorganisations
    const texts = known?.text ? [known.text] : []
    let [made, bytes] = [known?.blocks ?? 0, known?.text?.length ?? 0]
    for await (const piece of readBlocks(span * SPAN + made, span * SPAN + count - 1)) {
      made += piece.count
      bytes += piece.text.length
      if (bytes > MOST_OF_SPAN) {
        if (before === reorganisations) keep(span, { blocks: SPAN, text: undefined })
        return undefined
      }
      texts.push(piece.text)
    }
    // Where the chain has changed meanwhile the text may be half of one branch and half of another.
    if (made < count || before !== reorganisations) return undefined
    const [only] = texts
    const text = only && texts.length === 1 ? only : Buffer.concat(texts)
    keep(span, { blocks: count, text })
    return text
  }

  return {
    async *blocks(from, to) {
      for (let height = from; height <= to; ) {
        const span = Math.floor(height / SPAN)
        const last = Math.min(to, (span + 1) * SPAN - 1)
        const isFromStart = height === span * SPAN
        const text = isFromStart ? await textOf(span, last - height + 1) : undefined
        if (text) {
          yield text
          height = last + 1
          continue
        }
        for await (const piece of readBlocks(height, last)) {
          yield piece.text
          height += piece.count
        }
        if (height <= last) return
      }
    },

    async prepareNext() {
      const { height } = tip().header
      const newest = Math.floor(height / SPAN)
      for (let span = newest; span >= Math.max(0, newest - MOST_SPANS); span--) {
        const count = Math.min(SPAN, height - span * SPAN + 1)
        if ((kept.get(span)?.blocks ?? 0) >= count) continue
        // One nearer the tip takes the room of another; the others take what is free.
        const isFull = keptBytes > MOST_KEPT - MOST_OF_SPAN
        if (isFull && span < Math.min(...kept.keys())) return false
        await textOf(span, count)
        return true
      }
      return false
    },

    keptBlocks: () => [...kept.values()].reduce((sum, { blocks, text }) => sum + (text ? blocks : 0), 0),
  }
}
