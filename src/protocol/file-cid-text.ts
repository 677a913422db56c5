import { decodeFileCid } from './cid.js'

/** Length of the bytes of a CIDv0: code of SHA-256, 32, digest. */
const V0_LENGTH = 34
const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** Five digits of base 58 at a time, of 16 bits at a time: what is divided stays below 2^53. */
const DIGITS = 5
const RADIX = 58 ** DIGITS

/**
 * The CID of a file as text, from the bytes in a transaction. Most have version 0, base58btc, which takes a tenth
 * of the time here: an answer may be full of them.
 *
 * @throws EmrError `malformed_cid`
 */
export const fileCidText = (bytes: Uint8Array): string =>
  bytes.length === V0_LENGTH && bytes[0] === 0x12 && bytes[1] === 32 ? base58(bytes) : decodeFileCid(bytes).toString()

/** Base58btc of an even number of bytes of which the first is not zero. */
function base58(bytes: Uint8Array): string {
  const words: number[] = []
  for (let at = 0; at < bytes.length; at += 2) words.push((bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0))
  let text = ''
  for (let first = 0; first < words.length; ) {
    let rest = 0
    for (let at = first; at < words.length; at++) {
      const value = rest * 65_536 + (words[at] ?? 0)
      const quotient = Math.floor(value / RADIX)
      rest = value - quotient * RADIX
      words[at] = quotient
    }
    while (first < words.length && words[first] === 0) first++
    for (let digit = 0; digit < DIGITS; digit++) {
      // The last group has no zeros before it.
      if (first >= words.length && rest === 0) break
      text = ALPHABET[rest % 58] + text
      rest = Math.floor(rest / 58)
    }
  }
  return text
}
