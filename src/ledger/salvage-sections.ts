import { MAX_SECTION_LENGTH, type Place, parseSection, type StoredSection, sectionStarts } from './section.js'

const CHUNK = 1024 * 1024

/**
 * Every section of a damaged chain file that matches its CID, in file order, also behind damage. What lies
 * between them is told to `onGap`. Memory: two chunks, or the largest section.
 *
 * @param read gives exactly the asked bytes
 */
export async function* salvageSections(
  read: (offset: number, length: number) => Promise<Uint8Array>,
  from: number,
  to: number,
  onGap: (gap: Place) => void,
): AsyncGenerator<StoredSection, void, void> {
  let window: Uint8Array = new Uint8Array(0)
  let windowAt = from

  /** The section at this offset; undefined if there is none that matches its CID. */
  const sectionAt = async (offset: number): Promise<StoredSection | undefined> => {
    for (;;) {
      const inside = offset >= windowAt && offset < windowAt + window.length
      const parsed = parseSection(inside ? window.subarray(offset - windowAt) : new Uint8Array(0), 0)
      if (parsed.kind === 'section') return { ...parsed.section, offset, length: parsed.length }
      const wanted = Math.min(to - offset, Math.max(parsed.kind === 'short' ? parsed.length : 0, CHUNK))
      const isWhole = inside && windowAt + window.length - offset >= wanted
      if (parsed.kind === 'wrong' || isWhole || (parsed.kind === 'short' && parsed.length > MAX_SECTION_LENGTH + 4))
        return undefined
      window = await read(offset, wanted)
      windowAt = offset
    }
  }

  /** The first section behind this offset. Pieces overlap, so that no beginning is cut in two. */
  const nextAfter = async (offset: number): Promise<StoredSection | undefined> => {
    for (let at = offset; at < to; at += CHUNK) {
      const piece = await read(at, Math.min(CHUNK + 16, to - at))
      for (const start of sectionStarts(piece)) {
        if (at + start <= offset) continue
        const section = await sectionAt(at + start)
        if (section) return section
      }
    }
    return undefined
  }

  for (let offset = from; offset < to; ) {
    const section = (await sectionAt(offset)) ?? (await nextAfter(offset))
    if (section?.offset !== offset) onGap({ offset, length: (section?.offset ?? to) - offset })
    if (!section) return
    yield section
    offset = section.offset + section.length
  }
}
