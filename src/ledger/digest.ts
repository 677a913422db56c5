import { hash } from 'node:crypto'

/** SHA-256 of the parts, one after another. Native, since the ledger hashes whole chains. */
export const sha256Of = (...parts: readonly Uint8Array[]): Buffer => {
  const [only] = parts
  return hash('sha256', parts.length === 1 && only ? only : Buffer.concat(parts), 'buffer')
}

/** Length of the digests that stand for names in keys: no two names with one digest can be made (2^80 tries). */
export const KEY_DIGEST_LENGTH = 20

/** A digest of fixed length for a namespace and a key of any length. */
export const keyDigest = (namespace: string, key: Uint8Array): Uint8Array => {
  const name = Buffer.from(namespace)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(name.length)
  return sha256Of(length, name, key).subarray(0, KEY_DIGEST_LENGTH)
}
