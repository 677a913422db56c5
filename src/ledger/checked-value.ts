import { hash } from 'node:crypto'

const CHECK_LENGTH = 8

/** Long enough for what is hashed here again and again; longer ones get a buffer of their own. */
const scratch = Buffer.allocUnsafeSlow(4096)

/** A character a byte: Node.js gives a digest as such text in half the time of a buffer. */
const checkOf = (key: Uint8Array, value: Uint8Array): string => {
  const length = 2 + key.length + value.length
  const bytes = length <= scratch.length ? scratch : Buffer.allocUnsafeSlow(length)
  bytes.writeUInt16BE(key.length)
  bytes.set(key, 2)
  bytes.set(value, 2 + key.length)
  return hash('sha256', bytes.subarray(0, length), 'binary').slice(0, CHECK_LENGTH)
}

/** A value as it stands in the database: the first 8 bytes of SHA-256 over key and value, then the value. */
export const sealValue = (key: Uint8Array, value: Uint8Array): Buffer => {
  const sealed = Buffer.allocUnsafe(CHECK_LENGTH + value.length)
  sealed.write(checkOf(key, value), 'latin1')
  sealed.set(value, CHECK_LENGTH)
  return sealed
}

/** The value in `sealed`, or undefined if it does not belong to the key or was altered. */
export const unsealValue = (key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined => {
  const value = sealed.subarray(CHECK_LENGTH)
  const check = Buffer.from(sealed.buffer, sealed.byteOffset, Math.min(CHECK_LENGTH, sealed.length))
  return check.toString('latin1') === checkOf(key, value) ? value : undefined
}
