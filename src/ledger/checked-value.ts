import { hash } from 'node:crypto'

const CHECK_LENGTH = 8

/** Long enough for what is hashed here again and again; longer ones get a buffer of their own. */
const scratch = Buffer.allocUnsafeSlow(4096)

const checkOf = (key: Uint8Array, value: Uint8Array): Buffer => {
  const length = 2 + key.length + value.length
  const bytes = length <= scratch.length ? scratch : Buffer.allocUnsafeSlow(length)
  bytes.writeUInt16BE(key.length)
  bytes.set(key, 2)
  bytes.set(value, 2 + key.length)
  return hash('sha256', bytes.subarray(0, length), 'buffer').subarray(0, CHECK_LENGTH)
}

/** A value as it stands in the database: the first 8 bytes of SHA-256 over key and value, then the value. */
export const sealValue = (key: Uint8Array, value: Uint8Array): Buffer => Buffer.concat([checkOf(key, value), value])

/** The value in `sealed`, or undefined if it does not belong to the key or was altered. */
export const unsealValue = (key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined => {
  const value = sealed.subarray(CHECK_LENGTH)
  const isWhole = sealed.length >= CHECK_LENGTH && checkOf(key, value).equals(sealed.subarray(0, CHECK_LENGTH))
  return isWhole ? value : undefined
}
