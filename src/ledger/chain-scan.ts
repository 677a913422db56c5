import { holdsSection, MAX_SECTION_LENGTH, parseSection, type StoredSection } from './section.js'

/**
 * How a scan ended, and the offset behind the last good section:
 * - `clean`: exactly at the end;
 * - `torn`: in a section that was not written to its end, as a crash leaves it;
 * - `damaged`: at bytes that a crash does not leave.
 */
export interface ScanEnd {
  readonly kind: 'clean' | 'torn' | 'damaged'
  readonly offset: number
}

/** Sections in file order, each checked against its CID. `end` is there when the iteration is over. */
export interface Scan extends AsyncIterable<StoredSection> {
  readonly end: ScanEnd | undefined
}

const CHUNK = 1024 * 1024

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/**
 * Reads sections from `from` to `to`. Memory: one chunk, or the largest section.
 * @param read gives exactly the asked bytes
 */
export const scanSections = (
  read: (offset: number, length: number) => Promise<Uint8Array>,
  from: number,
  to: number,
): Scan => {
  let end: ScanEnd | undefined

  /** Whether what is left is a write that stopped half-way. Space that was never filled reads as zeros. */
  const isTorn = async (offset: number, window: Uint8Array, short: boolean): Promise<boolean> => {
    if (to - offset > MAX_SECTION_LENGTH) return false
    const rest = window.length === to - offset ? window : await read(offset, to - offset)
    return isZero(rest) || (short && !holdsSection(rest))
  }

  async function* sections(): AsyncGenerator<StoredSection, void, void> {
    let offset = from
    let window: Uint8Array = new Uint8Array(0)
    while (offset < to) {
      const parsed = parseSection(window, 0)
      if (parsed.kind === 'section') {
        yield { ...parsed.section, offset, length: parsed.length }
        offset += parsed.length
        window = window.subarray(parsed.length)
        continue
      }
      if (parsed.kind === 'short' && window.length < to - offset) {
        window = await read(offset, Math.min(to - offset, Math.max(parsed.length, CHUNK)))
        continue
      }
      end = { kind: (await isTorn(offset, window, parsed.kind === 'short')) ? 'torn' : 'damaged', offset }
      return
    }
    end = { kind: 'clean', offset }
  }

  return {
    get end() {
      return end
    },
    [Symbol.asyncIterator]: sections,
  }
}
