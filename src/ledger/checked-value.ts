import { hash } from 'node:crypto'

const CHECK_LENGTH = 8

/** Long enough for what is hashed here again and again; longer ones get a buffer of their own. */
const scratch = Buffer.allocUnsafeSlow(4096)

/** A character a byte: Node.js gives a digest as such text in half the time of a buffer. */
const checkOf = (key: Uint8Array, value: Uint8Array, checkLength: number): string => {
  const length = 2 + key.length + value.length
  const bytes = length <= scratch.length ? scratch : Buffer.allocUnsafeSlow(length)
  bytes.writeUInt16BE(key.length)
  bytes.set(key, 2)
  bytes.set(value, 2 + key.length)
  return hash('sha256', bytes.subarray(0, length), 'binary').slice(0, checkLength)
}

/**
 * A value as it stands in the database: the first 8 bytes of SHA-256 over key and value, then the value.
 * @param emptyLength bytes of the check of an empty value, if not 8
 */
export const sealValue = (key: Uint8Array, value: Uint8Array, emptyLength = CHECK_LENGTH): Buffer => {
  const checkLength = value.length === 0 ? emptyLength : CHECK_LENGTH
  const sealed = Buffer.allocUnsafe(checkLength + value.length)
  sealed.write(checkOf(key, value, checkLength), 'latin1')
  sealed.set(value, checkLength)
  return sealed
}

/** The value in `sealed`, or undefined if it does not belong to the key or was altered. */
export const unsealValue = (
  key: Uint8Array,
  sealed: Uint8Array,
  emptyLength = CHECK_LENGTH,
): Uint8Array | undefined => {
  const checkLength = sealed.length === emptyLength ? emptyLength : CHECK_LENGTH
  const value = sealed.subarray(checkLength)
  const check = Buffer.from(sealed.buffer, sealed.byteOffset, Math.min(checkLength, sealed.length))
  return check.toString('latin1') === checkOf(key, value, checkLength) ? value : undefined
}
