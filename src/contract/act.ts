import { equalBytes } from '../protocol/canonical.js'

/** A transaction whose author is known: its id, the time of its block, the author's id and key. */
export interface Act {
  readonly id: Uint8Array
  readonly time: number
  readonly author: Uint8Array
  readonly from: Uint8Array
}

export const isSame = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a === null || b === null ? a === b : equalBytes(a, b)
