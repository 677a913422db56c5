import type { EmrNode } from '../node/emr-node.js'
import { paperBlock } from './paper-json.js'

/** Blocks that are kept as one text, and the most bytes that such a text may have. */
const SPAN = 64
const MOST_OF_SPAN = 512 * 1024
/** Bytes of all texts that are kept: some 20,000 blocks of one record. */
const MOST_KEPT = 12 * 1024 * 1024
/** What is written at once: a write for each block would cost more than to make its text. */
const PIECE = 64 * 1024

/** The blocks of the main chain in the form of the paper, as text. */
export interface ChainJson {
  /**
   * The blocks from one height to another, both included, each with a comma before it. It ends early where the main chain
   * does, which a reorganisation to fewer blocks of more work may bring about.
   *
   * @throws EmrError `chain_damaged`
   */
  blocks(from: number, to: number): AsyncGenerator<Buffer, void, void>
}

/**
 * Keeps the texts of whole spans of blocks, since to read, check and write out a block takes a hundred times as long as to
 * send its text. Those nearest the tip stay when there is no room for all: a chain is read from its beginning or near
 * its end. A reorganisation drops those that hold a block that left.
 */
export function createChainJson({ blocks, events }: Pick<EmrNode, 'blocks' | 'events'>): ChainJson {
  const kept = new Map<number, Buffer>()
  let keptBytes = 0
  let reorganisations = 0

  const drop = (span: number): void => {
    keptBytes -= kept.get(span)?.length ?? 0
    kept.delete(span)
  }
  const keep = (span: number, text: Buffer): void => {
    while (keptBytes + text.length > MOST_KEPT) {
      const lowest = Math.min(...kept.keys())
      if (lowest > span) return
      drop(lowest)
    }
    drop(span)
    kept.set(span, text)
    keptBytes += text.length
  }
  events.on('tip', ({ disconnected }) => {
    if (disconnected.length === 0) return
    reorganisations++
    const lowest = Math.min(...disconnected.map(({ header }) => header.height))
    for (const span of [...kept.keys()]) if ((span + 1) * SPAN > lowest) drop(span)
  })

  /** Returns whether all of these blocks are there. */
  async function* readBlocks(from: number, to: number): AsyncGenerator<Buffer, boolean, void> {
    let [text, next] = ['', from]
    for await (const some of blocks(from, to)) {
      for (const block of some) {
        text += `,${JSON.stringify(paperBlock(block))}`
        if (text.length < PIECE) continue
        yield Buffer.from(text)
        text = ''
      }
      next += some.length
    }
    yield Buffer.from(text)
    return next > to
  }

  /** As `readBlocks` for a whole span, of which a copy is kept if it is not too long. */
  async function* readSpan(span: number): AsyncGenerator<Buffer, boolean, void> {
    const before = reorganisations
    const pieces: Buffer[] = []
    let bytes = 0
    const reading = readBlocks(span * SPAN, (span + 1) * SPAN - 1)
    for (;;) {
      const { value, done } = await reading.next()
      if (done) {
        // Where the chain has changed meanwhile the text may be half of one branch and half of another.
        if (value && bytes <= MOST_OF_SPAN && before === reorganisations) keep(span, Buffer.concat(pieces))
        return value
      }
      bytes += value.length
      if (bytes <= MOST_OF_SPAN) pieces.push(value)
      yield value
    }
  }

  return {
    async *blocks(from, to) {
      for (let height = from; height <= to; ) {
        const span = Math.floor(height / SPAN)
        const end = (span + 1) * SPAN - 1
        const isWhole = height === span * SPAN && end <= to
        const text = isWhole ? kept.get(span) : undefined
        if (text) yield text
        else if (!(yield* isWhole ? readSpan(span) : readBlocks(height, Math.min(end, to)))) return
        height = end + 1
      }
    },
  }
}
