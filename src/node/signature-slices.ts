/** How claims of signatures travel to the threads that judge them: packed, since copying objects costs as much. */
import type { SignatureClaim } from '../protocol/transaction.js'

/** What is found of one claim. `unknown`: another claim of the slice was wrong before it. */
export const verdictCodes = { unknown: 0, good: 1, badKey: 2, badSignature: 3 } as const

export interface SliceRequest {
  /** For each claim: length of the message (four bytes), signature, key, message. */
  readonly claims: Uint8Array<ArrayBuffer>
  readonly count: number
  /** One byte a claim: 1 where the key is known to be valid. */
  readonly knownKeys: Uint8Array<ArrayBuffer>
}

/** One of `verdictCodes` for each claim. */
export type SliceReply = Uint8Array<ArrayBuffer>

const SIGNATURE = 64
const KEY = 32
const HEAD = 4 + SIGNATURE + KEY

/** @param isKnownKey whether a key need not be judged again */
export function packClaims(claims: readonly SignatureClaim[], isKnownKey: (key: Uint8Array) => boolean): SliceRequest {
  const packed = new Uint8Array(claims.reduce((sum, { message }) => sum + HEAD + message.length, 0))
  const view = new DataView(packed.buffer)
  const knownKeys = new Uint8Array(claims.length)
  let at = 0
  for (const [position, { signature, message, key }] of claims.entries()) {
    view.setUint32(at, message.length)
    packed.set(signature, at + 4)
    packed.set(key, at + 4 + SIGNATURE)
    packed.set(message, at + HEAD)
    at += HEAD + message.length
    knownKeys[position] = isKnownKey(key) ? 1 : 0
  }
  return { claims: packed, count: claims.length, knownKeys }
}

export function* unpackClaims({ claims, count }: SliceRequest): Generator<SignatureClaim> {
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
