import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'

/**
 * The platform's own hash where there is one; asked for at run time, so that a browser needs nothing in its
 * place. On records of 300 bytes it is three times as fast.
 */
const native = globalThis.process?.getBuiltinModule?.('node:crypto')?.hash

/** SHA-256 (FIPS 180-4), 32 bytes. */
export const sha256 = (bytes: Uint8Array): Uint8Array => {
  if (!native) return nobleSha256(bytes)
  // As text, a character a byte: Node.js gives that in half the time of a buffer.
  const digest: string = native('sha256', bytes, 'binary')
  const copy = new Uint8Array(32)
  for (let at = 0; at < copy.length; at++) copy[at] = digest.charCodeAt(at)
  return copy
}

/** Whether `digest` (32 bytes) is the SHA-256 of these bytes; without making it. Not for secrets. */
export function isSha256(digest: Uint8Array, bytes: Uint8Array): boolean {
  const found = native?.('sha256', bytes, 'binary') ?? String.fromCharCode(...nobleSha256(bytes))
  if (digest.length !== found.length) return false
  for (let at = 0; at < found.length; at++) if (digest[at] !== found.charCodeAt(at)) return false
  return true
}
