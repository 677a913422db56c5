import { EmrError } from '../errors.js'

/** Length of a block header in bytes; docs/protocol.md, "Header". */
export const headerLength = 180

/** Length of a target in bytes: a 256-bit integer, big-endian. */
export const targetLength = 32

/** Where the nonce's 48 usable bits begin: the field is bytes 172 to 179, its first two bytes are always zero. */
export const nonceOffset = 174

/** Nonces are the integers below this. Each is exact as a JavaScript number and in JSON. */
export const nonceLimit = 2 ** 48

/**
 * Tries nonces of one header after another. A kernel is synchronous and belongs to one thread;
 * whoever calls it keeps `count` small enough to stay stoppable.
 */
export interface HashKernel {
  /**
   * Sets what is searched. The kernel copies both; the nonce that the header holds is ignored.
   * Throws `header_malformed` or `header_bad_target` if the lengths are not 180 and 32.
   */
  set(header: Uint8Array, target: Uint8Array): void

  /**
   * The smallest nonce in [start, start + count) with which SHA-256 of the header, as a 256-bit
   * big-endian integer, is at most the target, or -1 if there is none. The range ends at `nonceLimit` or before.
   */
  scan(start: number, count: number): number
}

/** Throws `header_malformed` or `header_bad_target` unless both have the length that a kernel takes. */
export const assertKernelInput = (header: Uint8Array, target: Uint8Array): void => {
  if (header.length !== headerLength) {
    throw new EmrError('header_malformed', `It has ${header.length} bytes.`, { length: header.length })
  }
  if (target.length !== targetLength) {
    throw new EmrError('header_bad_target', `It has ${target.length} bytes, not ${targetLength}.`)
  }
}

/** Throws `internal` unless [start, start + count) is a range of nonces: a kernel never wraps around. */
export const assertKernelRange = (start: number, count: number): void => {
  const end = start + count
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(count) || start < 0 || count < 0 || end > nonceLimit) {
    throw new EmrError('internal', `There are no nonces from ${start}, ${count} in number.`)
  }
}
