import { bytesToHex } from '@noble/hashes/utils.js'
import { EmrError } from '../errors.js'

/**
 * Compact targets as Bitcoin writes them: the top byte is the length of the number in bytes, the low
 * 23 bits its leading digits (docs/protocol.md, "Target"). A target is what a block's hash, read as a
 * big-endian integer, must not exceed.
 */

/** Largest target a network may have: half of all hashes meet it. */
export const EASIEST_TARGET = 0x207fffff

/**
 * The target that a compact form stands for.
 *
 * @param compact unsigned 32-bit integer
 * @throws EmrError `header_bad_target` when it is negative, zero, over 256 bits or not normalised
 */
export function compactToTarget(compact: number): bigint {
  const length = compact >>> 24
  const digits = BigInt(compact & 0x7fffff)
  const negative = (compact & 0x800000) !== 0
  const target = length <= 3 ? digits >> BigInt(8 * (3 - length)) : digits << BigInt(8 * (length - 3))
  if (negative || target === 0n || target >= 1n << 256n || targetToCompact(target) !== compact) {
    throw new EmrError('header_bad_target', undefined, { compact: compact.toString(16).padStart(8, '0') })
  }
  return target
}

/** The compact form of a target, rounded down to 23 bits of precision. */
export function targetToCompact(target: bigint): number {
  let length = Math.ceil(target.toString(16).length / 2)
  let digits = Number(length <= 3 ? target << BigInt(8 * (3 - length)) : target >> BigInt(8 * (length - 3)))
  if (digits & 0x800000) {
    digits >>= 8
    length += 1
  }
  return ((length << 24) | digits) >>> 0
}

/** The 32 big-endian bytes of a target, as hashes are compared with it. */
export function targetToBytes(target: bigint): Uint8Array {
  const bytes = new Uint8Array(32)
  let rest = target
  for (let i = 31; i >= 0; i--) {
    bytes[i] = Number(rest & 0xffn)
    rest >>= 8n
  }
  return bytes
}

/** The four big-endian bytes of a compact target. */
export function compactToBytes(compact: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, compact)
  return bytes
}

/** The eight hexadecimal digits of a compact target, as network files and answers write it. */
export const compactToHex = (compact: number): string => bytesToHex(compactToBytes(compact))
