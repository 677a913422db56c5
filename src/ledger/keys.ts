/** Building the binary keys of both databases. Numbers are big-endian, so that keys sort as numbers do. */

/** One key of a prefix byte and parts. */
export const joinKey = (prefix: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat([Uint8Array.of(prefix), ...parts])

/** A number of 0 to 2^32 - 1 in four bytes. */
export const uint32Key = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A number of 0 to 2^53 - 1 in eight bytes. */
export const uint64Key = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

/** A number of 0 to 2^48 - 1 in so many bytes, at most six. */
export const shortKey = (value: number, length: number): Uint8Array => {
  const bytes = Buffer.alloc(length)
  bytes.writeUIntBE(value, 0, length)
  return bytes
}

/** The number that `uint64Key` wrote at `offset`. */
export const readUint64Key = (key: Uint8Array, offset: number): number => {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.byteLength)
  return bytes.readUInt32BE(offset) * 2 ** 32 + bytes.readUInt32BE(offset + 4)
}

/** The first key behind all keys that begin with `key`, which must not be all 0xff. */
export const keyAfter = (key: Uint8Array): Uint8Array => {
  const next = Uint8Array.from(key)
  for (let at = next.length - 1; at >= 0; at--) {
    const byte = next[at] ?? 0
    if (byte < 0xff) {
      next[at] = byte + 1
      return next.subarray(0, at + 1)
    }
  }
  return next
}
