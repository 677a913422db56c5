import type { SignatureClaim } from '../protocol/signatures-of-others.js'

/** How claims of signatures travel to the threads that judge them: packed, since copying objects costs as much. */

/** What is found of one claim. `unknown`: nothing; what is asked for says when. */
export const verdictCodes = { unknown: 0, good: 1, badKey: 2, badSignature: 3 } as const

/**
 * What is asked of a thread:
 * - `keys`: whether the keys are valid;
 * - `signatures`: whether the signatures hold, by keys that are known to be valid. The first wrong one ends the slice, so
 *   that what is made up costs no more than one slow check;
 * - `sift`: which claims are good beyond doubt, keys and signatures, by what is fast alone. Others stay unknown.
 */
export type SliceTask = 'keys' | 'signatures' | 'sift'

export interface SliceRequest {
  readonly task: SliceTask
  /** For each claim: length of the message (four bytes), signature, key, message. */
  readonly claims: Uint8Array<ArrayBuffer>
  readonly count: number
}

/** One of `verdictCodes` for each claim. */
export type SliceReply = Uint8Array<ArrayBuffer>

const SIGNATURE = 64
const KEY = 32
const HEAD = 4 + SIGNATURE + KEY

export function packClaims(claims: readonly SignatureClaim[], task: SliceTask): SliceRequest {
  const packed = new Uint8Array(claims.reduce((sum, { message }) => sum + HEAD + message.length, 0))
  const view = new DataView(packed.buffer)
  let at = 0
  for (const { signature, message, key } of claims) {
    view.setUint32(at, message.length)
    packed.set(signature, at + 4)
    packed.set(key, at + 4 + SIGNATURE)
    packed.set(message, at + HEAD)
    at += HEAD + message.length
  }
  return { task, claims: packed, count: claims.length }
}

export function* unpackClaims({ claims, count }: Pick<SliceRequest, 'claims' | 'count'>): Generator<SignatureClaim> {
  const view = new DataView(claims.buffer, claims.byteOffset, claims.length)
  let at = 0
  for (let done = 0; done < count; done++) {
    const length = view.getUint32(at)
    yield {
      signature: claims.subarray(at + 4, at + 4 + SIGNATURE),
      key: claims.subarray(at + 4 + SIGNATURE, at + HEAD),
      message: claims.subarray(at + HEAD, at + HEAD + length),
    }
    at += HEAD + length
  }
}
